"""Checks that need more than one field: addresses against kinds, keys against places, names against each other.

Each returns problems with the path in `freehold.toml`, what stands there and what would be right. Never the text of a
URL or key: either may hold a secret. Not done here: rules and aliases (`policy.references`).
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from freehold.config.checking_prices import check_machine, check_price
from freehold.config.secrets import parse_reference
from freehold.config.settings import ServerSettings
from freehold.gateways.connector import Address, read_base_url, read_literal
from freehold.policy.problems import Problem, suggest
from freehold.runtime import SINGLE_OPERATIONS, Deployment, Egress, Local, Model, Runtime, Vendor

SPOKEN_FORMATS = ("openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "ollama")
"""The wire formats this version can speak to a runtime."""
NO_FAMILY = "none"
"""Of a model that does not fill in the middle, whatever its name says."""
_RESERVED = frozenset(Egress)
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_ORIGIN = re.compile(r"null|[A-Za-z][A-Za-z0-9+.-]{0,40}://[^/\\\s*?#@]{1,253}")
_POSITIVE = ("connect_timeout_s", "first_content_timeout_s", "chunk_timeout_s", "total_timeout_s", "max_connections")


def check_runtime(runtime: Runtime, path: str, quirks: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong with one runtime by itself."""
    yield from check_name(runtime.name, f"{path}.name")
    launch = runtime.launch if isinstance(runtime, Local) else None
    if runtime.base_url is not None and launch is not None:
        yield Problem(f"{path}.base_url", "stands beside `launch`", "Freehold chooses the address of an engine it starts")
    elif runtime.base_url is not None:
        yield from _check_base_url(runtime, runtime.base_url, f"{path}.base_url")
    elif launch is None:
        where = "or `launch` for an engine that Freehold starts" if isinstance(runtime, Local) else "such as https://host/v1"
        yield Problem(f"{path}.base_url", "is missing", where)
    if launch is not None:
        for field in ("context", "slots", "threads"):
            value = getattr(launch, field)
            if value is not None and value < 1:
                yield Problem(f"{path}.launch.{field}", f"{value} is less than 1")
    yield from check_reference(runtime.api_key, f"{path}.api_key")
    yield from _check_formats(runtime, path)
    yield from _check_quirks(runtime.quirks, path, quirks)
    yield from check_machine(runtime, path)
    for field in _POSITIVE:
        value = getattr(runtime, field)
        if not (math.isfinite(value) and value > 0):
            yield Problem(f"{path}.{field}", f"{value} is not a finite number above 0")
    if not (math.isfinite(runtime.queue_wait_s) and runtime.queue_wait_s >= 0):
        yield Problem(f"{path}.queue_wait_s", f"{runtime.queue_wait_s} is not a finite number of seconds", "0 never waits")


def check_deployment(
    deployment: Deployment, path: str, runtime: Runtime | None, known: Sequence[str], quirks: Mapping[str, object]
) -> Iterator[Problem]:
    """What is wrong with one deployment. `known` are all names of runtimes, those with problems included."""
    yield from check_name(deployment.id, f"{path}.id")
    yield from check_name(deployment.model, f"{path}.model")
    if deployment.runtime not in known:
        yield Problem(f"{path}.runtime", f"'{deployment.runtime}' is no runtime", suggest(deployment.runtime, known))
    abilities = deployment.abilities
    for field in ("context", "max_output"):
        value = getattr(abilities, field)
        if value is not None and value < 1:
            yield Problem(f"{path}.abilities.{field}", f"{value} is less than 1", "leave it out when it is not known")
    if (
        not abilities.chat
        and not abilities.completion
        and not any(getattr(abilities, operation) for operation in SINGLE_OPERATIONS)
    ):
        remedy = f"a deployment does at least one of chat, completion, {', '.join(SINGLE_OPERATIONS)}"
        yield Problem(f"{path}.abilities", "neither chat nor any other operation", remedy)
    if isinstance(runtime, Local) and runtime.launch is not None and (abilities.context or 0) > runtime.launch.context:
        message = f"{abilities.context} is more than the {runtime.launch.context} tokens `launch.context` gives"
        yield Problem(f"{path}.abilities.context", message)
    if isinstance(runtime, Local) and deployment.served_as.casefold().endswith((":cloud", "-cloud")):
        message = f"'{deployment.served_as}' is relayed to a vendor by the local server, so it is not local"
        yield Problem(f"{path}.served_as", message, "put it on a runtime of kind vendor")
    if deployment.price is not None:
        yield from check_price(deployment.price, f"{path}.price")
    yield from _check_quirks(deployment.quirks, path, quirks)


def check_server(server: ServerSettings) -> Iterator[Problem]:
    """Who may reach this server: anything but loopback needs a key."""
    yield from check_reference(server.api_key, "server.api_key")
    for index, name in enumerate(server.allowed_hosts):
        if _HOST.fullmatch(name) is None:
            message = f"'{name[:80]}' is no name of a host: each is written out, without a scheme or a path"
            yield Problem(f"server.allowed_hosts[{index}]", message, "such as gateway.example.com or gateway.example.com:8840")
    for index, origin in enumerate(server.allowed_origins):
        if _ORIGIN.fullmatch(origin) is None:
            message = (
                f"'{origin[:80]}' is no Origin: a browser sends scheme, host and port, without a path or a slash behind them"
            )
            yield Problem(f"server.allowed_origins[{index}]", message, "such as http://localhost:3000; each is written out")
    if server.host != "localhost" and read_literal(server.host) is None:
        yield Problem("server.host", f"'{server.host}' is no IP address", "an address of this machine, or localhost")
    elif server.api_key is None and not server.require_keys and not is_loopback(server.host):
        message = f"{server.host} can be reached from other machines, and no key is asked for"
        yield Problem(
            "server.host", message, 'set server.api_key = "env:NAME" or server.require_keys = true, or listen on 127.0.0.1'
        )


