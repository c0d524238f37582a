"""One connection to an upstream: HTTP/1.1 as a client speaks it, one exchange after the other.

Promised: each connection has one timer, re-armed lazily, so that a deadline costs no timer of its own. At most
`HIGH_WATER_BYTES` and one read of the loop are buffered for a consumer that is slow. A connection goes back to rest
only when the answer ended exactly where its framing says, nothing followed, and all of the request had gone out.

Deliberately not done: HTTP/2, upgrades, compression, trailers (read and dropped), requests sent before the answer to
the one before ended.
"""

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from freehold.fault import Fault, Kind
from freehold.gateways.exchange import Exchange

HIGH_WATER_BYTES = 256 * 1024
FRAMING_LIMIT_BYTES = 64 * 1024
"""Of a head, and of what stands between two pieces of a body (chunk extensions, trailers)."""
HEADERS_LIMIT = 200
JOIN_BELOW_BYTES = 64 * 1024
"""A body up to this size is copied behind its head, so that both leave in one write."""
IDLE_S = 60.0
STALE_S = 1.0
"""A close that was under way when a request was written arrives within a round trip or so. A later one may come from a
server that worked on the request and died."""
LONGEST_S = 86_400.0


class Home(Protocol):
    """Where a connection rests between exchanges."""

    def rest(self, connection: "Connection") -> None:
        """Take back a connection that may serve again."""

    def forget(self, connection: "Connection") -> None:
        """Take note that a connection is gone. May be told twice."""


class Connection(asyncio.Protocol):
    """One connection to one address, used by one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, place: str, home: Home) -> None:
        self.loop = loop
        self.place = place
        """`host:port`, for messages."""
        self.home = home
        self.expired = False
        self.rested_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._served = 0
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline = 0.0
        self._deadline_s = 0.0
        self._deadline_kind = Kind.TOTAL_TIMEOUT
        self._sent_at = 0.0
        self._begin()

    def _begin(self) -> None:
        """Set up for the next answer."""
        self._fields: dict[str, str] = {}
        self._fields_count = 0
        self._framing = 0
        self._head_bytes = 0
        self._received = False
        self._delimited = False
        self._over = False
        self._clean = True
        self._wrong: str | None = None

    # What the pool and the exchange ask for.

    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, head_timeout_s: float) -> Exchange:
        """Write a request. Its answer's head is due within `head_timeout_s`."""
        transport = self._transport
        assert transport is not None
        assert self._exchange is None
        self._exchange = exchange = Exchange(self, reused=self._served > 0)
        self._served += 1
        self._begin()
        self.arm(head_timeout_s, Kind.FIRST_CONTENT_TIMEOUT)
        self._sent_at = self._deadline - self._deadline_s
        if len(body) <= JOIN_BELOW_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return exchange

    def arm(self, timeout_s: float, kind: Kind) -> None:
        """Set the deadline. The timer is moved only when it would fire too late; when it fires early it moves itself."""
        self._deadline_s = min(timeout_s, LONGEST_S)
        self._deadline = self.loop.time() + self._deadline_s
        self._deadline_kind = kind
        self.expired = False
        if self._timer is None or self._timer_at > self._deadline:
            self._fire_at(self._deadline)

    def resume(self) -> None:
        """The buffer was emptied: read on."""
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def fail_late(self) -> None:
        """End the exchange by the deadline that passed."""
        self.fail(self._deadline_kind, f"{self.place} did not answer within {self._deadline_s:g} s")

    def fail(self, kind: Kind, message: str) -> None:
        """End the exchange with a fault and close the socket."""
        exchange, self._exchange = self._exchange, None
        self.drop()
        if exchange is not None:
            exchange.end(Fault(kind=kind, message=message, status=exchange.status or None))

    def drop(self) -> None:
        """Close the socket at once and leave the pool. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        self.home.forget(self)

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes are none of asyncio's

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        exchange = self._exchange
        if exchange is None:
            self.drop()
            return
        self._received = True
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._clean = False
            if not self._over:
                self._wrong = self._wrong or f"what {self.place} sent is not HTTP/1.1: {error}"
        if self._wrong is not None:
            self.fail(Kind.INVALID_REPLY, self._wrong)
        elif self._over:
            self._finish(exchange)
        elif self._framing > FRAMING_LIMIT_BYTES:
            self.fail(Kind.INVALID_REPLY, f"{self.place} sent over {FRAMING_LIMIT_BYTES} bytes of head or framing in a row")
        elif exchange.status:
            exchange.wake()

    def eof_received(self) -> None:
        """The peer sends no more. The transport closes itself afterwards."""
        self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._lose(exc)
        self._transport = None

    def _lose(self, exc: Exception | None) -> None:
        exchange = self._exchange
        if exchange is None:
            self.drop()
        elif exchange.status and not self._delimited and exc is None:
            self._clean = False
            self._finish(exchange)
        elif exchange.status:
            self.fail(Kind.BROKEN_STREAM, f"{self.place} closed the connection in the middle of its answer")
        else:
            waited_s = self.loop.time() - self._sent_at
            exchange.stale = exchange.reused and not self._received and waited_s <= STALE_S
            self.fail(Kind.BROKEN_STREAM, f"{self.place} closed the connection without an answer")

    def _finish(self, exchange: Exchange) -> None:
        """The answer ended properly."""
        self._exchange = None
        transport = self._transport
        if self._clean and transport is not None and not transport.is_closing() and not transport.get_write_buffer_size():
            self.resume()
            self.rested_at = self.loop.time()
            self.home.rest(self)
        else:
            self.drop()
        exchange.end(None)

    def _fire_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self.loop.time()
        exchange = self._exchange
        due = self.rested_at + IDLE_S if exchange is None else self._deadline
        if now + 0.001 < due:
            self._fire_at(due)
        elif exchange is None:
            self.drop()
        elif exchange.awaited:
            self.fail_late()
        else:
            self.expired = True

    # What the parser tells. Errors are noted here and acted upon when it returns.

    def on_message_begin(self) -> None:
        """A status line starts: a second answer when the first is over."""
        if self._over:
            self._clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        self._fields_count += 1
        self._head_bytes += len(name) + len(value)
        if self._fields_count > HEADERS_LIMIT or self._head_bytes > FRAMING_LIMIT_BYTES:
            self._wrong = f"{self.place} sent more than {HEADERS_LIMIT} headers or {FRAMING_LIMIT_BYTES} bytes of them"
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        fields = self._fields
        fields[key] = f"{fields[key]}, {text}" if key in fields else text

    def on_headers_complete(self) -> None:
        """A head is whole; informational ones are passed over."""
        exchange = self._exchange
        if exchange is None or self._over:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                self._wrong = (
                    f"{self.place} wants another protocol" if status == 101 else f"{self.place} sent the status {status}"
                )
            self._fields = {}
            return
        fields = self._fields
        if fields.get("content-encoding", "identity").lower() not in {"identity", ""}:
            self._wrong = f"{self.place} sent a compressed answer, which was not asked for"
        coding = fields.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            self._wrong = f"{self.place} sent a transfer-encoding other than chunked"
        self._delimited = coding is not None or "content-length" in fields
        exchange.status = status
        exchange.headers = fields
        self._fields = {}

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without its framing."""
        exchange = self._exchange
        if exchange is None or self._over or not data:
            return
        self._framing = 0
        if exchange.take(data) > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer's framing says it is over."""
        exchange = self._exchange
        if exchange is not None and exchange.status:
            self._over = True
            self._clean = self._clean and self._parser.should_keep_alive()
