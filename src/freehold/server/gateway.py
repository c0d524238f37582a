"""The gateway as its listener sees it: the door, the routes, and nothing in between.

The door comes first, on every path (`server.door`). Pages of an allowed Origin get the CORS headers their browser asks for.
"""

from collections.abc import Awaitable, Callable, Mapping
from itertools import takewhile
from typing import Protocol

from freehold.fault import Fault, Kind
from freehold.ledger.ids import RANDOM_BYTES, new_id
from freehold.server.connection import ClientConnection
from freehold.server.delivery import Conversation
from freehold.server.door import Door
from freehold.server.faults import FaultWriter, send_fault
from freehold.telemetry.log import Log

GET_ONLY = ("GET",)
"""What a path with an id takes, unless its endpoint names its own `methods`."""
PREFLIGHT_S = 600
"""How long a browser may remember what a preflight allowed."""
EXPOSED = (
    b"x-freehold-request-id, x-freehold-runtime, x-freehold-deployment, x-freehold-egress, x-freehold-reason, retry-after, "
    b"x-freehold-warning, idempotent-replayed, x-freehold-first-request-id, x-request-id, request-id"
)


class Endpoint(Protocol):
    """Answers one request."""

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], /) -> None:
        """Send exactly one response."""


class TailEndpoint(Protocol):
    """Answers requests below a path prefix."""

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str, /) -> None:
        """Send exactly one response; `tail` is the path behind the prefix."""


class Gateway:
    """What a listener hands conversations to."""

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
        self.keep_alive_s = keep_alive_s
        """Between two comments of a stream that waits."""
        self.start = start
        """Awaited by the listener before the first request."""
        self.stop = stop
        """Awaited by the listener after the last one."""
        self.connections: set[ClientConnection] = set()
        self.is_stopping = False
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._log = log

    def joined(self, connection: ClientConnection) -> None:
        """As `House.joined`."""
        self.connections.add(connection)

    def left(self, connection: ClientConnection) -> None:
        """As `House.left`."""
        self.connections.discard(connection)

    async def serve(self, conversation: Conversation) -> None:
        """As `House.serve`."""
        headers, path = conversation.headers, conversation.path
        if conversation.refusal is not None:
            conversation.closes = True
            await self._refuse(conversation, conversation.refusal.fault)
            return
        refusal = self.door.refusal(headers) or (_refuse_coding(headers) if "content-encoding" in headers else None)
        if refusal is not None:
            await self._refuse(conversation, refusal)
            return
        try:
            if "origin" in headers:
                self._admit_page(conversation)
            await self._answer(conversation, conversation.method, path, headers)
        except Exception as error:  # noqa: BLE001 - the last resort: a defect of ours ends this request only
            self._log.defect("request.defect", error, method=conversation.method)
            if not conversation.head_is_sent:
                await self._refuse(conversation, Fault(kind=Kind.INTERNAL, message="a defect of Freehold; the log has it"))

    def _admit_page(self, conversation: Conversation) -> None:
        """The page's Origin is on the allow-list."""
        origin = conversation.headers["origin"].encode("latin-1")
        conversation.extra_headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"origin"),
        ]

    async def _answer(self, conversation: Conversation, method: str, path: str, headers: Mapping[str, str]) -> None:
        """HEAD is answered as GET is; the connection leaves the body out."""
        if method == "HEAD":
            method = "GET"
        endpoint = self._routes.get((method, path))
        if endpoint is not None:
            await endpoint(conversation, headers)
            return
        for prefix, tail in self._tails.items():
            if path.startswith(prefix):
                methods = getattr(tail, "methods", GET_ONLY)
                if method in methods:
                    await tail(conversation, headers, path[len(prefix) :])
                else:
                    await self._refuse_method(conversation, [*methods])
                return
        allowed = sorted(known for known, at in self._routes if at == path)
        if allowed:
            await self._refuse_method(conversation, allowed)
        else:
            await self._refuse(conversation, Fault(kind=Kind.NOT_FOUND, message=self._nothing_at(path)))

    def _nothing_at(self, path: str) -> str:
        """A path that only a wrong base URL leads to is told with the right one."""
        parts = [part for part in path.split("/") if part]
        inner = parts[len(parts) - len(list(takewhile(lambda part: part != "v1", reversed(parts)))) :]
        known = {at for _, at in self._routes}
        for near in ("/".join(["", *inner]), "/".join(["", "v1", *inner])):
            if inner and near != path and (near in known or near.startswith(tuple(self._tails))):
                return (
                    f"there is nothing at this path; did you mean {near[:100]}? A base URL ends in /v1 for OpenAI's clients, and at the port "
                    "for Anthropic's and Ollama's"
                )
        return "there is nothing at this path; see docs/clients.md for what is served"

    async def _refuse_method(self, conversation: Conversation, allowed: list[str]) -> None:
        names = ", ".join([*allowed, "HEAD"] if "GET" in allowed else allowed)
        if conversation.method == "OPTIONS" and "access-control-request-method" in conversation.headers:
            await self._allow(conversation, names)
            return
        fault = Fault(kind=Kind.METHOD_NOT_ALLOWED, message=f"this method is not allowed here; allowed: {names}")
        await self._refuse(conversation, fault, (b"allow", names.encode()))

    async def _allow(self, conversation: Conversation, names: str) -> None:
        """A browser asks before it lets a page send (WHATWG Fetch, "CORS-preflight request")."""
        wanted = conversation.headers.get("access-control-request-headers", "").encode("latin-1")
        headers = [
            (b"access-control-allow-methods", names.encode()),
            (b"access-control-max-age", b"%d" % PREFLIGHT_S),
            *([(b"access-control-allow-headers", wanted)] if wanted else []),
        ]
        await conversation.send_whole(204, headers if conversation.extra_headers else [], b"")

    async def _refuse(self, conversation: Conversation, fault: Fault, *more_headers: tuple[bytes, bytes]) -> None:
        request_id = new_id("req_", self._now_ms(), self._random_bytes(RANDOM_BYTES))
        speller = self._speller_of(conversation.path, conversation.headers)
        await send_fault(conversation, speller, fault, request_id, *more_headers)


def _refuse_coding(headers: Mapping[str, str]) -> Fault | None:
    """A compressed body is not unpacked: a few kilobytes could become gigabytes."""
    if headers["content-encoding"].strip().lower() in {"", "identity"}:
        return None
    return Fault(
        kind=Kind.INVALID_REQUEST, message="send the body as it is: compressed bodies are not taken", param="content-encoding"
    )
