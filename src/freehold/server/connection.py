"""One connection from a client: HTTP/1.1 as a server speaks it; `server.request_reader` reads what comes in.

Promised: a head is bounded in time; a body is taken no faster than it is asked for; requests on one connection are answered
in their order, and after a refusal the connection is closed. Each connection has one timer, re-armed lazily, so that a
deadline costs no timer of its own.

Deliberately not done: HTTP/2, TLS (a proxy in front does it), upgrades, compression.
"""

import asyncio
from typing import Protocol, cast

from freehold.fault import FaultError, Kind, faulty
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.http_words import STATUS_LINES
from freehold.server.request_reader import RequestReader

HEAD_DEADLINE_S = 10.0
STALL_S = 120.0
"""A client that reads nothing for so long is gone."""
LINGER_S = 2.0
"""After a refusal a client may still be sending; it gets so long to read the answer."""
QUEUED_REQUESTS = 8
"""Sent before the answer to the one before: beyond so many the client waits."""

_CHUNKED_END = b"0\r\n\r\n"


class House(Protocol):
    """Who answers what comes in."""

    keep_alive_s: float
    """Between two comments of a stream that waits."""

    async def serve(self, conversation: Conversation) -> None:
        """Send exactly one answer; never raises."""

    def joined(self, connection: "ClientConnection") -> None:
        """A connection was opened."""

    def left(self, connection: "ClientConnection") -> None:
        """It is gone."""


