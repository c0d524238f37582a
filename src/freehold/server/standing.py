"""How a runtime stands, in the words of `/readyz` and `freehold runtimes`.

Promised: an engine that Freehold starts stands as its supervisor says; any other is up until a request or a look found it
down. Not done: looking; this only words what is known.
"""

from freehold.local.supervisor import EngineState
from freehold.runtime import Runtime, egress_of
from freehold.server.endpoints.health import RuntimeStatus


def status_of(
    runtime: Runtime, state: EngineState | None, down: str | None, *, is_found: bool, deployments: tuple[str, ...]
) -> RuntimeStatus:
    """`state`: of the engine, where it is one of ours; `down`: why nothing is sent there now; `is_found`: no file names it."""
    if state is not None:
        status: str = state.status
        detail = "" if status == "ready" else (down or "")
    else:
        up = "found" if is_found else "configured"
        status, detail = (up, runtime.base_url or "") if down is None else ("down", down)
    return RuntimeStatus(
        name=runtime.name,
        egress=egress_of(runtime).value,
        status=status,
        detail=detail,
        context=state.context if state is not None else None,
        deployments=deployments,
    )
