"""One HTTP conversation: reads the body, sends the answer, notices a client that goes away.

Promised: a client that leaves is noticed within `NOTICE_AFTER_S` plus one loop turn, in every phase, streamed or
not; a stream that waits is kept alive with SSE comments, which commit the head but no content. The watch costs
nothing for requests that are answered before it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from freehold.fault import FaultError, Kind, faulty

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

NOTICE_AFTER_S = 0.05
BODY_DEADLINE_S = 60.0


def stream_headers(content_type: bytes) -> RawHeaders:
    """The head of every stream."""
    return [(b"content-type", content_type), (b"cache-control", b"no-cache")]


class Conversation:
    """One request and its response."""

    __slots__ = (
        "_body_deadline_s",
        "_closes",
        "_comment",
        "_keep_alive_s",
        "_main",
        "_receive",
        "_send",
        "_timer",
        "_waiting_headers",
        "_watch",
        "client_is_gone",
        "head_is_sent",
    )

    def __init__(self, receive: Receive, send: Send, keep_alive_s: float, *, body_deadline_s: float = BODY_DEADLINE_S) -> None:
        self._receive = receive
        self._send = send
        self._keep_alive_s = keep_alive_s
        self._body_deadline_s = body_deadline_s
        self._closes = False
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._main: asyncio.Task[Any] | None = None
        self._waiting_headers: RawHeaders | None = None
        self._comment = b""
        self.head_is_sent = False
        self.client_is_gone = False

    async def read_body(self, limit_bytes: int, declared_bytes: str | None) -> bytes:
        """The whole body. Raises FaultError: TOO_LARGE, CLIENT_GONE, INVALID_REQUEST when it takes too long."""
        if declared_bytes is not None and declared_bytes.isdecimal() and int(declared_bytes) > limit_bytes:
            raise _too_large(limit_bytes)
        try:
            async with asyncio.timeout(self._body_deadline_s):
                message = await self._receive()
                if message["type"] == "http.request" and not message.get("more_body"):
                    body: bytes = message.get("body", b"")
                else:
                    body = await self._read_rest(message, limit_bytes)
        except TimeoutError:
            self._closes = True
            raise faulty(Kind.INVALID_REQUEST, f"the body did not arrive within {self._body_deadline_s:g} s") from None
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        return body

    async def _read_rest(self, message: Message, limit_bytes: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while message["type"] != "http.disconnect":
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await self._receive()
        self.client_is_gone = True
        raise faulty(Kind.CLIENT_GONE, "the client left while sending its request")

    def watch(self, waiting_headers: RawHeaders | None, comment: bytes = b"") -> None:
        """From now on cancel the current task when the client leaves.

        `waiting_headers`: the head to commit when a stream has to wait; None for a whole answer, which cannot.
        `comment` is what then keeps it alive, b"" where its format has nothing of the kind.
        """
        self._comment = comment
        self._main = asyncio.current_task()
        self._waiting_headers = waiting_headers
        self._timer = asyncio.get_running_loop().call_later(NOTICE_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while not self.client_is_gone:
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    message = await self._receive()
            except TimeoutError:
                await self._keep_alive()
                continue
            if message["type"] == "http.disconnect":
                self.client_is_gone = True
                if self._main is not None:
                    self._main.cancel()

    async def _keep_alive(self) -> None:
        if self._waiting_headers is not None and not self.head_is_sent:
            await self.send_head(200, self._waiting_headers)
        if self._waiting_headers is not None and self._comment:  # content may have begun while the head went out
            await self.send_body(self._comment, more=True)

    def content_begins(self) -> None:
        """No keep-alive any more: a comment could land inside an event."""
        self._waiting_headers = None

    def answer_is_decided(self) -> None:
        """A client that leaves from now on cancels nothing: there is only a last word to say."""
        self._waiting_headers = None
        self._main = None

    def stop_watching(self) -> None:
        """The answer is out, or will not come."""
        self._waiting_headers = None
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def send_head(self, status: int, headers: RawHeaders) -> None:
        """Commit the head."""
        self.head_is_sent = True
        if self._closes:
            headers = [*headers, (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send_body(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the body; the last one has `more=False`."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def send_whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Head and body at once."""
        await self.send_head(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.send_body(body)


def _too_large(limit_bytes: int) -> FaultError:
    return faulty(
        Kind.TOO_LARGE,
        f"the body is over the limit of {limit_bytes} bytes; raise server.max_body_bytes if it must be larger",
        limit_bytes=limit_bytes,
    )
