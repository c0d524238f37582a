"""Reads a Messages reply, streamed or whole, into the seven events.

Promised: bytes cut anywhere give the same events; calls count from 0 in the order they begin; a stream with neither a
stop reason nor `message_stop` is BROKEN_STREAM. Repaired: a call's input given whole where its block begins, a missing
block index, a missing stop reason behind a proper end. Not carried: citations, and blocks and results of tools the
vendor runs itself (`server_tool_use` and the like): the client asked another format and could not read them.
"""

import msgspec

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
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.anthropic_messages.shapes import WireBlock, WireDelta, WireEvent, WireMessage, read_event, read_message
from freehold.wire.anthropic_messages.spelling import FINISH_OF, UsageCount, WireUsage
from freehold.wire.event_reader import EventReader
from freehold.wire.sse import SseEvent

MOST_BLOCKS = 1024
_EMPTY = (msgspec.Raw(), msgspec.Raw(b"{}"), msgspec.Raw(b"null"))


class _OpenBlock:
    """A content block that has begun."""

    __slots__ = ("call", "ending")

    def __init__(self, call: int | None = None, ending: Event | None = None) -> None:
        self.call = call
        """The number of the call, for a call's block."""
        self.ending = ending
        """Said at the block's end unless a delta said it before: a whole input, a signature."""


class MessagesReader(EventReader):
    """One reply being read. See `wire.codec.Reader`."""

    __slots__ = ("_blocks", "_calls", "_done", "_finished", "_last", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._usage = UsageCount()
        self._blocks: dict[int, _OpenBlock] = {}
        self._last = -1
        self._calls = 0
        self._finished = False
        self._done = False

    def _take(self, block: SseEvent, events: list[Event]) -> None:
        events += self._read(block)

    def _require_whole(self) -> None:
        if not self._finished:
            raise faulty(Kind.BROKEN_STREAM, "the runtime's stream ended without a stop reason")

    def whole(self, body: bytes) -> list[Event]:
        """See `wire.codec.Reader.whole`."""
        message = read_message(body)
        events: list[Event] = [Started(message.id or None, message.model or None)]
        for index, block in enumerate(message.content):
            events += self._begin(index, block)
            events += self._end_block(index)
        if message.usage is not None:
            events.append(UsageReported(self._usage.take(message.usage)))
        return events + self._finish(message.stop_reason, message.stop_sequence)

    def _read(self, block: SseEvent) -> list[Event]:
        if self._done or not block.data:
            return []
        event = read_event(block.data)
        match event.type:
            case "content_block_delta":
                return self._continue(event)
            case "content_block_start":
                if event.content_block is None:
                    raise _misshapen("content_block_start", "content_block")
                return self._begin(self._last + 1 if event.index is None else event.index, event.content_block)
            case "content_block_stop":
                return self._end_block(self._last if event.index is None else event.index)
            case "message_start":
                return [self._start(event.message)]
            case "message_delta":
                return self._end_message(event.delta, event.usage)
            case "message_stop":
                self._done = True
                return self._finish(None, None)
            case _:
                return []

    def _start(self, message: WireMessage | None) -> Event:
        if message is None:
            raise _misshapen("message_start", "message")
        usage = None if message.usage is None else self._usage.take(message.usage)
        return Started(message.id or None, message.model or None, None, usage)

    def _begin(self, index: int, block: WireBlock) -> list[Event]:
        self._last = index
        if len(self._blocks) >= MOST_BLOCKS or self._calls >= MOST_BLOCKS:
            raise faulty(
                Kind.INVALID_REPLY, f"the runtime began more than {MOST_BLOCKS} content blocks at once, or as many calls"
            )
        opened = self._blocks[index] = _OpenBlock()
        match block.type:
            case "text":
                return [TextDelta(block.text)] if block.text else []
            case "thinking":
                if block.signature:
                    opened.ending = ReasoningDelta("", signature=block.signature)
                return [ReasoningDelta(block.thinking)] if block.thinking else []
            case "redacted_thinking":
                return [ReasoningDelta("", redacted=block.data)] if block.data else []
            case "tool_use":
                return [self._begin_call(opened, block)]
            case _:
                del self._blocks[index]
                return []

    def _begin_call(self, opened: _OpenBlock, block: WireBlock) -> Event:
        if not block.name:
            raise _misshapen("tool_use", "name")
        opened.call = self._calls
        self._calls += 1
        if block.input not in _EMPTY:
            opened.ending = ToolCallDelta(opened.call, bytes(block.input).decode(errors="replace"))
        return ToolCallStarted(opened.call, block.id or "", block.name)

    def _continue(self, event: WireEvent) -> list[Event]:
        delta = event.delta
        if delta is None:
            raise _misshapen("content_block_delta", "delta")
        match delta.type:
            case "text_delta":
                return [TextDelta(delta.text)] if delta.text else []
            case "thinking_delta":
                return [ReasoningDelta(delta.thinking)] if delta.thinking else []
            case "input_json_delta":
                return self._continue_call(event.index, delta.partial_json)
            case "signature_delta":
                return self._sign(event.index, delta.signature)
            case _:
                return []

    def _continue_call(self, index: int | None, arguments: str) -> list[Event]:
        opened = self._blocks.get(self._last if index is None else index)
        if opened is None or opened.call is None or not arguments:
            return []  # the input of a tool the vendor runs itself
        opened.ending = None
        return [ToolCallDelta(opened.call, arguments)]

    def _sign(self, index: int | None, signature: str) -> list[Event]:
        opened = self._blocks.get(self._last if index is None else index)
        if opened is not None:
            opened.ending = None
        return [ReasoningDelta("", signature=signature)] if signature else []

    def _end_block(self, index: int) -> list[Event]:
        opened = self._blocks.pop(index, None)
        return [] if opened is None or opened.ending is None else [opened.ending]

    def _end_message(self, delta: WireDelta | None, usage: WireUsage | None) -> list[Event]:
        events: list[Event] = [] if usage is None else [UsageReported(self._usage.take(usage))]
        if delta is None or delta.stop_reason is None:
            return events
        return events + self._finish(delta.stop_reason, delta.stop_sequence)

    def _finish(self, stop_reason: str | None, stop_sequence: str | None) -> list[Event]:
        """The proper end, once; blocks still open end with it."""
        if self._finished:
            return []
        self._finished = True
        events = [ended for index in list(self._blocks) for ended in self._end_block(index)]
        if stop_reason is None:
            return [*events, Finished("tool_calls" if self._calls else "stop")]
        return [*events, Finished(FINISH_OF.get(stop_reason, "stop"), stop_sequence)]


def _misshapen(what: str, field: str) -> FaultError:
    return faulty(Kind.INVALID_REPLY, f"the runtime's answer has a `{what}` without `{field}`")
