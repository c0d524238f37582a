"""Liveness, readiness, and the small probes that clients send before they talk."""

from collections.abc import Callable, Mapping

import msgspec

from freehold import __version__
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER

_encode = msgspec.json.Encoder().encode


class RuntimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime as it stands now."""

    name: str
    egress: str
    status: str
    """`ready`, `starting`, `failed`, `no_weights`, `stopped` for engines; `configured` for runtimes at an address,
    `found` for those no file says; `down`."""
    detail: str = ""
    context: int | None = None
    deployments: tuple[str, ...] = ()


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What `/readyz` answers."""

    ready: bool
    version: str
    policy_version: str
    local_only: bool
    runtimes: tuple[RuntimeStatus, ...]
    stopping: bool = False
    """Running answers are ended, new ones are not begun."""
    config_problems: tuple[str, ...] = ()
    """Where the configuration's file is wrong since it changed; the last good one keeps serving. `freehold check` says more."""
    waits_for_restart: tuple[str, ...] = ()
    """Settings that the file changed, and that only a start can change."""


class HealthEndpoint:
    """`/healthz`: the process answers. Also `GET /` and `HEAD /api/hello`, which clients use to see whether we are there."""

    async def __call__(self, conversation: Conversation, _headers: Mapping[str, str]) -> None:
        """200, always."""
        await conversation.send_whole(200, [JSON_HEADER], _encode({"status": "ok", "name": "freehold", "version": __version__}))


class ReadyEndpoint:
    """`/readyz`: 200 when some chat deployment can serve and the server is not stopping, else 503 with why not."""

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    async def __call__(self, conversation: Conversation, _headers: Mapping[str, str]) -> None:
        """The state of every runtime."""
        readiness = self._readiness()
        await conversation.send_whole(200 if readiness.ready else 503, [JSON_HEADER], _encode(readiness))
