"""The ASGI callable: the door, the routes, and nothing in between.

The door comes first, on every path: a Host that is not on the allow-list (DNS rebinding) and an Origin that is not
(a web page in the user's browser) are refused before anything is read.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from freehold.fault import Fault, Kind
from freehold.ledger.ids import RANDOM_BYTES, new_id
from freehold.server.delivery import Conversation, Message, Receive, Send
from freehold.server.faults import FaultWriter, send_fault
from freehold.telemetry.log import Log

SINGLE_HEADERS = frozenset({"host", "origin", "authorization", "x-api-key", "content-length", "content-type"})
"""Said twice, two programs may read two values: who asks, and from where, must have one meaning."""


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


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], Fault | None]:
    """Headers by lower-case name, repeated ones joined by `, `; and a refusal where one of `SINGLE_HEADERS` is repeated."""
    headers: dict[str, str] = {}
    refusal: Fault | None = None
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name in SINGLE_HEADERS:
            refusal = Fault(kind=Kind.INVALID_REQUEST, message=f"the header {name} is said twice; say it once", param=name)
        else:
            headers[name] = f"{headers[name]}, {value}"
    return headers, refusal


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
        log: Log,
    ) -> None:
        self._routes = dict(routes)
        self._tails = dict(tails)
        self.door = door
        self._speller_of = speller_of
        self._keep_alive_s = keep_alive_s
        self._start = start
        self._stop = stop
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._log = log

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        headers, refusal = read_headers(scope["headers"])
        conversation = Conversation(receive, send, self._keep_alive_s)
        path: str = scope["path"]
        refusal = refusal or self.door.refusal(headers)
        if refusal is not None:
            await self._refuse(conversation, path, headers, refusal)
            return
        try:
            await self._answer(conversation, scope["method"], path, headers)
        except Exception as error:
            self._log.defect("request.defect", error, path=path)
            if conversation.head_is_sent:
                raise
            fault = Fault(kind=Kind.INTERNAL, message="a defect of Freehold; the log has it")
            await self._refuse(conversation, path, headers, fault)

    async def _answer(self, conversation: Conversation, method: str, path: str, headers: Mapping[str, str]) -> None:
        """HEAD is answered as GET is; the server leaves the body out."""
        if method == "HEAD":
            method = "GET"
        endpoint = self._routes.get((method, path))
        if endpoint is not None:
            await endpoint(conversation, headers)
            return
        for prefix, tail in self._tails.items():
            if path.startswith(prefix):
                if method == "GET":
                    await tail(conversation, headers, path[len(prefix) :])
                else:
                    await self._refuse_method(conversation, path, headers, ["GET"])
                return
        allowed = sorted(known for known, at in self._routes if at == path)
        if allowed:
            await self._refuse_method(conversation, path, headers, allowed)
        else:
            fault = Fault(kind=Kind.NOT_FOUND, message="there is nothing at this path; see docs/clients.md for what is served")
            await self._refuse(conversation, path, headers, fault)

    async def _refuse_method(self, conversation: Conversation, path: str, headers: Mapping[str, str], allowed: list[str]) -> None:
        names = ", ".join([*allowed, "HEAD"] if "GET" in allowed else allowed)
        fault = Fault(kind=Kind.METHOD_NOT_ALLOWED, message=f"this method is not allowed here; allowed: {names}")
        await self._refuse(conversation, path, headers, fault, (b"allow", names.encode()))

    async def _refuse(
        self,
        conversation: Conversation,
        path: str,
        headers: Mapping[str, str],
        fault: Fault,
        *more_headers: tuple[bytes, bytes],
    ) -> None:
        request_id = new_id("req_", self._now_ms(), self._random_bytes(RANDOM_BYTES))
        await send_fault(conversation, self._speller_of(path, headers), fault, request_id, *more_headers)

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
