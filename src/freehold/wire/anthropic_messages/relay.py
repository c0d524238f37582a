"""Passes the Messages format through to a client of the same format: bytes are kept but for the named edits.

Request: `model`, `max_tokens_clamped` (a thinking budget is lowered with it, since the format refuses one that is not
below the length), `engine_options`. Reply: `reply_model`, and `end_mark`: a missing `message_stop` is
added, what comes behind it left out. Every other event leaves as the very bytes that came. Not
done: unsigned thinking in a history is relayed as it is; `has_unsigned_thinking` tells who may choose translation.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.anthropic_messages.request_out import SMALLEST_THINKING_BUDGET
from freehold.wire.anthropic_messages.shapes import WireBlock, WireEvent, WireMessage, read_event, read_message
from freehold.wire.anthropic_messages.spelling import FINISH_OF, UsageCount
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked, EditName, Envelope, Sent, Tap
from freehold.wire.relay import EventRelay
from freehold.wire.signatures import unmark
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SILENT_BLOCKS = frozenset({"text", "thinking"})
"""Blocks whose beginning says nothing yet."""


STOP_EVENT = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class _Thinking(msgspec.Struct):
    type: str | None = None
    budget_tokens: int | None = None


class _SignedBlock(msgspec.Struct):
    type: str | None = None
    signature: str | None = None


class _Turn(msgspec.Struct):
    content: str | list[_SignedBlock] = ""


_read_thinking = msgspec.json.Decoder(_Thinking).decode
_read_turns = msgspec.json.Decoder(list[_Turn]).decode


def relay_request(envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
    """See `wire.codec.Codec.relay_request`. Engine options win over the client's own: the operator pins them."""
    changed: dict[str, msgspec.Raw] = {}
    edits: list[EditName] = []
    if envelope.model != sent.model:
        changed["model"] = msgspec.Raw(_encode(sent.model))
        edits.append("model")
    ceiling = sent.max_tokens_ceiling
    if ceiling is not None and (envelope.max_tokens is None or envelope.max_tokens > ceiling):
        changed["max_tokens"] = msgspec.Raw(b"%d" % ceiling)
        changed.update(_fit_thinking(envelope.top.get("thinking"), ceiling))
        edits.append("max_tokens_clamped")
    options = {key: value for key, value in sent.extra.items() if envelope.top.get(key) != value}
    if options:
        changed.update(options)
        edits.append("engine_options")
    if not changed:
        return envelope.body, ()
    return _encode({**envelope.top, **changed}), tuple(edits)


def _fit_thinking(raw: msgspec.Raw | None, ceiling: int) -> dict[str, msgspec.Raw]:
    if raw is None:
        return {}
    try:
        thinking, fields = _read_thinking(raw), _read_object(raw)
    except UNREADABLE:
        return {}  # the upstream says what is wrong with it
    if thinking.budget_tokens is None or thinking.budget_tokens < ceiling:
        return {}
    if ceiling <= SMALLEST_THINKING_BUDGET:
        return {"thinking": msgspec.Raw(b'{"type":"disabled"}')}
    return {"thinking": msgspec.Raw(_encode({**fields, "budget_tokens": ceiling - 1}))}


def has_unsigned_thinking(envelope: Envelope) -> bool:
    """Whether the history holds thinking without a signature, which the format's vendor refuses."""
    raw = envelope.top["messages"]
    if b'"thinking"' not in memoryview(raw).tobytes():
        return False
    try:
        turns = _read_turns(raw)
    except UNREADABLE:
        return False
    return any(
        block.type == "thinking" and unmark(block.signature, "anthropic_messages") is None
        for turn in turns
        if not isinstance(turn.content, str)
        for block in turn.content
    )


class RelayPipe(EventRelay):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_asked", "_done", "_usage")

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked
        self._usage = UsageCount()
        self._done = False

    def _require_whole(self) -> None:
        if self.tap.finish is None:
            raise faulty(Kind.BROKEN_STREAM, "the runtime's stream ended without a stop reason")

    def _end_mark(self) -> bytes:
        return b"" if self._done else STOP_EVENT

    def _pass(self, block: SseEvent) -> bytes:
        if self._done or not block.data:
            return self._pass_silent(block)
        event = read_event(block.data)
        tap = self.tap
        match event.type:
            case "content_block_delta":
                delta = event.delta
                if not tap.content and delta is not None and (delta.text or delta.thinking or delta.partial_json):
                    tap.content = True
            case "content_block_start":
                _note_block(tap, event.content_block)
            case "message_start":
                return self._start(event, block)
            case "message_delta":
                self._note_end(event)
            case "message_stop":
                self._done = True
                if tap.finish is None:
                    tap.finish = "tool_calls" if tap.tool_calls else "stop"
        return block.raw

    def _note_end(self, event: WireEvent) -> None:
        if event.usage is not None:
            self.tap.usage = self._usage.take(event.usage)
        if event.delta is not None and event.delta.stop_reason is not None:
            self.tap.finish = FINISH_OF.get(event.delta.stop_reason, "stop")

    def _start(self, event: WireEvent, block: SseEvent) -> bytes:
        message, tap = event.message, self.tap
        if message is None:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a `message_start` without `message`")
        if message.usage is not None:
            tap.usage = self._usage.take(message.usage)
        tap.answered_model = message.model or None
        if message.model is None or message.model == self._asked.model:
            return block.raw
        tap.edits.add("reply_model")
        top = _split(block.data)
        top["message"] = msgspec.Raw(_rename(top["message"], self._asked.model))
        name = b"event: %b\n" % block.name if block.name else b""
        return b"%bdata: %b\n\n" % (name, _encode(top).replace(b"\n", b" "))


def _rename(message: msgspec.Raw | bytes, model: str) -> bytes:
    """The message under the id the client asked for, every other value as it came."""
    fields = _split(message)
    fields["model"] = msgspec.Raw(_encode(model))
    return _encode(fields)


def _split(raw: msgspec.Raw | bytes) -> dict[str, msgspec.Raw]:
    try:
        return _read_object(raw)
    except UNREADABLE:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer is not valid JSON") from None


def _note_block(tap: Tap, block: WireBlock | None) -> None:
    if block is None:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a `content_block_start` without `content_block`")
    if block.type == "tool_use":
        tap.tool_calls += 1
    if block.type not in _SILENT_BLOCKS or block.text or block.thinking:
        tap.content = True


def relay_whole(body: bytes, asked: Asked) -> tuple[bytes, Tap]:
    """See `wire.codec.Codec.relay_whole`."""
    message = read_message(body)
    tap = Tap()
    _note_whole(tap, message)
    if message.model is None or message.model == asked.model:
        return body, tap
    tap.edits.add("reply_model")
    return _rename(body, asked.model), tap


def _note_whole(tap: Tap, message: WireMessage) -> None:
    for block in message.content:
        _note_block(tap, block)
    tap.answered_model = message.model or None
    if message.usage is not None:
        tap.usage = UsageCount().take(message.usage)
    ended = "tool_use" if tap.tool_calls else "end_turn"
    tap.finish = FINISH_OF.get(message.stop_reason or ended, "stop")
