"""What relaying a stream is in every wire format: event by event, bytes kept, faults told in their turn.

A format says what one event shows and becomes (`_pass`) and what makes a stream whole (`_require_whole`).
"""

from abc import ABC, abstractmethod

from freehold.fault import FaultError, Kind
from freehold.wire.codec import Tap
from freehold.wire.sse import SseEvent, SseSplitter


class EventRelay(ABC):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_fault", "_splitter", "tap")

    def __init__(self) -> None:
        self.tap = Tap()
        self._splitter = SseSplitter()
        self._fault: FaultError | None = None

    def feed(self, data: bytes) -> bytes:
        """See `wire.codec.Pipe.feed`. Bytes before a fault are returned first; the next call raises it."""
        if self._fault is not None:
            raise self._fault
        blocks = self._splitter.feed(data)
        if len(blocks) == 1:
            return self._pass(blocks[0])
        out: list[bytes] = []
        for block in blocks:
            try:
                out.append(self._pass(block))
            except FaultError as error:
                self._fault = error
                if not any(out):
                    raise
                break
        return b"".join(out)

    def end(self) -> bytes:
        """See `wire.codec.Pipe.end`. A half event at the end is what a cut leaves, not a bad reply."""
        if self._fault is not None:
            raise self._fault
        out: list[bytes] = []
        for block in self._splitter.end():
            try:
                out.append(self._pass(block))
            except FaultError as error:
                if error.fault.kind is not Kind.INVALID_REPLY:
                    raise
        self._require_whole()
        return b"".join(out)

    @abstractmethod
    def _pass(self, block: SseEvent) -> bytes:
        """Note what an event shows; the bytes it becomes. Raises FaultError for an error event or no event at all."""

    @abstractmethod
    def _require_whole(self) -> None:
        """Raise FaultError(BROKEN_STREAM) unless the stream came to its end."""
