"""What dispatch hands to the server: a whole answer, or a stream whose first content is there.

A stream that breaks after its first content ends with the wire format's own error event: never silently, never as
if all were well.
"""

from typing import Protocol

from freehold.dispatch.attempt import Attempt
from freehold.dispatch.chat_attempt import ChatAttempt
from freehold.fault import Fault, FaultError
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
        self.attempt.end("served")

    def leave(self) -> None:
        """Another answer is preferred to this one."""
        self.attempt.end("escalated")


class StreamAnswer(Answer):
    """A stream: `body` holds what is ready, `more` gives the rest."""

    __slots__ = ("_chat", "_is_over", "fault", "pipe")

    def __init__(self, attempt: ChatAttempt, body: bytes, pipe: "LivePipe | None", verdicts: tuple[Verdict, ...] = ()) -> None:
        super().__init__(attempt, body, verdicts)
        self._chat = attempt.chat
        self.pipe = pipe
        self.fault: Fault | None = None
        """Set when the stream broke after content; the error event is then part of what `more` gave."""
        self._is_over = pipe is None

    def take(self) -> None:
        """A stream that is complete ends as served now; a live one when it is over."""
        if self._is_over:
            self.attempt.end("served")

    async def more(self) -> bytes:
        """The client's next bytes; b"" at the end. Never raises for an upstream's fault."""
        pipe = self.pipe
        while not self._is_over:
            assert pipe is not None
            try:
                data = await self.attempt.chunk()
                if data:
                    out = pipe.feed(data)
                else:
                    self._is_over = True
                    out = pipe.end()
            except FaultError as error:
                self._is_over = True
                self.fault = error.fault
                self.attempt.end("cut", error.fault)
                return self._chat.codec.writer(self._chat.asked).fault(error.fault)
            if self._is_over:
                self.attempt.end("served")
            if out:
                return out
        return b""

    def cancel(self) -> None:
        """The client went away."""
        self._is_over = True
        self.attempt.end("cancelled")


class LivePipe(Protocol):
    """The part of a `Pipe` that a live stream needs."""

    def feed(self, data: bytes) -> bytes:
        """As `wire.codec.Pipe.feed`."""

    def end(self) -> bytes:
        """As `wire.codec.Pipe.end`."""
