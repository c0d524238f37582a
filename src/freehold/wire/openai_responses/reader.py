"""Reads a Responses reply, streamed or whole, into the seven events.

Promised: bytes cut anywhere give the same events; a stream without `response.completed` or `response.incomplete` is
BROKEN_STREAM; `response.failed` and error events are raised as the fault they mean. Repaired: deltas that never came are
read from the finished item, items that never came from the finished response; missing ids of calls are made up. Not
carried: annotations, and calls and results of tools the vendor runs itself.
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
from freehold.fault import Kind, faulty
from freehold.wire.event_reader import EventReader
from freehold.wire.openai_responses.shapes import (
    CALLS,
    ENDS,
    WireEvent,
    WireItem,
    WirePart,
    WireResponse,
    read_event,
    read_finish,
    read_response,
    read_usage,
    refuse_many,
)
from freehold.wire.openai_responses.thinking import unseal
from freehold.wire.openai_responses.tools import flatten
from freehold.wire.sse import SseEvent

_OPEN_INPUT = '{"input":"'
_EMPTY_LIST = len("[]")
_BETWEEN_PARTS = "\n\n"


class _Item:
    """An output item that has begun."""

    __slots__ = ("call", "custom", "done", "said", "spoke", "thought_in")

    def __init__(self) -> None:
        self.call: int | None = None
        """The number of the call, once it began."""
        self.custom = False
        self.said = False
        """A delta of it came."""
        self.spoke: set[tuple[str, int]] = set()
        """Its parts of which a delta came, by kind and index."""
        self.thought_in: str | None = None
        """Which of the two places of thinking, summary or content, is read; the other one tells the same again."""
        self.done = False


class ResponsesReader(EventReader):
    """One reply being read. See `wire.codec.Reader`."""

    __slots__ = (
        "_calls",
        "_ended",
        "_ids",
        "_items",
        "_last",
        "_refused",
        "_reply_id",
        "_speaking",
        "_started",
    )

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, _Item] = {}
        self._ids: dict[str, int] = {}
        self._last = -1
        self._calls = 0
        self._refused = False
        self._started = False
        self._ended = False
        self._reply_id = ""
        self._speaking: int | None = None
        """The item whose text the last event went on with: most events go on with it."""

    def _require_whole(self) -> None:
        if not self._ended:
            raise faulty(Kind.BROKEN_STREAM, "the runtime closed its stream before the response was completed")

    def whole(self, body: bytes) -> list[Event]:
        """See `wire.codec.Reader.whole`."""
        response = read_response(body)
        if response.status in {"queued", "in_progress"}:
            raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is not done: its status is {response.status}")
        events: list[Event] = []
        self._start(response, events)
        self._end(response, events)
        return events

    def _take(self, block: SseEvent, events: list[Event]) -> None:
        if not block.data or self._ended or block.data == b"[DONE]":
            return
        event = read_event(block.data, block.name)
        kind = event.type
        goes_on = kind == "response.output_text.delta" and not event.content_index and event.delta
        if goes_on and self._speaking is not None and event.output_index == self._speaking:
            events.append(TextDelta(event.delta or "", 0, _tokens(event.logprobs) if len(event.logprobs) > _EMPTY_LIST else None))
            return
        self._speaking = event.output_index if goes_on else None
        if kind in ENDS:
            assert event.response is not None
            self._start(event.response, events)
            self._end(event.response, events)
            return
        match kind:
            case "response.created" | "response.in_progress" | "response.queued":
                self._start(event.response or WireResponse(), events)
            case "response.output_item.added" if event.item is not None:
                self._begin(self._place(event), event.item, events)
            case "response.output_item.done" if event.item is not None:
                self._finish_item(self._place(event), event.item, events)
            case _:
                self._continue(event, events)

    def _start(self, response: WireResponse, events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        self._reply_id = response.id or ""
        created_s = None if response.created_at is None else int(response.created_at)
        events.append(Started(response.id or None, response.model or None, created_s))

    def _place(self, event: WireEvent) -> int:
        """Which item an event is of: by its index, its id, or else the newest one."""
        item_id = event.item_id or (event.item.id if event.item is not None else None)
        at = event.output_index
        if at is None:
            at = self._ids.get(item_id) if item_id else None
        if at is None:
            newest = self._items.get(self._last)
            begins = event.type == "response.output_item.added"
            ends_unseen = event.type == "response.output_item.done" and (newest is None or newest.done)
            at = self._last + 1 if begins or ends_unseen else max(self._last, 0)
        if item_id:
            self._ids.setdefault(item_id, at)
        return at

    def _begin(self, at: int, wire: WireItem, events: list[Event]) -> _Item:
        self._last = max(self._last, at)
        item = self._items.get(at)
        if item is None:
            item = self._items[at] = _Item()
        if wire.type in CALLS and item.call is None and wire.name:
            item.call, item.custom = self._calls, wire.type == "custom_tool_call"
            call_id = wire.call_id or wire.id or f"call_{self._reply_id.rpartition('_')[2]}_{self._calls}"
            self._calls += 1
            refuse_many(self._calls)
            events.append(ToolCallStarted(item.call, call_id, flatten(wire.name, wire.namespace)))
        return item

    def _continue(self, event: WireEvent, events: list[Event]) -> None:
        at = self._place(event)
        item = self._items.get(at)
        if item is None:
            if not event.type.endswith(".delta") or not event.type.startswith(("response.output_text", "response.re")):
                return
            item = self._begin(at, WireItem(), events)
        delta = event.delta or ""
        match event.type:
            case "response.output_text.delta":
                self._speak(item, "text", event.content_index, delta, event.logprobs, events)
            case "response.refusal.delta":
                self._speak(item, "refusal", event.content_index, delta, msgspec.Raw(b""), events)
            case "response.reasoning_summary_text.delta":
                self._think(item, "summary", event.summary_index, delta, events)
            case "response.reasoning_text.delta" | "response.reasoning.delta":
                self._think(item, "content", event.content_index, delta, events)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                self._call(item, delta, events)
            case "response.output_text.done" if ("text", event.content_index or 0) not in item.spoke:
                self._speak(item, "text", event.content_index, event.text or "", event.logprobs, events)
            case "response.refusal.done" if ("refusal", event.content_index or 0) not in item.spoke:
                self._speak(item, "refusal", event.content_index, event.refusal or "", msgspec.Raw(b""), events)

    def _speak(self, item: _Item, kind: str, index: int | None, text: str, logprobs: msgspec.Raw, events: list[Event]) -> None:
        tokens = _tokens(logprobs)
        if not text and tokens is None:
            return
        item.spoke.add((kind, index or 0))
        item.said = True
        self._refused = self._refused or kind == "refusal"
        events.append(TextDelta(text, 0, tokens, kind == "refusal"))

    def _think(self, item: _Item, where: str, index: int | None, text: str, events: list[Event]) -> None:
        if not text or (item.thought_in or where) != where:
            return
        begins = (where, index or 0) not in item.spoke
        if begins and item.thought_in is not None:
            events.append(ReasoningDelta(_BETWEEN_PARTS))
        item.thought_in = where
        item.spoke.add((where, index or 0))
        item.said = True
        events.append(ReasoningDelta(text))

    def _call(self, item: _Item, text: str, events: list[Event]) -> None:
        if item.call is None or not text:
            return
        if item.custom:
            opening = "" if item.said else _OPEN_INPUT
            text = opening + msgspec.json.encode(text).decode()[1:-1]
        item.said = True
        events.append(ToolCallDelta(item.call, text))

    def _finish_item(self, at: int, wire: WireItem, events: list[Event]) -> None:
        """What the deltas did not say."""
        item = self._begin(at, wire, events)
        if item.done:
            return
        item.done = True
        if wire.type == "message":
            for index, part in enumerate(wire.content or ()):
                self._finish_part(item, index, part, events)
        elif wire.type == "reasoning":
            self._finish_thinking(item, wire, events)
        elif wire.type in CALLS:
            if item.call is None:
                raise faulty(Kind.INVALID_REPLY, "the runtime began a tool call without naming the tool")
            if not item.said:
                self._call(item, (wire.input if item.custom else wire.arguments) or "", events)
            if item.custom:
                events.append(ToolCallDelta(item.call, '"}' if item.said else _OPEN_INPUT + '"}'))

    def _finish_part(self, item: _Item, index: int, part: WirePart, events: list[Event]) -> None:
        if part.type == "refusal" and ("refusal", index) not in item.spoke:
            self._speak(item, "refusal", index, part.refusal or "", msgspec.Raw(b""), events)
        elif part.type in {"output_text", "text"} and ("text", index) not in item.spoke:
            self._speak(item, "text", index, part.text or "", part.logprobs, events)

    def _finish_thinking(self, item: _Item, wire: WireItem, events: list[Event]) -> None:
        if item.thought_in is None:
            where, parts = ("content", wire.content) if wire.content else ("summary", wire.summary)
            for index, part in enumerate(parts or ()):
                self._think(item, where, index, part.text or "", events)
        if wire.encrypted_content:
            signature, redacted = unseal(wire.encrypted_content)
            events.append(ReasoningDelta("", 0, signature, redacted))

    def _end(self, response: WireResponse, events: list[Event]) -> None:
        """The proper end: items that never came are read from it."""
        is_told = bool(self._items)
        for index, wire in enumerate(response.output or ()):
            at = self._ids.get(wire.id or "", index)
            item = self._items.get(at)
            if not item.done if item is not None else not is_told:
                self._finish_item(at, wire, events)
        self._ended = True
        if response.usage is not None:
            events.append(UsageReported(read_usage(response.usage)))
        events.append(Finished(read_finish(response, called=self._calls > 0, refused=self._refused)))


def _tokens(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A list of token objects that says something, on one line (a line end in JSON is a blank, in a stream it is not)."""
    text = bytes(raw).replace(b"\n", b" ").replace(b"\r", b" ")
    return msgspec.Raw(text) if text[:1] == b"[" and text != b"[]" else None
