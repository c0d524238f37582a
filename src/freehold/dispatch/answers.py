"""What dispatch hands to the server: a whole answer, or a stream whose first content is there.

A stream that breaks after its first content ends with the wire format's own error event: never silently, never as
if all were well.
"""

from typing import Protocol

from freehold.dispatch.attempt import Attempt
from freehold.fault import Fault, FaultError, Kind
from freehold.record import Verdict
from freehold.runtime import Placed


class Answer:
    """A whole answer in the client's wire format."""

    __slots__ = ("attempt", "body", "verdicts")

    def __init__(self, attempt: Attempt, body: bytes, verdicts: tuple[Verdict, ...] = ()) -> None:
        self.attempt = attempt
        self.body = body
        self.verdicts = verdicts

    @property
    def is_poor(self) -> bool:
        """A check that counts found fault with it."""
        return any(verdict.poor for verdict in self.verdicts)

    @property
    def placed(self) -> Placed:
        """The deployment that answered."""
        return self.attempt.step.placed

    def take(self) -> None:
        """The answer is the one that goes out."""
        self._begin()
        self.attempt.end("served")

    def leave(self) -> None:
        """Another answer is preferred to this one."""
        self.attempt.end("escalated")

    def cancel(self, fault: Fault | None = None) -> bool:
        """It will not go out, or no further; `fault` where that is nobody's wish. Returns whether all of it had gone out."""
        self.attempt.end("cancelled" if fault is None else "fault", fault)
        return False

    def _begin(self) -> None:
        self.attempt.flight.first_content_s = self.attempt.first_content_s


class StreamAnswer(Answer):
    """A stream: `body` holds what is ready, `more` gives the rest."""

    __slots__ = ("_is_over", "_is_waiting", "fault", "pipe")

    def __init__(self, attempt: Attempt, body: bytes, pipe: "LivePipe | None", verdicts: tuple[Verdict, ...] = ()) -> None:
        super().__init__(attempt, body, verdicts)
        self.pipe = pipe
        self.fault: Fault | None = None
        """Set when the stream broke after content; the error event is then part of what `more` gave."""
        self._is_over = pipe is None
        self._is_waiting = False

    def take(self) -> None:
        """A stream that is complete ends as served now; a live one when it is over."""
        self._begin()
        if self._is_over:
            self.attempt.end("served")

    async def more(self) -> bytes:
        """The client's next bytes; b"" at the end. Never raises for an upstream's fault."""
        pipe, attempt = self.pipe, self.attempt
        while not self._is_over:
            assert pipe is not None
            self._is_waiting = True
            try:
                data = await attempt.chunk()
            except FaultError as error:
                return self._end(pipe, error.fault)
            self._is_waiting = False
            if not data:
                return self._end(pipe, None)
            try:
                out = pipe.feed(data)
            except FaultError as error:
                return self._cut(error.fault)
            if out:
                return out
        return b""

    def cancel(self, fault: Fault | None = None) -> bool:
        """As `Answer.cancel`. A client may leave as soon as it has read the stream's last event: then nothing was lost."""
        if fault is None and self._is_waiting and not self._is_over and self._has_all_gone_out():
            self._is_over = True
            self.attempt.end("served")
            return True
        self._is_over = True
        self.attempt.end("cancelled" if fault is None else "cut", fault)
        return False

    def _has_all_gone_out(self) -> bool:
        assert self.pipe is not None
        tap = self.attempt.tap
        was_marked = "end_mark" in tap.edits
        try:
            left = self.pipe.end()
        except FaultError:
            return False
        if not was_marked and "end_mark" in tap.edits:  # only the mark was missing, and now nobody is there to see it
            tap.edits.discard("end_mark")
            return True
        return tap.finish is not None and not left

    def _end(self, pipe: "LivePipe", broken: Fault | None) -> bytes:
        """The upstream sends no more. Where the stream was whole by then, it does not matter how the connection ended."""
        try:
            out = pipe.end()
        except FaultError as error:
            return self._cut(error.fault if broken is None or error.fault.kind is not Kind.BROKEN_STREAM else broken)
        self._is_over = True
        self.attempt.end("served")
        return out

    def _cut(self, fault: Fault) -> bytes:
        self._is_over = True
        self.fault = fault
        self.attempt.end("cut", fault)
        return self.attempt.spell(fault)


class LivePipe(Protocol):
    """The part of a `Pipe` that a live stream needs."""

    def feed(self, data: bytes) -> bytes:
        """As `wire.codec.Pipe.feed`."""

    def end(self) -> bytes:
        """As `wire.codec.Pipe.end`."""
