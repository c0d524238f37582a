"""Writes the seven events as a Completions stream, and a folded reply as a whole answer.

Promised: a valid stream (deltas, a finish per choice, the usage chunk if it was asked for, `[DONE]`), every chunk with id,
object, created and the id the client asked for as `model`. After a fault nothing follows. Dropped, because the format has no
place: thinking, tool calls (none are ever offered), which stop sequence matched. A refusal's words are text.
"""

import msgspec

from freehold.chat import (
    Choice,
    Event,
    Finished,
    FinishReason,
    Reply,
    Started,
    TextDelta,
    TextPart,
    Usage,
    UsageReported,
)
from freehold.fault import Fault
from freehold.wire.codec import Asked
from freehold.wire.openai_completions.chunks import write_logprobs
from freehold.wire.openai_faults import spell
from freehold.wire.openai_replies import write_usage

_encode = msgspec.json.Encoder().encode

FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
}


class CompletionWriter:
    """One stream being written."""

    __slots__ = ("_asked", "_head", "_offsets", "_tail", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: Usage | None = None
        self._tail = b'}],"usage":null}\n\n' if asked.stream_usage else b"}]}\n\n"
        self._head = b""
        self._offsets: dict[int, int] = {}

    def write(self, event: Event) -> bytes:
        """See `wire.codec.Writer.write`."""
        match event:
            case TextDelta(text, choice, None):
                return self._chunk(choice, text, b"null", b"null") if text else b""
            case TextDelta(text, choice, tokens):
                assert tokens is not None
                logprobs, self._offsets[choice] = write_logprobs(tokens, self._offsets.get(choice, 0))
                return self._chunk(choice, text, bytes(logprobs), b"null")
            case Finished(reason, _, choice):
                return self._chunk(choice, "", b"null", b'"%b"' % FINISH[reason].encode())
            case UsageReported(usage):
                self._usage = usage
            case Started():
                self._usage = event.usage or self._usage
                self._start(event)
        return b""

    def close(self) -> bytes:
        """See `wire.codec.Writer.close`: the usage chunk where it was asked for, then `[DONE]`."""
        if not self._asked.stream_usage or self._usage is None:
            return b"data: [DONE]\n\n"
        if not self._head:
            self._start(Started())
        return b'%b],"usage":%b}\n\ndata: [DONE]\n\n' % (self._head, _encode(write_usage(self._usage)))

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Writer.fault`."""
        return b"data: %b\n\n" % _encode(spell(fault))

    def _start(self, started: Started) -> None:
        asked = self._asked
        created_s = asked.now_s if started.created_s is None else started.created_s
        fingerprint = b'"system_fingerprint":%b,' % _encode(started.fingerprint) if started.fingerprint else b""
        self._head = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,%b"choices":[' % (
            _encode(started.id or asked.reply_id),
            created_s,
            _encode(asked.model),
            fingerprint,
        )

    def _chunk(self, choice: int, text: str, logprobs: bytes, finish: bytes) -> bytes:
        if not self._head:
            self._start(Started())
        said = b'{"text":%b,"index":%d,"logprobs":%b,"finish_reason":%b'
        return self._head + said % (_encode(text), choice, logprobs, finish) + self._tail


def write_whole(reply: Reply, asked: Asked) -> bytes:
    """See `wire.codec.Codec.write_whole`."""
    answer: dict[str, object] = {
        "id": reply.id or asked.reply_id,
        "object": "text_completion",
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
    text = "".join(part.text for part in choice.parts if isinstance(part, TextPart))
    return {
        "text": text + (choice.refusal or ""),
        "index": index,
        "logprobs": _join_logprobs(choice.logprobs),
        "finish_reason": FINISH[choice.finish or "stop"],
    }


def _join_logprobs(lists: tuple[msgspec.Raw, ...]) -> msgspec.Raw | None:
    """The four lists from the lists of token objects of all deltas."""
    if not lists:
        return None
    inner = (bytes(one).strip()[1:-1].strip() for one in lists)
    logprobs, _ = write_logprobs(msgspec.Raw(b"[" + b",".join(tokens for tokens in inner if tokens) + b"]"), 0)
    return logprobs