def check_families(models: Iterable[tuple[Model, str]], families: Mapping[str, object]) -> Iterator[Problem]:
    """A model's `fim` names a family of `data/fim.toml`, or none. `models` are (model, path)."""
    for model, path in models:
        if model.fim is not None and model.fim != NO_FAMILY and model.fim not in families:
            remedy = suggest(model.fim, [*families, NO_FAMILY])
            yield Problem(f"{path}.fim", f"'{model.fim}' is no family that fills in the middle", remedy)


def check_reference(reference: str | None, path: str) -> Iterator[Problem]:
    """A key must be a reference."""
    if reference is not None:
        try:
            parse_reference(reference)
        except ValueError as error:
            yield Problem(path, str(error))


def check_name(name: str, path: str) -> Iterator[Problem]:
    """Names stand in rules, headers and logs: they must be plain."""
    if not name or not name.isprintable() or any(character.isspace() or character in "*?,'\"" for character in name):
        yield Problem(path, "is empty or has spaces, quotes, commas or wildcards", "letters, digits and ./:-_@ are fine")
    elif name in _RESERVED:
        yield Problem(path, f"'{name}' is the name of an egress class", "choose another one")


def check_unique(names: Sequence[tuple[str, str]], kind: str, built_in: Sequence[str] = ()) -> Iterator[Problem]:
    """No two of a kind have one name. `names` are (name, path); `built_in` came first, from the built-in policy."""
    seen = dict.fromkeys(built_in, "the built-in policy")
    for name, path in names:
        if name in seen:
            remedy = "[defaults] embedded = false leaves the built-in one out" if name in built_in else "names are unique"
            yield Problem(path, f"'{name}' is already a {kind} in {seen[name]}", remedy)
        else:
            seen[name] = path


def is_loopback(host: str) -> bool:
    """Whether a host is this machine without asking anybody: a loopback literal or exactly `localhost`."""
    literal = read_literal(host)
    return host == "localhost" if literal is None else literal.is_loopback


def carries_key_in_clear(runtime: Runtime) -> bool:
    """Whether the runtime's key crosses a network without encryption. For runtimes that passed `check_runtime`."""
    if runtime.api_key is None or runtime.base_url is None:
        return False
    address = read_base_url(runtime.base_url)
    return not address.tls and not is_loopback(address.host)


def _check_base_url(runtime: Runtime, base_url: str, path: str) -> Iterator[Problem]:
    try:
        address: Address = read_base_url(base_url)
    except ValueError as error:
        yield Problem(path, str(error))
        return
    if isinstance(runtime, Local) and not is_loopback(address.host):
        message = f"{address.host} is not this machine, so the runtime is not local"
        yield Problem(path, message, 'kind = "self_hosted" for a server of your own, "vendor" for somebody else\'s')
    if isinstance(runtime, Vendor) and not address.tls and not is_loopback(address.host):
        yield Problem(path, "is plain http, so prompts and keys would cross the internet readable", "use https://")


BATCH_FORMATS = ("openai_chat", "openai_responses", "openai_completions")
"""Of lines that a vendor's Batch API takes."""


def _check_formats(runtime: Runtime, path: str) -> Iterator[Problem]:
    if not runtime.formats:
        yield Problem(f"{path}.formats", "is empty", f"valid: {', '.join(SPOKEN_FORMATS)}")
    for index, wire_format in enumerate(runtime.formats):
        if wire_format not in SPOKEN_FORMATS:
            message = f"'{wire_format}' is not spoken to runtimes by this version"
            yield Problem(f"{path}.formats[{index}]", message, f"valid: {', '.join(SPOKEN_FORMATS)}")
    if isinstance(runtime, Vendor) and runtime.batch_api and not any(one in BATCH_FORMATS for one in runtime.formats):
        message = "says that it has OpenAI's Batch API, and it speaks none of the formats that has"
        yield Problem(f"{path}.batch_api", message, f"formats: one of {', '.join(BATCH_FORMATS)}")


def _check_quirks(used: Sequence[str], path: str, quirks: Mapping[str, object]) -> Iterator[Problem]:
    for index, quirk in enumerate(used):
        if quirk not in quirks:
            yield Problem(f"{path}.quirks[{index}]", f"'{quirk}' is no quirk", suggest(quirk, quirks))


def with_implied(deployment: Deployment, runtime: Runtime) -> Deployment:
    """The deployment with what follows from its runtime, where the file does not say it.

    A launched engine's window; that `json_schema` on a Messages runtime is that format's structured output, and `reasoning`
    on an Ollama one its `think`.
    """
    abilities, quirks = deployment.abilities, deployment.quirks
    launch = runtime.launch if isinstance(runtime, Local) else None
    if launch is not None and launch.engine == "llama" and abilities.context is None:
        abilities = msgspec.structs.replace(abilities, context=launch.context)
    if (
        abilities.json_schema
        and "anthropic_messages" in runtime.formats
        and "structured_output" not in (*quirks, *runtime.quirks)
    ):
        quirks = (*quirks, "structured_output")
    if abilities.reasoning and "ollama" in runtime.formats and "think" not in (*quirks, *runtime.quirks):
        quirks = (*quirks, "think")
    return msgspec.structs.replace(deployment, abilities=abilities, quirks=quirks)
