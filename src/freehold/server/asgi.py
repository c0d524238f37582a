"""The ASGI callable: the door, the routes, and nothing in between.

The door comes first, on every path: a Host that is not on the allow-list (DNS rebinding) and an Origin that is not
(a web page in the user's browser) are refused before anything is read.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from freehold.fault import Fault, Kind
from freehold.ledger.ids import RANDOM_BYTES, new_id
from freehold.server.delivery import Conversation, Message, Receive, Send
from freehold.server.faults import FaultWriter, send_fault


class Endpoint(Protocol):
    """Answers one request."""

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], /) -> None:
        """Send exactly one response."""


class TailEndpoint(Protocol):
    """Answers requests below a path prefix."""

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str, /) -> None:
        """Send exactly one response; `tail` is the path behind the prefix."""


class Door(msgspec.Struct, frozen=True):
    """Who may knock: values of Host and Origin, lower case."""

    hosts: frozenset[str]
    """`name:port` and, for default ports, `name`."""
    origins: frozenset[str] = frozenset()

    def refusal(self, headers: Mapping[str, str]) -> Fault | None:
        """Why this request may not come in; None: it may."""
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return Fault(
                kind=Kind.FORBIDDEN, message="this Host is not on the allow-list; add it to server.allowed_hosts", param="host"
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self.origins:
            return Fault(
                kind=Kind.FORBIDDEN,
                message="this Origin is not on the allow-list; add it to server.allowed_origins",
                param="origin",
            )
        return None


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        *,
        routes: Mapping[tuple[str, str], Endpoint],
        tails: Mapping[str, TailEndpoint],
        door: Door,
        speller_of: Callable[[str, Mapping[str, str]], FaultWriter],
        keep_alive_s: float,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._routes = dict(routes)
        self._paths = {path for _, path in routes}
        self._tails = dict(tails)
        self.door = door
        self._speller_of = speller_of
        self._keep_alive_s = keep_alive_s
        self._start = start
        self._stop = stop
        self._now_ms = now_ms
        self._random_bytes = random_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        conversation = Conversation(receive, send, self._keep_alive_s)
        path: str = scope["path"]
        refusal = self.door.refusal(headers)
        if refusal is not None:
            await self._refuse(conversation, path, headers, refusal)
            return
        endpoint = self._routes.get((scope["method"], path))
        if endpoint is not None:
            await endpoint(conversation, headers)
            return
        for prefix, tail in self._tails.items():
            if path.startswith(prefix) and scope["method"] == "GET":
                await tail(conversation, headers, path[len(prefix) :])
                return
        await self._refuse(conversation, path, headers, self._unknown(scope["method"], path))

    def _unknown(self, method: str, path: str) -> Fault:
        if path in self._paths:
            allowed = sorted(known for known, at in self._routes if at == path)
            return Fault(kind=Kind.METHOD_NOT_ALLOWED, message=f"{method} is not allowed here; allowed: {', '.join(allowed)}")
        return Fault(kind=Kind.NOT_FOUND, message="there is nothing at this path; see docs/clients.md for what is served")

    async def _refuse(self, conversation: Conversation, path: str, headers: Mapping[str, str], fault: Fault) -> None:
        request_id = new_id("req_", self._now_ms(), self._random_bytes(RANDOM_BYTES))
        await send_fault(conversation, self._speller_of(path, headers), fault, request_id)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            action: Any = self._start if message["type"] == "lifespan.startup" else self._stop
            try:
                await action()
            except Exception as error:  # noqa: BLE001 - uvicorn must hear why the start failed
                await send({"type": f"{message['type']}.failed", "message": str(error)})
                return
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