class ClientConnection(asyncio.Protocol):
    """One connection, one conversation at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, house: House, idle_s: float, head_deadline_s: float) -> None:
        self.loop = loop
        self.keep_alive_s = house.keep_alive_s
        self.task: asyncio.Task[None] | None = None
        self._house = house
        self._idle_s = idle_s
        self._head_deadline_s = head_deadline_s
        self._reader = RequestReader(self, self._arrived)
        self._transport: asyncio.Transport | None = None
        self._current: Conversation | None = None
        self._queue: list[Conversation] = []
        self._head_is_timed = False
        self._held = False
        self._deaf = False
        """Nothing that still comes in is looked at."""
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        """Loop time; 0: none."""
        self._retiring = False
        self._is_fresh = True
        """No request came yet."""

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._house.joined(self)
        self._arm(self._head_deadline_s)

    def connection_lost(self, _exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._deaf = True
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        for conversation in (self._current, *self._queue):
            if conversation is not None:
                conversation.client_left()
        self._queue.clear()
        self._house.left(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._deaf:
            return
        try:
            if not self._reader.feed(data):
                self._deaf = True  # what follows is another protocol: the request is answered as if nothing else was asked
        except FaultError as error:
            self._refuse(error)
            return
        if self._current is None and self._queue:
            self._begin()
        elif self._reader.in_head and self._current is None and not self._head_is_timed:
            self._head_is_timed = True
            self._arm(self._head_deadline_s)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._room = self.loop.create_future()
        self._arm(STALL_S)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        room, self._room = self._room, None
        self._deadline = 0.0
        if room is not None and not room.done():
            room.set_result(None)

    # What happens.

    def _arrived(self, conversation: Conversation) -> None:
        """A request has begun: its head is whole."""
        self._is_fresh = self._head_is_timed = False
        self._queue.append(conversation)
        if len(self._queue) > QUEUED_REQUESTS:
            self.hold()

    def _begin(self) -> None:
        """Answer the next request. Its body may still be on the way."""
        conversation = self._current = self._queue.pop(0)
        if not self._held or len(self._queue) <= QUEUED_REQUESTS:
            self.resume()
        self._deadline = 0.0
        self.task = self.loop.create_task(self._serve(conversation))

    async def _serve(self, conversation: Conversation) -> None:
        try:
            await self._house.serve(conversation)
        finally:
            self._finish(conversation)

    def _finish(self, conversation: Conversation) -> None:
        self._current = self.task = None
        transport = self._transport
        if transport is None:
            return
        if not conversation.is_over:
            # Half an answer: the end must not look like a proper one.
            transport.abort()
        elif not conversation.body_is_whole or conversation.refusal is not None:
            self._linger()
        elif self._retiring or conversation.closes or not conversation.keeps_alive:
            self.close()
        elif self._queue:
            self._begin()
        elif self._deaf:
            self.close()
        else:
            self._arm(self._head_deadline_s if self._reader.in_head else self._idle_s)

    def _refuse(self, error: FaultError) -> None:
        """Nothing can be understood any more. Whoever is being answered gets that answer; then this one is told."""
        self._deaf = True
        conversation = self._reader.incoming
        if conversation is None or conversation.body_is_whole:
            conversation = Conversation(self)
            conversation.path = self._reader.unread_path()
        elif conversation is self._current:
            conversation.broke(error)
            return
        if conversation not in self._queue:
            self._queue.append(conversation)
        conversation.refusal = conversation.refusal or error
        conversation.closes = conversation.body_is_whole = True
        if self._current is None:
            self._begin()

    def retire(self) -> None:
        """Close as soon as nothing is being answered; who has not asked yet may do so once."""
        self._retiring = True
        if not self._is_fresh and self._current is None and not self._queue:
            self.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close once what was written has gone out."""
        self._deaf = True
        if self._transport is not None:
            self._transport.close()

    def _linger(self) -> None:
        """Let the client read the answer before it learns that nobody listens: unread bytes would reset the connection."""
        self._deaf = True
        self.resume()
        if self._transport is not None:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._arm(LINGER_S)

    def _arm(self, timeout_s: float) -> None:
        self._deadline = self.loop.time() + timeout_s
        timer = self._timer
        if timer is None or timer.when() > self._deadline:
            if timer is not None:
                timer.cancel()
            self._timer = self.loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._deadline or self._transport is None:
            return
        if self.loop.time() < self._deadline - 0.001:
            self._timer = self.loop.call_at(self._deadline, self._tick)
        elif self._reader.in_head and not self._deaf and self._current is None:
            self._refuse(faulty(Kind.REQUEST_TIMEOUT, f"the head did not arrive within {self._head_deadline_s:g} s"))
        elif self._room is not None or self._deaf:
            self._transport.abort()
        else:
            self.close()

    # The conversation's side.

    def hold(self) -> None:
        """As `Line.hold`."""
        if not self._held and self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """As `Line.resume`."""
        if self._held and self._transport is not None:
            self._held = False
            self._transport.resume_reading()

    def room(self) -> asyncio.Future[None] | None:
        """As `Line.room`."""
        return self._room

    def write_head(self, conversation: Conversation, status: int, headers: RawHeaders) -> None:
        """As `Line.write_head`."""
        if self._transport is None:
            return
        if status < 200:
            self._transport.write(STATUS_LINES[status] + b"\r\n")
            return
        has_length = any(name == b"content-length" for name, _ in headers)
        conversation.is_chunked = not has_length and conversation.version != "1.0"
        conversation.closes = conversation.closes or not (has_length or conversation.is_chunked)
        lines = self._head_lines(conversation, status, headers)
        if conversation.is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        self._transport.write(b"%b\r\n" % b"".join(lines))

    def write_body(self, conversation: Conversation, body: bytes, *, more: bool) -> None:
        """As `Line.write_body`."""
        conversation.is_over = not more
        transport = self._transport
        if transport is None or conversation.method == "HEAD":
            return
        if conversation.is_chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body) if more else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            elif not more:
                body = _CHUNKED_END
        if body:
            transport.write(body)

    def write_whole(self, conversation: Conversation, status: int, headers: RawHeaders, body: bytes) -> None:
        """As `Line.write_whole`."""
        conversation.is_over = True
        transport = self._transport
        if transport is None:
            return
        lines = self._head_lines(conversation, status, headers)
        if status != 204:
            lines.append(b"content-length: %d\r\n" % len(body))
        lines.append(b"\r\n")
        if conversation.method != "HEAD":
            lines.append(body)
        transport.write(b"".join(lines))

    def _head_lines(self, conversation: Conversation, status: int, headers: RawHeaders) -> list[bytes]:
        lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lines += [b"%b: %b\r\n" % pair for pair in headers]
        if conversation.extra_headers:
            lines += [b"%b: %b\r\n" % pair for pair in conversation.extra_headers]
        closes = conversation.closes or self._retiring or self._deaf
        if closes or not conversation.keeps_alive or not conversation.body_is_whole:
            lines.append(b"connection: close\r\n")
        elif conversation.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        return lines
