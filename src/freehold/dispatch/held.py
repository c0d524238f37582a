"""Replies that are judged before anything, or before any tool call, goes out.

`hold = "whole"` keeps everything back until the end. `hold = "tools"` lets text stream and keeps back everything
from the first tool call on: a call is judged whole before the client runs it. Once text went out a poor call can no
longer be escalated; its verdict is recorded and the call passed on as the model wrote it.
"""

from collections.abc import Iterable

from freehold.chat import CONTENT_EVENTS, Event, ReasoningDelta, Reply, TextDelta, ToolCallDelta, ToolCallStarted, fold
from freehold.fault import Fault, Kind, faulty
from freehold.routing.plan import Hold
from freehold.wire.codec import Reader, Tap, Writer
from freehold.wire.translate import note_events

MOST_EVENTS = 200_000
"""A token each, or less: longer than the longest answers."""
MOST_LETTERS = 8 * 1024 * 1024


class Gathered:
    """The events of a reply that is kept whole, within bounds: an upstream decides how much it sends, not how much we keep."""

    __slots__ = ("_letters", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._letters = 0

    def add(self, events: Iterable[Event]) -> None:
        """Keep more. Raises FaultError(INVALID_REPLY) beyond the bounds."""
        kept = self.events
        for event in events:
            kept.append(event)
            match event:
                case TextDelta(text, _, logprobs):
                    self._letters += len(text) + (len(logprobs) if logprobs is not None else 0)
                case ReasoningDelta(text) | ToolCallDelta(_, text):
                    self._letters += len(text)
                case _:
                    pass
        if len(kept) > MOST_EVENTS or self._letters > MOST_LETTERS:
            raise faulty(
                Kind.INVALID_REPLY, f"the runtime's answer is longer than {MOST_EVENTS} pieces or {MOST_LETTERS} letters"
            )


class HeldPipe:
    """A `Pipe` through the neutral middle that keeps content back."""

    def __init__(self, reader: Reader, writer: Writer, hold: Hold) -> None:
        self.tap = Tap()
        self.has_let_out = False
        """Content went to the client: no fallback any more. (`tap.content` says that some was seen.)"""
        self._reader = reader
        self._writer = writer
        self._holds_all = hold == "whole"
        self._gathered = Gathered()
        self._held: list[Event] = []

    def feed(self, data: bytes) -> bytes:
        """As `Pipe.feed`; only what need not be held comes out."""
        return self._let_through(self._reader.feed(data))

    def end(self) -> bytes:
        """The upstream is complete. What was held comes out with `release`."""
        return self._let_through(self._reader.end())

    def reply(self) -> Reply:
        """The whole reply, for a judge."""
        return fold(self._gathered.events)

    def fault(self, fault: Fault) -> bytes:
        """As `Pipe.fault`; what was held is lost."""
        return self._writer.fault(fault)

    def release(self) -> bytes:
        """What was held, and the stream's proper end."""
        held, self._held = self._held, []
        return b"".join(map(self._writer.write, held)) + self._writer.close()

    def _let_through(self, events: list[Event]) -> bytes:
        out = []
        note_events(self.tap, events)
        self._gathered.add(events)
        for event in events:
            if self._holds_all or self._held or isinstance(event, ToolCallStarted):
                self._held.append(event)
                continue
            out.append(self._writer.write(event))
            if isinstance(event, CONTENT_EVENTS) and not (isinstance(event, TextDelta) and not event.text):
                self.has_let_out = True
        return b"".join(out)
