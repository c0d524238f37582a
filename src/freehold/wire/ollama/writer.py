"""Writes the seven events as a stream of Ollama's, and a folded reply as a whole answer, for chat and for generate.

Promised: every line is a JSON object with the id the client asked for as `model`; the last one, and no other, is `done`. Calls go
out whole, in order, at the end of the answer: the format has no pieces of a call. Durations are what was measured
here (`Asked.spent_ns`), waiting for the runtime included; `load_duration`, and those nobody measured, are left out, as Ollama
leaves out zeros. Dropped: signatures and encrypted thinking, which stop sequence matched, all choices but the first.
`tool_calls`, `refusal`, `content_filter` and `pause` are spelled `stop`.
"""

from datetime import UTC, datetime
from typing import Any

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
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked
from freehold.wire.ollama.faults import spell
from freehold.wire.ollama.shapes import write_tokens

_encode = msgspec.json.Encoder().encode
_OBJECT = msgspec.json.Decoder(dict[str, Any])


LATEST_S = 253_402_300_799
"""The last second a date of four digits can say; another format's upstream may say any number."""


def write_created_at(created_s: int) -> str:
    """RFC 3339, as Ollama's clients read it."""
    return datetime.fromtimestamp(min(max(created_s, 0), LATEST_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ReplyWriter:
    """One stream being written. `is_chat`: a `message`; else generate's `response`."""

    __slots__ = ("_asked", "_calls", "_finish", "_first_ns", "_head", "_is_chat", "_usage")

    def __init__(self, asked: Asked, *, is_chat: bool) -> None:
        self._asked = asked
        self._is_chat = is_chat
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None
        self._first_ns: int | None = None
        created_at = write_created_at(asked.now_s)
        self._head = b'{"model":%b,"created_at":"%b",' % (_encode(asked.model), created_at.encode())

    def write(self, event: Event) -> bytes:
        """See `wire.codec.Writer.write`. Raises FaultError(INVALID_REPLY) for a call whose arguments are no JSON object."""
        match event:
            case TextDelta(text, 0, logprobs):
                if not text and logprobs is None:
                    return b""
                tokens = b"" if logprobs is None else b'"logprobs":%b,' % _encode(write_tokens(logprobs))
                said = b'"role":"assistant","content":%b' if self._is_chat else b'"response":%b'
                return self._line(said % _encode(text), tokens)
            case ReasoningDelta(text, 0) if text:
                said = b'"role":"assistant","content":"","thinking":%b' if self._is_chat else b'"response":"","thinking":%b'
                return self._line(said % _encode(text))
            case ToolCallStarted(index, call_id, name, 0):
                self._calls[index] = (call_id, name, [])
            case ToolCallDelta(index, arguments, 0):
                self._calls[index][2].append(arguments)
            case Finished(reason, _, 0):
                self._finish = reason
                return self._write_calls()
            case UsageReported(usage):
                self._usage = usage
            case Started():
                self._usage = event.usage or self._usage
        return b""

    def close(self) -> bytes:
        """See `wire.codec.Writer.close`: the line that is `done`."""
        said = b'"message":{"role":"assistant","content":""}' if self._is_chat else b'"response":""'
        counts = _counts(self._usage, self._durations())
        done = b'"done":true,"done_reason":"%b"' % _done_reason(self._finish).encode()
        more = b"," + _encode(counts)[1:-1] if counts else b""
        return b"%b%b,%b%b}\n" % (self._head, said, done, more)

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Writer.fault`."""
        return spell(fault) + b"\n"

    def _line(self, said: bytes, tokens: bytes = b"") -> bytes:
        if self._first_ns is None:
            self._first_ns = 0 if self._asked.spent_ns is None else self._asked.spent_ns()
        wrapped = b'"message":{%b}' % said if self._is_chat else said
        return b'%b%b,%b"done":false}\n' % (self._head, wrapped, tokens)

    def _write_calls(self) -> bytes:
        calls = [
            _write_call(call_id, name, "".join(pieces), is_cut=self._finish == "length")
            for _, (call_id, name, pieces) in sorted(self._calls.items())
        ]
        if not calls:
            return b""
        if not self._is_chat:
            return b""  # nobody can offer a tool there
        return self._line(b'"role":"assistant","content":"","tool_calls":' + _encode(calls))

    def _durations(self) -> dict[str, int]:
        """Nanoseconds: up to the first content it was the prompt, from then on the answer."""
        if self._asked.spent_ns is None:
            return {}
        total = self._asked.spent_ns()
        if self._first_ns is None:
            return {"total_duration": total}
        return {"total_duration": total, "prompt_eval_duration": self._first_ns, "eval_duration": max(total - self._first_ns, 1)}


def write_reply(reply: Reply, asked: Asked, *, is_chat: bool) -> bytes:
    """A whole answer. Of its duration the prompt's share is not known, so all of it counts as the answer's."""
    choice = reply.choices[0] if reply.choices else Choice()
    answer: dict[str, object] = {"model": asked.model, "created_at": write_created_at(reply.created_s or asked.now_s)}
    text = "".join(part.text for part in choice.parts if isinstance(part, TextPart)) + (choice.refusal or "")
    thought = "".join(part.text for part in choice.parts if isinstance(part, ReasoningPart))
    said: dict[str, object] = {"role": "assistant", "content": text} if is_chat else {"response": text}
    if thought:
        said["thinking"] = thought
    calls = [part for part in choice.parts if isinstance(part, ToolCallPart)]
    if calls and is_chat:
        is_cut = choice.finish == "length"
        said["tool_calls"] = [_write_call(call.id, call.name, call.arguments, is_cut=is_cut) for call in calls]
    if is_chat:
        answer["message"] = said
    else:
        answer |= said
    answer |= {"done": True, "done_reason": _done_reason(choice.finish or "stop")}
    durations = {}
    if asked.spent_ns is not None:
        total = asked.spent_ns()
        durations = {"total_duration": total, "eval_duration": max(total, 1)}
    answer |= _counts(reply.usage, durations)
    if choice.logprobs:
        answer["logprobs"] = [token for tokens in choice.logprobs for token in write_tokens(tokens)]
    return _encode(answer)


def write_load_answer(asked: Asked, *, is_chat: bool, unloads: bool) -> bytes:
    """The answer to a request without a prompt, which asks to load a model, or to unload it. It is also a stream's only line."""
    answer: dict[str, object] = {"model": asked.model, "created_at": write_created_at(asked.now_s)}
    answer |= {"message": {"role": "assistant", "content": ""}} if is_chat else {"response": ""}
    return _encode({**answer, "done": True, "done_reason": "unload" if unloads else "load"}) + b"\n"


def _done_reason(reason: FinishReason) -> str:
    return "length" if reason == "length" else "stop"


def _counts(usage: Usage | None, durations: dict[str, int]) -> dict[str, int]:
    if usage is None:
        return durations
    return {**durations, "prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}


def _write_call(call_id: str, name: str, arguments: str, *, is_cut: bool) -> dict[str, object]:
    """A call; its arguments become the object they spell. Cut at the answer's length they become {}."""
    try:
        given: dict[str, Any] = _OBJECT.decode(arguments) if arguments.strip() else {}
    except UNREADABLE:
        if not is_cut:
            raise faulty(Kind.INVALID_REPLY, "the runtime called a tool with arguments that are no JSON object") from None
        given = {}
    return {"id": call_id, "function": {"name": name, "arguments": given}}
