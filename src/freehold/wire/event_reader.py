"""What the readers of all streams share: faults come after the events before them, and a cut is told from an end."""

from abc import ABC, abstractmethod

from freehold.chat import Event
from freehold.fault import FaultError, Kind
from freehold.wire.relay import Splitter
from freehold.wire.sse import SseEvent, SseSplitter


class EventReader(ABC):
    """The stream's side of a `wire.codec.Reader`."""

    __slots__ = ("_fault", "_splitter")

    def __init__(self, splitter: Splitter | None = None) -> None:
        self._splitter: Splitter = splitter or SseSplitter()
        self._fault: FaultError | None = None

    @abstractmethod
    def _take(self, block: SseEvent, events: list[Event]) -> None:
        """Read one event of the stream. Raises FaultError."""

    @abstractmethod
    def _require_whole(self) -> None:
        """Raises FaultError(BROKEN_STREAM) where the stream lacks its end."""

    def feed(self, data: bytes) -> list[Event]:
        """See `wire.codec.Reader.feed`. Events before a fault are returned first; the next call raises it."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        try:
            for block in self._splitter.feed(data):
                self._take(block, events)
        except FaultError as error:
            self._fault = error
            if not events:
                raise
        return events

    def end(self) -> list[Event]:
        """See `wire.codec.Reader.end`. A last event without its end counts where it is whole; half of one is a cut's."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        for block in self._splitter.end():
            try:
                self._take(block, events)
            except FaultError as error:
                if error.fault.kind is not Kind.INVALID_REPLY:
                    raise
        self._require_whole()
        return events
