"""What relaying a stream is in every wire format: event by event, bytes kept, faults told in their turn.

A format says what one event shows and becomes (`_pass`), what makes a stream whole (`_require_whole`) and which end mark it
still lacks (`_end_mark`). A stream that is whole but for its mark is given it (edit `end_mark`): clients wait for it.
"""

from abc import ABC, abstractmethod
from typing import Protocol

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.wire.codec import Tap
from freehold.wire.sse import SseEvent, SseSplitter


class Splitter(Protocol):
    """Takes a stream apart, cut anywhere."""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events these bytes complete."""

    def end(self) -> list[SseEvent]:
        """What was held when the stream was over."""


class EventRelay(ABC):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_fault", "_splitter", "tap")

    def __init__(self, splitter: Splitter | None = None) -> None:
        self.tap = Tap()
        self._splitter: Splitter = splitter or SseSplitter()
        self._fault: FaultError | None = None

    def feed(self, data: bytes) -> bytes:
        """See `wire.codec.Pipe.feed`. Bytes before a fault are returned first; the next call raises it."""
        if self._fault is not None:
            raise self._fault
        blocks = self._splitter.feed(data)
        if len(blocks) == 1:
            block = blocks[0]
            return self._pass(block) if block.raw.isascii() else self._pass_text(block)
        out: list[bytes] = []
        for block in blocks:
            try:
                out.append(self._pass_text(block))
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
                out.append(self._pass_text(block))
            except FaultError as error:
                if error.fault.kind is not Kind.INVALID_REPLY:
                    raise
        self._require_whole()
        last = self._complete(b"".join(out))
        mark = self._end_mark()
        if not mark:
            return last
        self.tap.edits.add("end_mark")
        return last + mark

    def fault(self, fault: Fault) -> bytes:  # noqa: ARG002 - most formats tell a fault the same way wherever it comes
        """See `wire.codec.Pipe.fault`."""
        return b""

    def _pass_text(self, block: SseEvent) -> bytes:
        """An event, its name and a comment too: clients decode every line before they look at it."""
        if not block.raw.isascii():
            try:
                block.raw.decode()
            except UnicodeDecodeError:
                raise faulty(Kind.INVALID_REPLY, "the runtime's stream is not valid UTF-8") from None
        return self._pass(block)

    def _pass_silent(self, block: SseEvent) -> bytes:
        """A comment passes; an event behind the end mark is left out."""
        if not block.data:
            return block.raw
        self.tap.edits.add("end_mark")
        return b""

    def _complete(self, last: bytes) -> bytes:
        """The last event with its blank line, where the upstream ended amid it."""
        if not last.strip(b"\r\n") or last.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")):
            return last
        self.tap.edits.add("end_mark")
        return last + (b"\n" if last.endswith(b"\n") else b"\n\n")

    def _end_mark(self) -> bytes:
        """What the stream lacks of its proper end; b"" where nothing is missing, or the format has no such mark."""
        return b""

    @abstractmethod
    def _pass(self, block: SseEvent) -> bytes:
        """Note what an event shows; the bytes it becomes. Raises FaultError for an error event or no event at all."""

    @abstractmethod
    def _require_whole(self) -> None:
        """Raise FaultError(BROKEN_STREAM) unless the stream came to its end."""
