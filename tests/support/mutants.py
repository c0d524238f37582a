"""Bugs planted in the running product: each lets something out that must stay. Run as `python mutants.py NAME VERB ...`.

Every mutant also does without the audit hook, which would stop some of them: what is on trial is the namespace proof.
"""

import contextlib
import ctypes
import importlib
import os
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any

import msgspec

from freehold.__main__ import main
from freehold.runtime import Egress

MODULES = (
    "config.assembly",
    "config.load",
    "gateways.audit_hook",
    "gateways.connector",
    "gateways.http",
    "routing.features",
    "routing.plan",
    "server.app",
    "server.discovering",
    "server.intake",
    "server.endpoints.counts",
    "telemetry.log",
    "wire.body",
    "wire.addresses",
    "wire.openai_responses.relay",
    "dispatch.chat_attempt",
)
# By name: some of them share theirs with a function that their package exports.
(
    assembly,
    load,
    audit_hook,
    connector,
    http,
    features,
    plan,
    server_app,
    discovering,
    intake,
    counts,
    log,
    body,
    addresses,
    responses_relay,
    chat_attempt,
) = (importlib.import_module(f"freehold.{name}") for name in MODULES)
MUTANTS: dict[str, tuple[tuple[str, ...], Callable[[], None]]] = {}
"""By name: the beginnings of the shapes to try, and what plants it. No shapes: start-up is enough."""
NO_SHAPE = ("-",)


def mutant(*shapes: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def known(plant: Callable[[], None]) -> Callable[[], None]:
        MUTANTS[plant.__name__] = (shapes or NO_SHAPE, plant)
        return plant

    return known


def touch(host: str, port: int = 80) -> None:
    """Look a name up and connect, as a careless library would."""
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 0.5).close()


def before(owner: Any, name: str, act: Callable[..., None]) -> None:
    """Do something before a function of the product does its own work."""
    real = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        act(*args, **kwargs)
        return real(*args, **kwargs)

    setattr(owner, name, wrapped)


def deafen() -> None:
    connector.Connector.admit = lambda *_args: None


def widen(when: Callable[[Any], bool]) -> None:
    """Plans forget the ceiling for some requests, and the connector does not look again."""
    deafen()
    real = plan._turn_away

    def turn_away(candidate: Any, demand: Any) -> Any:
        return real(candidate, msgspec.structs.replace(demand, ceiling_rank=2) if when(demand.features) else demand)

    plan._turn_away = turn_away


@mutant("asked for lake")
def local_only_is_not_read() -> None:
    load._server_ceiling = lambda *_args: (Egress.VENDOR, [])


@mutant("asked for named")
def plans_and_connector_ignore_the_ceiling() -> None:
    widen(lambda _features: True)


@mutant("asked away at /v1/embeddings")
def embeddings_have_no_ceiling() -> None:
    widen(lambda features: features.operation == "embeddings")


@mutant("asked away at /v1/images", "asked away at /v1/audio")
def single_calls_have_no_ceiling() -> None:
    widen(lambda features: features.operation in {"image_generation", "transcription", "speech"})


@mutant("fallback bait fails-empty")
def escalation_goes_beyond_the_ceiling() -> None:
    deafen()
    real = plan._escalate
    plan._escalate = lambda rule, demand, _judged: real(rule, msgspec.structs.replace(demand, ceiling_rank=2), {})


@mutant("redirect hop")
def redirects_are_followed() -> None:
    real = http.Upstreams.open

    async def following(self: Any, call: Any) -> Any:
        exchange = await real(self, call)
        to = exchange.headers.get("location")
        if 300 <= exchange.status < 400 and to:
            touch(urllib.parse.urlsplit(to).hostname or "", 80)
        return exchange

    http.Upstreams.open = following


@mutant("api /v1/chat")
def proxy_variables_are_honoured() -> None:
    def by_proxy(*_args: Any, **_kwargs: Any) -> None:
        proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
        touch(proxy.hostname or "", proxy.port or 80)

    before(connector.Connector, "connect", by_proxy)


