"""Puts back what redaction took out of a request, in its answer: text, thinking, refusals, tool calls.

Promised: the client sees what it would have seen had the model written the texts themselves, wherever the upstream's bytes
were cut; a placeholder in JSON (a call's arguments, structured output) becomes a JSON string's spelling of its text; what
only looks like a placeholder is left alone. Only an end that may still become a placeholder is held back.
"""

import msgspec

from freehold.chat import (
    Choice,
    Event,
    Finished,
    ReasoningDelta,
    ReasoningPart,
    Reply,
    Started,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    UsageReported,
)
from freehold.fault import Fault
from freehold.routing.placeholders import Placeholders, Restoring
from freehold.wire.codec import Writer

_replace = msgspec.structs.replace


def restore_reply(reply: Reply, table: Placeholders, *, is_json: bool) -> Reply:
    """A whole reply with its texts put back. `is_json`: its text is structured output."""
    return _replace(reply, choices=tuple(_restore_choice(choice, table, is_json=is_json) for choice in reply.choices))


def _restore_choice(choice: Choice, table: Placeholders, *, is_json: bool) -> Choice:
    parts: list[TextPart | ReasoningPart | ToolCallPart] = []
    for part in choice.parts:
        match part:
            case TextPart(text):
                parts.append(_replace(part, text=table.put_back(text, in_json=is_json)))
            case ReasoningPart(text):
                parts.append(_replace(part, text=table.put_back(text, in_json=False)))
            case ToolCallPart(_, name, arguments):
                plain, written = table.put_back(name, in_json=False), table.put_back(arguments, in_json=True)
                parts.append(_replace(part, name=plain, arguments=written))
    refusal = None if choice.refusal is None else table.put_back(choice.refusal, in_json=False)
    stop = None if choice.stop_sequence is None else table.put_back(choice.stop_sequence, in_json=False)
    return _replace(choice, parts=tuple(parts), refusal=refusal, stop_sequence=stop)


class _Restored:
    """One choice of a streamed answer. At most one text is open; calls stay open until the choice ends."""

    __slots__ = ("_calls", "_is_json", "_number", "_open", "_sample", "_table")

    def __init__(self, table: Placeholders, number: int, *, is_json: bool) -> None:
        self._table = table
        self._number = number
        self._is_json = is_json
        self._open: Restoring | None = None
        self._sample: TextDelta | ReasoningDelta | None = None
        """What kind of text is open."""
        self._calls: dict[int, Restoring] = {}

    def take(self, event: Event) -> list[Event]:
        """What an event becomes, behind what it set free."""
        match event:
            case TextDelta():
                return self._text(event)
            case ReasoningDelta():
                return self._reasoning(event)
            case ToolCallStarted(_, _, name):
                return [*self._close_text(), _replace(event, name=self._table.put_back(name, in_json=False))]
            case ToolCallDelta(index, arguments):
                call = self._calls.get(index)
                if call is None:
                    call = self._calls[index] = Restoring(self._table, in_json=True)
                return [*self._close_text(), ToolCallDelta(index, call.feed(arguments), self._number)]
            case Finished():
                stop = event.stop_sequence
                if stop is not None:
                    event = _replace(event, stop_sequence=self._table.put_back(stop, in_json=False))
                return [*self.close(), event]
            case _:
                return [event]

    def close(self) -> list[Event]:
        """What was held, where the choice ends."""
        out = self._close_text()
        for index, call in self._calls.items():
            left = call.end()
            if left:
                out.append(ToolCallDelta(index, left, self._number))
        self._calls.clear()
        return out

    def _text(self, event: TextDelta) -> list[Event]:
        was = self._sample
        is_same = isinstance(was, TextDelta) and was.refusal == event.refusal
        out, restoring = self._go_on(event, is_same=is_same, in_json=self._is_json and not event.refusal)
        return [*out, _replace(event, text=restoring.feed(event.text))]

    def _reasoning(self, event: ReasoningDelta) -> list[Event]:
        out, restoring = self._go_on(event, is_same=isinstance(self._sample, ReasoningDelta), in_json=False)
        said = restoring.feed(event.text)
        if event.signature is not None or event.redacted is not None:
            said += restoring.end()
            self._open = self._sample = None
        return [*out, _replace(event, text=said)]

    def _go_on(self, event: TextDelta | ReasoningDelta, *, is_same: bool, in_json: bool) -> tuple[list[Event], Restoring]:
        """The text that goes on with an event, and what another one before it had held."""
        if self._open is not None and is_same:
            return [], self._open
        out = self._close_text()
        self._open, self._sample = Restoring(self._table, in_json=in_json), event
        return out, self._open

    def _close_text(self) -> list[Event]:
        restoring, sample = self._open, self._sample
        self._open = self._sample = None
        left = "" if restoring is None else restoring.end()
        if not left or sample is None:
            return []
        if isinstance(sample, TextDelta):
            return [TextDelta(left, self._number, refusal=sample.refusal)]
        return [ReasoningDelta(left, self._number)]


class RestoringWriter:
    """A writer before a writer. See `wire.codec.Writer`."""

    __slots__ = ("_choices", "_is_json", "_table", "_writer")

    def __init__(self, writer: Writer, table: Placeholders, *, is_json: bool) -> None:
        self._writer = writer
        self._table = table
        self._is_json = is_json
        self._choices: dict[int, _Restored] = {}

    def write(self, event: Event) -> bytes:
        """See `Writer.write`; an end that may become a placeholder waits for the next event."""
        if isinstance(event, Started | UsageReported):
            return self._writer.write(event)
        choice = self._choices.get(event.choice)
        if choice is None:
            choice = self._choices[event.choice] = _Restored(self._table, event.choice, is_json=self._is_json)
        return b"".join([self._writer.write(one) for one in choice.take(event) if not _is_empty(one)])

    def close(self) -> bytes:
        """See `Writer.close`."""
        held = [self._writer.write(event) for choice in self._choices.values() for event in choice.close()]
        return b"".join(held) + self._writer.close()

    def fault(self, fault: Fault) -> bytes:
        """See `Writer.fault`; what was held is lost."""
        return self._writer.fault(fault)


def _is_empty(event: Event) -> bool:
    """All of it is held."""
    match event:
        case TextDelta(text, _, logprobs):
            return not text and logprobs is None
        case ReasoningDelta(text, _, signature, redacted):
            return not text and signature is None and redacted is None
        case ToolCallDelta(_, arguments):
            return not arguments
        case _:
            return False
