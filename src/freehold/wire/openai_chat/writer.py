"""Writes the seven events as a Chat Completions stream, and a folded reply as a whole answer.

Promised: a valid stream (a first chunk with the role, deltas, a finish per choice, the usage chunk if it was asked for,
`[DONE]`), every chunk with id, object, created and the id the client asked for as `model`. After a fault nothing follows.
Dropped, because the format has no place: signatures and encrypted thinking, the text of a matched stop sequence.
`refusal` and `pause` are spelled `content_filter` and `stop`.
"""

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
from freehold.fault import Fault
from freehold.wire.codec import Asked
from freehold.wire.openai_faults import spell
from freehold.wire.openai_replies import write_usage

_encode = msgspec.json.Encoder().encode

FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
}


class ChatWriter:
    """One stream being written."""

    __slots__ = ("_asked", "_bare", "_begun", "_head", "_head_0", "_tail", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._begun: set[int] = set()
        self._bare: set[tuple[int, int]] = set()
        """Calls, by choice and index, of which no arguments were written yet."""
        self._usage: Usage | None = None
        self._tail = b'}],"usage":null}\n\n' if asked.stream_usage else b"}]}\n\n"
        self._head = b""
        self._head_0 = b""

    def write(self, event: Event) -> bytes:
        """See `wire.codec.Writer.write`."""
        kind = type(event)
        if kind is TextDelta:
            return self._write_text(event)  # type: ignore[arg-type]  # narrowed by its exact type, which is faster than match
        match event:
            case ToolCallDelta(index, arguments, choice):
                if arguments:
                    self._bare.discard((choice, index))
                function = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (index, _encode(arguments))
                return self._delta(choice, function)
            case ReasoningDelta(text, choice):
                return self._delta(choice, b'"reasoning_content":' + _encode(text)) if text else b""
            case ToolCallStarted(index, call_id, name, choice):
                self._bare.add((choice, index))
                call = b'"tool_calls":[{"index":%d,"id":%b,"type":"function","function":{"name":%b,"arguments":""}}]'
                return self._delta(choice, call % (index, _encode(call_id), _encode(name)))
            case Finished(reason, _, choice):
                filled = self._fill(choice) if self._bare and reason != "length" else b""
                return (
                    self._begin(choice)
                    + filled
                    + b'%b},"finish_reason":"%b"%b'
                    % (
                        self._open(choice),
                        FINISH[reason].encode(),
                        self._tail,
                    )
                )
            case UsageReported(usage):
                self._usage = usage
            case Started():
                self._usage = event.usage or self._usage
                self._start(event)
                return self._begin(0)
        return b""

    def close(self) -> bytes:
        """See `wire.codec.Writer.close`: the usage chunk where it was asked for, then `[DONE]`."""
        if not self._asked.stream_usage or self._usage is None:
            return b"data: [DONE]\n\n"
        if not self._head:
            self._start(Started())
        head = self._head.removesuffix(b'{"index":')
        return b'%b],"usage":%b}\n\ndata: [DONE]\n\n' % (head, _encode(write_usage(self._usage)))

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Writer.fault`."""
        return b"data: %b\n\n" % _encode(spell(fault))

    def _start(self, started: Started) -> None:
        asked = self._asked
        created_s = asked.now_s if started.created_s is None else started.created_s
        fingerprint = b'"system_fingerprint":%b,' % _encode(started.fingerprint) if started.fingerprint else b""
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,%b"choices":[{"index":' % (
            _encode(started.id or asked.reply_id),
            created_s,
            _encode(asked.model),
            fingerprint,
        )
        self._head_0 = self._head + b'0,"delta":{'

    def _open(self, choice: int) -> bytes:
        return self._head_0 if choice == 0 else b'%b%d,"delta":{' % (self._head, choice)

    def _begin(self, choice: int) -> bytes:
        """The chunk with the role, once per choice."""
        if choice in self._begun:
            return b""
        self._begun.add(choice)
        if not self._head:
            self._start(Started())
        return b'%b"role":"assistant","content":""},"finish_reason":null%b' % (self._open(choice), self._tail)

    def _delta(self, choice: int, said: bytes) -> bytes:
        begin = b"" if choice in self._begun else self._begin(choice)
        return b'%b%b%b},"finish_reason":null%b' % (begin, self._open(choice), said, self._tail)

    def _fill(self, choice: int) -> bytes:
        """Arguments of calls that have none: clients read them as JSON, which an empty text is not."""
        bare = sorted(index for at, index in self._bare if at == choice)
        self._bare.difference_update((choice, index) for index in bare)
        return b"".join(
            self._delta(choice, b'"tool_calls":[{"index":%d,"function":{"arguments":"{}"}}]' % index) for index in bare
        )

    def _write_text(self, event: TextDelta) -> bytes:
        field = b'"refusal":' if event.refusal else b'"content":'
        if event.logprobs is None:
            return self._delta(event.choice, field + _encode(event.text)) if event.text else b""
        logprobs = b'{"content":null,"refusal":%b}' if event.refusal else b'{"content":%b,"refusal":null}'
        return b'%b%b%b%b},"logprobs":%b,"finish_reason":null%b' % (
            self._begin(event.choice),
            self._open(event.choice),
            field,
            _encode(event.text),
            logprobs % bytes(event.logprobs),
            self._tail,
        )


def write_whole(reply: Reply, asked: Asked) -> bytes:
    """See `wire.codec.Codec.write_whole`."""
    answer: dict[str, object] = {
        "id": reply.id or asked.reply_id,
        "object": "chat.completion",
        "created": asked.now_s if reply.created_s is None else reply.created_s,
        "model": asked.model,
        "choices": [_write_choice(index, choice) for index, choice in enumerate(reply.choices)],
    }
    if reply.fingerprint:
        answer["system_fingerprint"] = reply.fingerprint
    if reply.usage is not None:
        answer["usage"] = write_usage(reply.usage)
    return _encode(answer)


def _write_choice(index: int, choice: Choice) -> dict[str, object]:
    text = [part.text for part in choice.parts if isinstance(part, TextPart)]
    thought = [part.text for part in choice.parts if isinstance(part, ReasoningPart) and part.text]
    calls = [part for part in choice.parts if isinstance(part, ToolCallPart)]
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(text) if text or not (calls or choice.refusal) else None,
        "refusal": choice.refusal,
    }
    if thought:
        message["reasoning_content"] = "".join(thought)
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in calls
        ]
    said_tokens = _join_tokens(choice.logprobs)
    spoken_as_refusal = choice.refusal is not None and not text
    logprobs = {
        "content": None if spoken_as_refusal else said_tokens,
        "refusal": said_tokens if spoken_as_refusal else None,
    }
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs if said_tokens is not None else None,
        "finish_reason": FINISH[choice.finish or "stop"],
    }


def _join_tokens(lists: tuple[msgspec.Raw, ...]) -> msgspec.Raw | None:
    """One list of token objects from the lists of all deltas."""
    if not lists:
        return None
    inner = (bytes(one).strip()[1:-1].strip() for one in lists)
    return msgspec.Raw(b"[" + b",".join(tokens for tokens in inner if tokens) + b"]")
