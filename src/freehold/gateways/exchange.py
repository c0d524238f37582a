"""One request and its answer, as whoever made the call sees it.

Promised: each wait is one Future, no task and no queue. Body bytes that came before a fault are handed out before the
fault is raised. Whoever stops waiting closes the connection; it is never left half read to the next call.
"""

import asyncio
from typing import Protocol

from freehold.fault import Fault, FaultError, Kind


class Carrier(Protocol):
    """What an exchange needs of the connection that carries it."""

    loop: asyncio.AbstractEventLoop
    expired: bool
    """The deadline passed while nobody waited."""

    def arm(self, timeout_s: float, kind: Kind) -> None:
        """Set the deadline."""

    def resume(self) -> None:
        """The buffer was emptied: read on."""

    def fail(self, kind: Kind, message: str) -> None:
        """End the exchange with a fault and close the socket."""

    def fail_late(self) -> None:
        """End the exchange by the deadline that passed."""


class Exchange:
    """One request under way. Read it to its end or `abort` it: until then it holds its connection."""

    __slots__ = (
        "_buffered",
        "_carrier",
        "_ended",
        "_fault",
        "_parts",
        "_waiter",
        "connected_ms",
        "headers",
        "queued_s",
        "reused",
        "stale",
        "status",
    )

    def __init__(self, carrier: Carrier, *, reused: bool) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names in lower case; repeated ones joined by `, `."""
        self.reused = reused
        self.connected_ms = 0.0
        """Spent on getting a new connection; 0 when one was reused."""
        self.queued_s = 0.0
        """Waited for a place in the pool."""
        self.stale = False
        """The peer had closed this reused connection before it saw the request: see `Upstreams`."""
        self._carrier: Carrier | None = carrier
        self._parts: list[bytes] = []
        self._buffered = 0
        self._ended = False
        self._fault: Fault | None = None
        self._waiter: asyncio.Future[None] | None = None

    def arm(self, timeout_s: float, kind: Kind) -> None:
        """Set the deadline for what is awaited from now on; it replaces the one before and stands until replaced."""
        if self._carrier is not None:
            self._carrier.arm(timeout_s, kind)

    async def head(self) -> None:
        """Wait for status and headers. Raises FaultError, except when `stale` was found."""
        while not self.status and not self._ended:
            await self._wait()
        if not self.stale and not self._parts:
            self.check()

    def check(self) -> None:
        """Raise the fault this exchange ended with, if it did."""
        if self._fault is not None:
            raise FaultError(self._fault)

    async def chunk(self) -> bytes:
        """All body bytes there are now, at least one; b"" at the proper end.

        Raises FaultError: the armed kind, BROKEN_STREAM, INVALID_REPLY, CLIENT_GONE after `abort`. Cancelling aborts.
        """
        while not (parts := self._parts) and not self._ended:
            await self._wait()  # woken by framing too, which is no content
        if parts:
            self._parts = []
            self._buffered = 0
            if self._carrier is not None:
                self._carrier.resume()
            return parts[0] if len(parts) == 1 else b"".join(parts)
        self.check()
        return b""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body under one deadline. Raises FaultError; INVALID_REPLY when it is larger than the limit."""
        first = await self.chunk()
        body: bytearray | None = None
        size = len(first)
        while size <= limit_bytes:
            piece = await self.chunk()
            if not piece:
                return first if body is None else bytes(body)
            if body is None:
                body = bytearray(first)
            body += piece  # a list of pieces would cost as much again for each byte of an answer that drips
            size = len(body)
        self.abort()
        raise FaultError(Fault(kind=Kind.INVALID_REPLY, message=f"the answer is larger than {limit_bytes} bytes"))

    def abort(self) -> None:
        """Close the socket now. Does nothing once the answer has ended."""
        if self._carrier is not None:
            self._carrier.fail(Kind.CLIENT_GONE, "the exchange was given up")

    async def _wait(self) -> None:
        carrier = self._carrier
        assert carrier is not None
        if carrier.expired:
            carrier.fail_late()
            return
        self._waiter = carrier.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    @property
    def awaited(self) -> bool:
        """Somebody waits right now."""
        return self._waiter is not None

    def take(self, part: bytes) -> int:
        """Told by the connection: a piece of the body. Returns how much is buffered."""
        self._parts.append(part)
        self._buffered += len(part)
        return self._buffered

    def wake(self) -> None:
        """Told by the connection: there is something to see."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end(self, fault: Fault | None) -> None:
        """Told by the connection: nothing more will come."""
        self._ended = True
        self._fault = fault
        self._carrier = None
        self.wake()
