"""Replies that are judged before anything, or before any tool call, goes out.

`hold = "whole"` keeps everything back until the end. `hold = "tools"` lets text stream and keeps back everything
from the first tool call on: a call is judged whole before the client runs it. Once text went out a poor call can no
longer be escalated; its verdict is recorded and the call passed on as the model wrote it.
"""

from freehold.chat import CONTENT_EVENTS, Event, Reply, TextDelta, ToolCallStarted, fold
from freehold.routing.plan import Hold
from freehold.wire.codec import Reader, Tap, Writer
from freehold.wire.translate import note_events


class HeldPipe:
    """A `Pipe` through the neutral middle that keeps content back."""

    def __init__(self, reader: Reader, writer: Writer, hold: Hold) -> None:
        self.tap = Tap()
        self.has_let_out = False
        """Content went to the client: no fallback any more. (`tap.content` says that some was seen.)"""
        self._reader = reader
        self._writer = writer
        self._holds_all = hold == "whole"
        self._events: list[Event] = []
        self._held: list[Event] = []

    def feed(self, data: bytes) -> bytes:
        """As `Pipe.feed`; only what need not be held comes out."""
        return self._let_through(self._reader.feed(data))

    def end(self) -> bytes:
        """The upstream is complete. What was held comes out with `release`."""
        return self._let_through(self._reader.end())

    def reply(self) -> Reply:
        """The whole reply, for a judge."""
        return fold(self._events)

    def release(self) -> bytes:
        """What was held, and the stream's proper end."""
        held, self._held = self._held, []
        return b"".join(map(self._writer.write, held)) + self._writer.close()

    def _let_through(self, events: list[Event]) -> bytes:
        out = []
        note_events(self.tap, events)
        self._events += events
        for event in events:
            if self._holds_all or self._held or isinstance(event, ToolCallStarted):
                self._held.append(event)
                continue
            out.append(self._writer.write(event))
            if isinstance(event, CONTENT_EVENTS) and not (isinstance(event, TextDelta) and not event.text):
                self.has_let_out = True
        return b"".join(out)
