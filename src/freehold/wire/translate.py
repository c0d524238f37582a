"""Carries a reply from one wire format to another: the upstream's reader, the seven events, the client's writer.

Promised: the tap is filled from the events themselves, so both formats meter alike. A fault behind good events is raised
by the next call, after their bytes went out. Not done: nothing is repaired or judged here.
"""

from collections.abc import Iterable

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from freehold.fault import Fault
from freehold.wire.codec import Reader, Tap, Writer


def note_events(tap: Tap, events: Iterable[Event]) -> None:
    """Fill the tap. An empty delta is no content."""
    for event in events:
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            if not tap.content and (event.text or getattr(event, "redacted", None)):  # type: ignore[union-attr]  # narrowed by exact type
                tap.content = True
            continue
        match event:
            case ToolCallDelta():
                tap.content = True
            case ToolCallStarted():
                tap.content = True
                tap.tool_calls += 1
            case Finished(reason):
                tap.finish = reason
            case UsageReported(usage):
                tap.usage = usage
            case Started(_, model, _, usage, fingerprint):
                tap.answered_model = model or tap.answered_model
                tap.fingerprint = fingerprint or tap.fingerprint
                tap.usage = usage or tap.usage


class TranslatePipe:
    """One stream on its way from the reader's format to the writer's. See `wire.codec.Pipe`."""

    __slots__ = ("_reader", "_writer", "tap")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self.tap = Tap()
        self._reader = reader
        self._writer = writer

    def feed(self, data: bytes) -> bytes:
        """See `wire.codec.Pipe.feed`."""
        events = self._reader.feed(data)
        return self._write(events) if events else b""

    def end(self) -> bytes:
        """See `wire.codec.Pipe.end`."""
        last = self._write(self._reader.end())
        return last + self._writer.close()

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Pipe.fault`."""
        return self._writer.fault(fault)

    def _write(self, events: list[Event]) -> bytes:
        note_events(self.tap, events)
        write = self._writer.write
        return write(events[0]) if len(events) == 1 else b"".join([write(event) for event in events])
