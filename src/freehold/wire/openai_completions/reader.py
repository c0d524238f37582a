"""Reads a Completions reply, streamed or whole, into the seven events.

Promised: bytes cut anywhere give the same events; an error object is raised as the fault it means; a stream without an end
for every choice is BROKEN_STREAM. A missing `[DONE]` is fine. Not carried: what comes after a choice's finish.
"""

from freehold.chat import Event, Finished, Started, TextDelta, UsageReported
from freehold.fault import Kind, faulty
from freehold.wire.event_reader import EventReader
from freehold.wire.openai_completions.chunks import (
    Chunk,
    Tally,
    TextChoice,
    read_chunk,
    read_logprobs,
    read_whole_usage,
    refuse_error,
    says_nothing,
)
from freehold.wire.openai_replies import Progress, read_finish
from freehold.wire.sse import SseEvent


class CompletionReader(EventReader):
    """One reply being read."""

    __slots__ = ("_done", "_progress", "_started", "_tally")

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress()
        self._tally = Tally()
        self._started = False
        self._done = False

    def _require_whole(self) -> None:
        self._progress.require_whole()

    def whole(self, body: bytes) -> list[Event]:
        """See `wire.codec.Reader.whole`."""
        chunk = read_chunk(body)
        refuse_error(chunk, b"", body)
        if not chunk.choices:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no choices")
        events: list[Event] = [_start(chunk)]
        for choice in chunk.choices:
            if choice.said() is None:
                raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a choice without a text")
            self._take_choice(choice, events)
            if choice.index not in self._progress.ended:
                reason, stop = read_finish("stop", False, choice.stop_reason)
                events.append(Finished(reason, stop, choice.index))
        usage = read_whole_usage(chunk)
        if usage is not None:
            events.append(UsageReported(usage))
        return events

    def _take(self, block: SseEvent, events: list[Event]) -> None:
        data = block.data
        if says_nothing(data) or self._done:
            return
        if data == b"[DONE]":
            self._done = True
            return
        chunk = read_chunk(data)
        choices, opened = chunk.choices, self._progress.open
        if chunk.error or not choices or block.name:
            refuse_error(chunk, block.name, data)
        if not self._started and (choices or chunk.usage is not None):
            self._started = True
            events.append(_start(chunk))
        for choice in choices or ():
            if choice.index in opened or self._progress.begin(choice.index):
                self._take_choice(choice, events)
        if chunk.usage is not None:
            events.append(UsageReported(self._tally.take(chunk)))

    def _take_choice(self, choice: TextChoice, events: list[Event]) -> None:
        at = choice.index
        text = choice.said()
        tokens = read_logprobs(choice.logprobs)
        if text or tokens is not None:
            events.append(TextDelta(text or "", at, tokens))
        if choice.finish_reason:
            reason, stop = read_finish(choice.finish_reason, False, choice.stop_reason)
            self._progress.finish(at)
            events.append(Finished(reason, stop, at))


def _start(chunk: Chunk) -> Started:
    created_s = int(chunk.created) if chunk.created is not None else None
    return Started(chunk.id or None, chunk.model or None, created_s, None, chunk.system_fingerprint or None)
