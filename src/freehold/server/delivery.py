"""One HTTP conversation: hands out the request's body, sends the answer, notices a client that goes away.

Promised: a client that leaves is noticed within one loop turn, in every phase, streamed or not; a stream that waits is
kept alive with its format's comments, which commit the head but no content; a client that reads slowly is waited for,
with a bounded buffer. Nothing here parses or frames HTTP: `server.request_reader` and `server.connection` do.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from freehold.fault import FaultError, Kind, faulty

RawHeaders = list[tuple[bytes, bytes]]

BODY_DEADLINE_S = 60.0
UNREAD_BYTES = 256 * 1024
"""Of a body that nobody has asked for yet; beyond it the client waits."""


def stream_headers(content_type: bytes) -> RawHeaders:
    """The head of every stream."""
    return [(b"content-type", content_type), (b"cache-control", b"no-cache")]


class Line(Protocol):
    """What a conversation needs of the connection it is held on."""

    loop: asyncio.AbstractEventLoop
    keep_alive_s: float

    def hold(self) -> None:
        """Take no more bytes from the client for now."""

    def resume(self) -> None:
        """Take bytes again."""

    def write_head(self, conversation: "Conversation", status: int, headers: RawHeaders) -> None:
        """Write the head of an answer of unknown length."""

    def write_body(self, conversation: "Conversation", body: bytes, *, more: bool) -> None:
        """Write a piece of it."""

    def write_whole(self, conversation: "Conversation", status: int, headers: RawHeaders, body: bytes) -> None:
        """Write a whole answer."""

    def room(self) -> asyncio.Future[None] | None:
        """Done when the client has read enough; None: it has."""


class Conversation:
    """One request and its response."""

    __slots__ = (
        "_broken",
        "_comment",
        "_line",
        "_main",
        "_more",
        "_piece",
        "_pieces",
        "_size",
        "_timer",
        "_waiting_headers",
        "body_is_whole",
        "client_is_gone",
        "closes",
        "extra_headers",
        "head_is_sent",
        "headers",
        "is_chunked",
        "is_over",
        "keeps_alive",
        "limit_bytes",
        "method",
        "path",
        "query",
        "refusal",
        "version",
    )

    def __init__(self, line: Line) -> None:
        self._line = line
        self.method = ""
        self.path = ""
        """Decoded; the query is not part of it."""
        self.query = ""
        """As it was sent, without the `?`."""
        self.version = "1.1"
        self.headers: Mapping[str, str] = {}
        """By lower-case name; repeated ones joined by `, `."""
        self.refusal: FaultError | None = None
        """What the head alone was refused for."""
        self.keeps_alive = True
        """The client wants to ask again on this connection."""
        self.closes = False
        """We do not want it to."""
        self.extra_headers: RawHeaders = []
        """Sent with every answer of this conversation."""
        self.body_is_whole = False
        self.limit_bytes = UNREAD_BYTES
        self.head_is_sent = False
        self.is_chunked = False
        self.is_over = False
        """The answer is out, whole."""
        self.client_is_gone = False
        self._piece = b""
        self._pieces: bytearray | None = None
        self._size = 0
        self._more: asyncio.Future[None] | None = None
        self._broken: FaultError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._main: asyncio.Task[Any] | None = None
        self._waiting_headers: RawHeaders | None = None
        self._comment = b""

    # Told by the connection.

    def take(self, piece: bytes) -> None:
        """A piece of the body."""
        self._size += len(piece)
        if self._pieces is not None:
            self._pieces += piece
        elif not self._piece:
            self._piece = piece
        else:
            self._pieces = bytearray(self._piece)
            self._pieces += piece
        if self._size > self.limit_bytes:
            self._line.hold()
            self._wake()

    def body_ends(self) -> None:
        """All of the body is there."""
        self.body_is_whole = True
        self._wake()

    def broke(self, error: FaultError) -> None:
        """The rest of the body cannot be understood."""
        self.closes = True
        self._broken = error
        self._wake()

    def client_left(self) -> None:
        """The connection is gone."""
        self.client_is_gone = True
        self._wake()
        if self._main is not None:
            self._main.cancel()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # Asked by endpoints.

    async def read_body(self, limit_bytes: int, declared_bytes: str | None, deadline_s: float = BODY_DEADLINE_S) -> bytes:
        """The whole body. Raises FaultError: TOO_LARGE, CLIENT_GONE, REQUEST_TIMEOUT when it takes too long."""
        if not self.body_is_whole:
            if declared_bytes is not None and declared_bytes.isdecimal() and int(declared_bytes) > limit_bytes:
                raise _too_large(limit_bytes)
            await self._read_rest(limit_bytes, deadline_s)
        if self._size > limit_bytes:
            raise _too_large(limit_bytes)
        if self._pieces is None:
            return self._piece
        body, self._pieces = bytes(self._pieces), bytearray()
        return body

    def give_back(self, body: bytes) -> None:
        """The whole body was read, and is to be read once more."""
        self._piece, self._pieces = body, None

    async def _read_rest(self, limit_bytes: int, deadline_s: float) -> None:
        if "expect" in self.headers:
            self._line.write_head(self, 100, [])
        self.limit_bytes = limit_bytes
        self._line.resume()
        loop = self._line.loop
        self._more = loop.create_future()
        timer = loop.call_later(deadline_s, self._wake)
        try:
            if self._size <= limit_bytes and not self.client_is_gone and self._broken is None:
                await self._more
        finally:
            self._more = None
            timer.cancel()
        if self.client_is_gone:
            raise faulty(Kind.CLIENT_GONE, "the client left while sending its request")
        if self._broken is not None:
            raise self._broken
        if not self.body_is_whole and self._size <= limit_bytes:
            raise faulty(Kind.REQUEST_TIMEOUT, f"the body did not arrive within {deadline_s:g} s")

    def watch(self, waiting_headers: RawHeaders | None, comment: bytes = b"") -> None:
        """From now on cancel the current task when the client leaves.

        `waiting_headers`: the head to commit when a stream has to wait; None for a whole answer, which cannot.
        `comment` is what then keeps it alive, b"" where its format has nothing of the kind.
        """
        self._main = asyncio.current_task(self._line.loop)
        if self.client_is_gone and self._main is not None:
            self._main.cancel()
        if waiting_headers is not None:
            self._waiting_headers = waiting_headers
            self._comment = comment
            self._timer = self._line.loop.call_later(self._line.keep_alive_s, self._keep_alive)

    def _keep_alive(self) -> None:
        if self._waiting_headers is None or self.client_is_gone:
            return
        if not self.head_is_sent:
            self.head_is_sent = True
            self._line.write_head(self, 200, self._waiting_headers)
        if self._comment and self._line.room() is None:
            self._line.write_body(self, self._comment, more=True)
        self._timer = self._line.loop.call_later(self._line.keep_alive_s, self._keep_alive)

    @property
    def is_kept_alive(self) -> bool:
        """What goes out now are comments: the answer did not begin."""
        return self._waiting_headers is not None

    @property
    def line(self) -> Line:
        """What it is held on."""
        return self._line

    def send_through(self, line: Line) -> None:
        """From now on all that is sent goes through this one, which stands in front of the connection."""
        self._line = line

    def content_begins(self) -> None:
        """No keep-alive any more: a comment could land inside an event."""
        self._waiting_headers = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answer_is_decided(self) -> None:
        """A client that leaves from now on cancels nothing: there is only a last word to say."""
        self.content_begins()
        self._main = None

    def stop_watching(self) -> None:
        """The answer is out, or will not come."""
        self.answer_is_decided()

    async def send_head(self, status: int, headers: RawHeaders) -> None:
        """Commit the head of an answer whose length is not known, or stands among the headers."""
        self.head_is_sent = True
        self._line.write_head(self, status, headers)

    def write_piece(self, body: bytes) -> asyncio.Future[None] | None:
        """Send a piece of the body that is not the last. What to wait for where the client has much left to read; None: nothing."""
        line = self._line
        line.write_body(self, body, more=True)
        return line.room()

    async def send_body(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the body; the last one has `more=False`. Waits while the client has much left to read."""
        self._line.write_body(self, body, more=more)
        room = self._line.room()
        if room is not None:
            await room

    async def send_whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Head and body at once."""
        self.head_is_sent = True
        self._line.write_whole(self, status, headers, body)
        room = self._line.room()
        if room is not None:
            await room


def _too_large(limit_bytes: int) -> FaultError:
    return faulty(
        Kind.TOO_LARGE,
        f"the body is over the limit of {limit_bytes} bytes; raise server.max_body_bytes if it must be larger",
        limit_bytes=limit_bytes,
    )
