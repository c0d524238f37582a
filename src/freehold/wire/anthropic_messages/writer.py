"""Writes the seven events as a Messages stream, and a folded reply as a whole message.

Promised: content blocks come strictly one at a time with rising index, each is closed, every call has an id that is
unique in the reply; `message_delta` waits for `close`, when the last usage is known. Calls whose pieces arrive mixed
are put in order: a later block waits until the open call's arguments are a whole JSON object, or for the end. After a
fault nothing follows. Dropped, because the format has no place: log probabilities and all choices but the first.
Where the upstream never says its usage, the output is estimated from the characters written.
"""

import re

import msgspec

from freehold.chat import (
    Choice,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    ReasoningPart,
    Reply,
    Started,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from freehold.fault import Fault, Kind, faulty
from freehold.wire.anthropic_messages.faults import spell
from freehold.wire.anthropic_messages.spelling import spell_stop_reason, spell_usage
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked

_encode = msgspec.json.Encoder().encode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_CHARACTERS_PER_TOKEN = 4

_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_EMPTY_TEXT = b'{"type":"text","text":""}'
_EMPTY_THINKING = b'{"type":"thinking","thinking":"","signature":""}'


class _Ids:
    """Ids of calls: the upstream's own, or made from the reply's id where one is missing or taken."""

    __slots__ = ("_count", "_seed", "_taken")

    def __init__(self, reply_id: str) -> None:
        self._seed = _NOT_IN_IDS.sub("", reply_id)
        self._taken: set[str] = set()
        self._count = 0

    def take(self, given: str) -> str:
        """The id of the next call."""
        call_id = given
        while not call_id or call_id in self._taken:
            call_id = f"toolu_{self._seed}_{self._count}"
            self._count += 1
        self._taken.add(call_id)
        return call_id


class _Waiting:
    """A block whose turn has not come."""

    __slots__ = ("call", "events", "kind")

    def __init__(self, kind: str, call: int | None) -> None:
        self.kind = kind
        self.call = call
        self.events: list[Event] = []


class MessagesWriter:
    """One stream being written. See `wire.codec.Writer`."""

    __slots__ = (
        "_arguments", "_asked", "_call", "_called", "_calls_ended", "_closed", "_finish", "_ids", "_index", "_kind", "_prefix",
        "_refused", "_started", "_stop_sequence", "_usage", "_waiting", "_written_characters",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._ids = _Ids(asked.reply_id)
        self._started = self._closed = False
        self._index = -1
        self._kind = ""
        """Of the open block: text, refusal, thinking, call; empty when none is open."""
        self._prefix = b""
        """Of a delta of the open block."""
        self._call = -1
        self._arguments: list[str] = []
        self._calls_ended: set[int] = set()
        self._waiting: list[_Waiting] = []
        self._called = self._refused = False
        self._finish: FinishReason | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None
        self._written_characters = 0

    def write(self, event: Event) -> bytes:
        """See `wire.codec.Writer.write`. Raises FaultError(INVALID_REPLY) for a call that goes on behind its end."""
        kind = type(event)
        if kind is TextDelta and self._kind == "text" and event.choice == 0 and not event.refusal:  # type: ignore[union-attr]  # narrowed by exact type
            text = event.text  # type: ignore[union-attr]  # narrowed by exact type
            self._written_characters += len(text)
            return b"%b%b}}\n\n" % (self._prefix, _encode(text)) if text else b""
        if self._closed:
            return b""
        match event:
            case Started():
                return self._start(event)
            case UsageReported(usage):
                self._usage = usage
                return b""
            case Finished():
                if event.choice == 0:
                    self._finish, self._stop_sequence = event.reason, event.stop_sequence
                return b""
            case _ if event.choice != 0:
                return b""
            case _:
                begun = b"" if self._started else self._start(Started())
                return begun + self._place(event)

    def close(self) -> bytes:
        """See `wire.codec.Writer.close`: open blocks end, then `message_delta` with stop reason and usage."""
        if self._closed:
            return b""
        out = [b"" if self._started else self._start(Started()), *self._drain(to_the_end=True), self._end_block()]
        self._closed = True
        usage = self._usage or _guess(self._asked, self._written_characters)
        reason = spell_stop_reason(self._finish, called=self._called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": self._stop_sequence}
        ending = {"type": "message_delta", "delta": delta, "usage": spell_usage(usage)}
        out.append(b'event: message_delta\ndata: %b\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n' % _encode(ending))
        return b"".join(out)

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Writer.fault`."""
        self._closed = True
        self._kind = ""
        return b"event: error\ndata: %b\n\n" % _encode(spell(fault))

    def _start(self, started: Started) -> bytes:
        if started.usage is not None:
            self._usage = started.usage
        if self._started:
            return b""
        self._started = True
        asked = self._asked
        usage = started.usage or Usage(input_tokens=asked.prompt_tokens, output_tokens=0)
        message = _message(_id_of(started.id, asked), asked.model, [], None, None, usage)
        return b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _encode(message)

    def _place(self, event: Event) -> bytes:
        """Write a content event, or let it wait while a call is open whose arguments are not whole."""
        kind, call = _block_of(event)
        if call in self._calls_ended:
            return _refuse_more(event)
        if kind == "call" and self._kind == "call" and call == self._call:
            written = self._continue_call(event)
            return written + b"".join(self._drain(to_the_end=False)) if self._waiting else written
        if self._kind == "call" and not self._is_call_whole():
            self._wait(kind, call, event)
            return b""
        return self._write_in_turn(kind, call, event)

    def _wait(self, kind: str, call: int | None, event: Event) -> None:
        places = self._waiting if call is not None else self._waiting[-1:]
        place = next((waiting for waiting in places if (waiting.kind, waiting.call) == (kind, call)), None)
        if place is None:
            if isinstance(event, ToolCallDelta):
                raise _never_began()
            place = _Waiting(kind, call)
            self._waiting.append(place)
        place.events.append(event)

    def _drain(self, *, to_the_end: bool) -> list[bytes]:
        """What waited and whose turn has come."""
        out: list[bytes] = []
        while self._waiting and (to_the_end or self._kind != "call" or self._is_call_whole()):
            waiting = self._waiting.pop(0)
            out += [self._write_in_turn(waiting.kind, waiting.call, event) for event in waiting.events]
        return out

    def _is_call_whole(self) -> bool:
        """Whether the open call's arguments are a whole object: then nothing but white space can follow."""
        if not self._arguments or not self._arguments[-1].rstrip().endswith("}"):
            return False
        self._arguments = ["".join(self._arguments)]
        try:
            _read_object(self._arguments[0])
        except (*UNREADABLE, UnicodeEncodeError):
            return False
        return True

    def _write_in_turn(self, kind: str, call: int | None, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                self._refused = self._refused or event.refusal
                return self._write_piece(kind, text, _EMPTY_TEXT, b'"text_delta","text":')
            case ReasoningDelta(redacted=str() as data):
                block = _encode({"type": "redacted_thinking", "data": data})
                return self._begin_block("redacted_thinking", block, b"") + self._end_block()
            case ReasoningDelta():
                return self._think(event)
            case ToolCallStarted(index, call_id, name):
                block = _encode({"type": "tool_use", "id": self._ids.take(call_id), "name": name, "input": {}})
                begun = self._begin_block("call", block, b'"input_json_delta","partial_json":')
                self._call, self._arguments, self._called = index, [], True
                return begun
            case _ if kind == "call" and self._kind == "call" and call == self._call:
                return self._continue_call(event)
            case _:
                raise _never_began()

    def _write_piece(self, kind: str, text: str, empty: bytes, prefix: bytes) -> bytes:
        if not text:
            return b""
        begun = b"" if self._kind == kind else self._begin_block(kind, empty, prefix)
        self._written_characters += len(text)
        return b"%b%b%b}}\n\n" % (begun, self._prefix, _encode(text))

    def _think(self, event: ReasoningDelta) -> bytes:
        """A signature ends its block, and stands in one of its own where no text came before it."""
        written = self._write_piece("thinking", event.text, _EMPTY_THINKING, b'"thinking_delta","thinking":')
        if not event.signature:
            return written
        if self._kind != "thinking":
            written = self._begin_block("thinking", _EMPTY_THINKING, b'"thinking_delta","thinking":')
        signed = _DELTA % self._index + b'"signature_delta","signature":%b}}\n\n' % _encode(event.signature)
        return written + signed + self._end_block()

    def _continue_call(self, event: Event) -> bytes:
        arguments = event.arguments if isinstance(event, ToolCallDelta) else ""
        if not arguments:
            return b""
        self._arguments.append(arguments)
        self._written_characters += len(arguments)
        return b"%b%b}}\n\n" % (self._prefix, _encode(arguments))

    def _begin_block(self, kind: str, block: bytes, prefix: bytes) -> bytes:
        ended = self._end_block()
        self._index += 1
        self._kind = kind
        self._prefix = _DELTA % self._index + prefix
        return ended + _START % (self._index, block)

    def _end_block(self) -> bytes:
        if not self._kind:
            return b""
        if self._kind == "call":
            self._calls_ended.add(self._call)
        self._kind = ""
        return _STOP % self._index


def _block_of(event: Event) -> tuple[str, int | None]:
    """The kind of block an event belongs to, and for calls which one."""
    match event:
        case ToolCallStarted() | ToolCallDelta():
            return "call", event.index
        case ReasoningDelta():
            return "thinking", None
        case TextDelta(refusal=True):
            return "refusal", None
        case _:
            return "text", None


def _refuse_more(event: Event) -> bytes:
    """White space behind whole arguments says nothing; anything else cannot be taken back into a closed block."""
    if isinstance(event, ToolCallDelta) and event.arguments.strip():
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer continues a tool call behind its whole arguments")
    return b""


def _never_began() -> Exception:
    return faulty(Kind.INVALID_REPLY, "the runtime's answer continues a tool call that never began")


def _guess(asked: Asked, characters: int) -> Usage:
    """Usage nobody reported: clients compact their history by it, so an estimate is better than zero."""
    output = -(-characters // _CHARACTERS_PER_TOKEN)
    return Usage(input_tokens=asked.prompt_tokens, output_tokens=output, basis="estimated")


def _id_of(given: str | None, asked: Asked) -> str:
    """The reply's id. Other formats' are not kept: some runtimes begin anew with each answer, or draw one of a thousand (Ollama's
    `chatcmpl-7`), and Claude Code takes messages of one id for one.
    """
    if given is not None and given.startswith("msg_"):
        return given
    return f"msg_{asked.reply_id.removeprefix('req_').removeprefix('msg_')}"


def _message(
    message_id: str, model: str, content: list[dict[str, object]], reason: str | None, stop_sequence: str | None, usage: Usage
) -> dict[str, object]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop_sequence,
        "usage": spell_usage(usage),
    }


def write_whole(reply: Reply, asked: Asked) -> bytes:
    """See `wire.codec.Codec.write_whole`. Raises FaultError(INVALID_REPLY) for a call without valid arguments, unless
    the answer was cut at its length: then no client runs the call.
    """
    choice = reply.choices[0] if reply.choices else Choice()
    ids = _Ids(asked.reply_id)
    content: list[dict[str, object]] = []
    for part in choice.parts:
        match part:
            case TextPart(text):
                content.append({"type": "text", "text": text})
            case ReasoningPart(redacted=str() as data):
                content.append({"type": "redacted_thinking", "data": data})
            case ReasoningPart(text, signature):
                content.append({"type": "thinking", "thinking": text, "signature": signature or ""})
            case ToolCallPart(call_id, name, arguments):
                given = _input(arguments, was_cut=choice.finish == "length")
                content.append({"type": "tool_use", "id": ids.take(call_id), "name": name, "input": given})
    if choice.refusal is not None:
        content.append({"type": "text", "text": choice.refusal})
    called = any(isinstance(part, ToolCallPart) for part in choice.parts)
    reason = spell_stop_reason(choice.finish, called=called, refused=choice.refusal is not None)
    said = sum(len(part.arguments if isinstance(part, ToolCallPart) else part.text) for part in choice.parts)
    usage = reply.usage or _guess(asked, said + len(choice.refusal or ""))
    return _encode(_message(_id_of(reply.id, asked), asked.model, content, reason, choice.stop_sequence, usage))


def _input(arguments: str, *, was_cut: bool) -> msgspec.Raw:
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _read_object(arguments)
    except UNREADABLE:
        if was_cut:
            return msgspec.Raw(b"{}")
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer calls a tool with arguments that are no JSON object") from None
    return msgspec.Raw(arguments.encode())
