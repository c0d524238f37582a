"""Reads a reply of Ollama's, streamed or whole, of either endpoint, into the seven events.

Promised: bytes cut anywhere give the same events; every call has an id unique in its reply and an index that counts from 0; an
error line is raised as the fault it means; a stream without `done` is BROKEN_STREAM. Repaired: calls without an id,
arguments given as a string. Not carried: durations, `context`, images in a reply.
"""

from hashlib import blake2b

from freehold.chat import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, ToolCallStarted, UsageReported
from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.event_reader import EventReader
from freehold.wire.ndjson import LineSplitter
from freehold.wire.ollama.shapes import (
    Call,
    Chunk,
    read_arguments,
    read_chunk,
    read_created_s,
    read_finish,
    read_tokens,
    read_usage,
)
from freehold.wire.sse import SseEvent


class ReplyReader(EventReader):
    """One reply being read."""

    __slots__ = ("_done", "_ids", "_started")

    def __init__(self) -> None:
        super().__init__(LineSplitter())
        self._started = False
        self._done = False
        self._ids: set[str] = set()

    def _require_whole(self) -> None:
        if not self._done:
            raise faulty(Kind.BROKEN_STREAM, "the runtime closed its stream before the answer was done")

    def whole(self, body: bytes) -> list[Event]:
        """See `wire.codec.Reader.whole`."""
        chunk = read_chunk(body)
        if chunk.said is None:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no message")
        if chunk.done is False:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer is a piece of a stream, not a whole answer")
        events: list[Event] = []
        self._take_chunk(chunk, body, events)
        if not self._done:
            self._finish(chunk, events)
        return events

    def _take(self, block: SseEvent, events: list[Event]) -> None:
        if block.data and not self._done:
            self._take_chunk(read_chunk(block.data), block.data, events)

    def _take_chunk(self, chunk: Chunk, data: bytes, events: list[Event]) -> None:
        said = chunk.said
        if said is None and not chunk.done:
            raise faulty(Kind.INVALID_REPLY, "the runtime's stream has a line without a message")
        if not self._started:
            self._started = True
            events.append(Started(None, chunk.model or None, read_created_s(chunk)))
        tokens = read_tokens(chunk.logprobs) if chunk.logprobs else None
        if said is not None:
            if said.thinking:
                events.append(ReasoningDelta(said.thinking))
            if said.content or tokens is not None:
                events.append(TextDelta(said.content or "", 0, tokens))
            for call in said.tool_calls or ():
                self._take_call(call, data, events)
        if chunk.done:
            self._finish(chunk, events)

    def _finish(self, chunk: Chunk, events: list[Event]) -> None:
        self._done = True
        events.append(Finished(read_finish(chunk.done_reason, bool(self._ids))))
        usage = read_usage(chunk)
        if usage is not None:
            events.append(UsageReported(usage))

    def _take_call(self, call: Call, data: bytes, events: list[Event]) -> None:
        if not call.function.name:
            raise faulty(Kind.INVALID_REPLY, "the runtime called a tool without naming it")
        try:
            arguments = read_arguments(call.function.arguments)
        except UNREADABLE:
            raise faulty(Kind.INVALID_REPLY, "the runtime sent a tool call with unreadable arguments") from None
        index = len(self._ids)
        call_id = call.id or ""
        if not call_id or call_id in self._ids:
            call_id = f"call_{blake2b(data, digest_size=8).hexdigest()}_{index}"
        self._ids.add(call_id)
        events.append(ToolCallStarted(index, call_id, call.function.name))
        if arguments:
            events.append(ToolCallDelta(index, arguments))