@mutant()
def names_are_resolved_before_they_are_judged() -> None:
    def resolve(config: Any, *_args: Any) -> None:
        for runtime in config.runtimes.values():
            if runtime.base_url:
                with contextlib.suppress(OSError):
                    socket.getaddrinfo(connector.read_base_url(runtime.base_url).host, 443)

    before(server_app, "make_snapshot", resolve)


@mutant()
def checking_a_configuration_looks_names_up() -> None:
    before(assembly, "check_runtime", lambda *_args: touch("rack.team.example", 8000))


@mutant()
def keys_are_verified_when_they_are_read() -> None:
    before(load, "fetch", lambda *_args: touch("api.openai.com", 443))


@mutant()
def discovery_probes_a_vendor() -> None:
    before(discovering.Discovering, "look", lambda *_args: touch("api.anthropic.com", 443))


@mutant("image http://11")
def addresses_of_images_are_fetched() -> None:
    def fetch(block: bytes) -> None:
        at = block.find(b"http://", block.find(b"image_url"))
        if at >= 0:
            touch(urllib.parse.urlsplit(block[at:].split(b'"')[0].decode()).hostname or "")

    before(features, "count_in_block", fetch)


@mutant("image http://11", "video_url in a chat", "image address among documents")
def engines_are_sent_addresses() -> None:
    plan._why_not_fetched = lambda *_args: None


@mutant("hosted tool web_search")
def engines_are_offered_searches() -> None:
    responses_relay.without_searches = lambda _top: {}
    chat_attempt.without_searches = lambda request, _format: request
    addresses.is_search = lambda _kind: False


@mutant("steered by kv_transfer_params")
def engines_are_told_where_to_fetch_from() -> None:
    body.refuse_steering = lambda _names: None


@mutant("steered by MODEL at /api/chat")
def a_second_name_of_the_model_is_passed_on() -> None:
    real = body.refuse_steering
    body.refuse_steering = lambda names: real([name for name in names if name.islower()])


@mutant()
def updates_are_looked_for() -> None:
    before(server_app.App, "start", lambda _self: touch("pypi.org", 443))


@mutant("api /v1/chat")
def telemetry_is_exported() -> None:
    def export(*_args: Any, **_kwargs: Any) -> None:
        endpoint = urllib.parse.urlsplit(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"span", (endpoint.hostname, endpoint.port))

    before(log.Log, "event", export)


@mutant("api /v1/chat")
def a_plugin_brings_its_own_client() -> None:
    def call_home(*_args: Any, **_kwargs: Any) -> None:
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            httpx.Client(trust_env=False, timeout=0.5).get("http://plugin.example/audit")

    before(http.Upstreams, "open", call_home)


@mutant("model named")
def a_model_named_as_an_address_is_asked_there() -> None:
    def ask(features: Any, *_args: Any) -> None:
        if features.asked_model.startswith(("http://", "https://")):
            touch(urllib.parse.urlsplit(features.asked_model).hostname or "")

    before(intake, "make_plan", ask)


@mutant("api /v1/messages/count_tokens")
def tokens_are_counted_by_a_vendor() -> None:
    before(counts.CountTokensEndpoint, "_serve", lambda *_args: touch("api.anthropic.com", 443))


@mutant()
def a_c_library_calls_home() -> None:
    before(server_app.App, "start", lambda _self: ctypes.CDLL(None).gethostbyname(b"telemetry.example"))


@mutant()
def a_child_program_calls_home() -> None:
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('11.22.33.44', 9))"
    before(server_app.App, "start", lambda _self: subprocess.run([sys.executable, "-c", code], check=False))


if __name__ == "__main__":
    audit_hook.watch_egress = lambda *_args: None
    MUTANTS[sys.argv[1]][1]()
    del sys.argv[1]
    main()
