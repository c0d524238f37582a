"""What `freehold serve` says when it serves: where, how far calls may go, every runtime with its models."""

import sys

from freehold.cli import show
from freehold.gateways.discovery import Sighting
from freehold.runtime import Placed
from freehold.server.app import App
from freehold.server.endpoints.health import RuntimeStatus

ON_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""What listens on all addresses is reached here at this one."""


def print_banner(app: App, host: str, port: int) -> None:
    """Once, on standard output."""
    policy = app.config.policy
    named = ON_EVERY_ADDRESS.get(host, host)
    url = f"http://{f'[{named}]' if ':' in named else named}:{port}"
    others = ", and at every other address of this machine" if host in ON_EVERY_ADDRESS else ""
    key = "any key" if app.config.server_key is None else "the key of server.api_key"
    print(f"Freehold serves on {url}{others}  (policy {policy.version})")
    print(f"  OpenAI clients:    base URL {url}/v1, {key}")
    print(f"  Anthropic clients: base URL {url}, {key}")
    print(f"  Ollama clients:    OLLAMA_HOST={url}, {key}")
    print(f"  nothing goes further than {policy.server_ceiling}")
    for status in app.readiness().runtimes:
        print(show.one_line(f"  {status.egress:<11} {status.name}: {_state(app, status)}".rstrip()))
        for deployment in status.deployments:
            print(show.one_line(f"              {describe(policy.placed[deployment])}"))
    for sighting in app.discovering.sightings:
        for line in not_used(sighting):
            print(show.folded("  not used    ", show.one_line(line)))
    for note in app.config.base.notes:
        print(show.folded("  not used    ", show.one_line(note)))
    sys.stdout.flush()


def describe(placed: Placed) -> str:
    """A deployment and the context it serves, where that is known."""
    context = placed.deployment.abilities.context
    return f"{placed.id}{f'  {context} tokens' if context is not None else ''}"


def not_used(sighting: Sighting) -> list[str]:
    """What answers on loopback and is not listed, and why."""
    if sighting.kind != "engine":
        return [f"{sighting.origin}: {sighting.why}"]
    farther = [f"{sighting.origin} ({sighting.name}) counts as {sighting.egress}: {sighting.why}"] if sighting.why else []
    return [*farther, *(f"{sighting.name} {one.name}: {one.why}" for one in sighting.left_out)]


def _state(app: App, status: RuntimeStatus) -> str:
    if status.status == "starting":
        return "is starting; the log says when it is ready"
    runtime = app.config.runtimes.get(status.name)
    key = f", key from {runtime.api_key.removeprefix('env:')}" if runtime is not None and runtime.api_key else ""
    return f"{status.status} {status.detail}{key if status.status == 'found' else ''}"
