"""The shapes of Ollama's replies, streamed and whole, of `/api/chat` and of `/api/generate`, and what they mean in the middle.

Source: Ollama's docs/openapi.yaml (`ChatResponse`, `ChatStreamEvent`, `GenerateResponse`, `Logprob`). A stream is a line of JSON
for each piece, the last one with `done: true`. Wrong JSON types are refused; missing fields are tolerated.
"""

from datetime import datetime
from typing import Any

import msgspec

from freehold.chat import FinishReason, Usage
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.ollama.faults import read_fault

NOTHING = msgspec.Raw(b"")
_encode = msgspec.json.Encoder().encode
_STRING = msgspec.json.Decoder(str)
_TOKENS = msgspec.json.Decoder(list[dict[str, Any]])
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "load": "stop", "unload": "stop"}


class CallFunction(msgspec.Struct, frozen=True):
    """The function of a call; `arguments` is an object, or from careless servers a string of one."""

    name: str = ""
    arguments: msgspec.Raw = NOTHING


class Call(msgspec.Struct, frozen=True):
    """An entry of `tool_calls`, always whole. Newer versions give it an id."""

    function: CallFunction
    id: str | None = None


class Said(msgspec.Struct, frozen=True):
    """A `message` of a reply, or a piece of one."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A line of a stream, a whole reply, or an error object."""

    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING

    @property
    def said(self) -> Said | None:
        """What was said, wherever the endpoint puts it."""
        if self.message is not None or (self.response is None and self.thinking is None):
            return self.message
        return Said(self.response, self.thinking)

    @property
    def says_something(self) -> bool:
        """There is content in it."""
        said = self.message
        if said is not None:
            return bool(said.content or said.thinking or said.tool_calls)
        return bool(self.response or self.thinking)


_decode = msgspec.json.Decoder(Chunk).decode


def read_chunk(data: bytes) -> Chunk:
    """Decode one line or a whole reply. Raises FaultError: INVALID_REPLY for what is not this format, or an error's own fault."""
    try:
        if not data.isascii():
            data.decode()  # what stays raw JSON is not looked at otherwise
        chunk = _decode(data)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no chat of Ollama's format: {error}") from None
    if chunk.error and bytes(chunk.error) != b"null":
        raise FaultError(read_fault(200, {}, data))
    return chunk


def read_finish(done_reason: str | None, called_tools: bool) -> FinishReason:
    """The reason. A `stop` behind tool calls is `tool_calls`: the format has no word of its own. An unknown word is a `stop`."""
    reason = _FINISH.get(done_reason or "stop", "stop")
    return "tool_calls" if called_tools and reason == "stop" else reason


def read_usage(chunk: Chunk) -> Usage | None:
    """Tokens of a last line. None where the prompt's are missing: versions that left them out for a cached prompt knew them."""
    if chunk.prompt_eval_count is None:
        return None
    return Usage(input_tokens=max(chunk.prompt_eval_count, 0), output_tokens=max(chunk.eval_count or 0, 0))


def read_created_s(chunk: Chunk) -> int | None:
    """Unix seconds of `created_at`."""
    try:
        return int(datetime.fromisoformat(chunk.created_at or "").timestamp())
    except (ValueError, OverflowError):
        return None


def read_arguments(raw: msgspec.Raw) -> str:
    """The JSON text of a call's arguments. Raises one of `UNREADABLE`."""
    text = bytes(raw)
    if text[:1] == b'"':
        return _STRING.decode(text)
    return "" if text in (b"", b"null") else text.decode()


def read_tokens(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Log probabilities as the middle has them: OpenAI's token objects, which always have `bytes` and `top_logprobs`."""
    if bytes(raw) in (b"", b"null", b"[]"):
        return None
    try:
        tokens = _TOKENS.decode(raw)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's log probabilities cannot be read: {error}") from None
    whole: list[dict[str, Any]] = []
    for token in tokens:
        near = token.get("top_logprobs")
        best = [{"bytes": None, **one} for one in near if isinstance(one, dict)] if isinstance(near, list) else []
        whole.append({"bytes": None, **token, "top_logprobs": best})
    return msgspec.Raw(_encode(whole))


def write_tokens(raw: msgspec.Raw) -> list[dict[str, Any]]:
    """The middle's token objects as Ollama has them: what is not known is left out, what is of no known shape too."""
    try:
        tokens = _TOKENS.decode(raw)
    except UNREADABLE:  # another format's upstream wrote them
        return []
    for token in tokens:
        near = token.get("top_logprobs")
        for one in (token, *(near if isinstance(near, list) else ())):
            if isinstance(one, dict) and one.get("bytes", 0) is None:
                del one["bytes"]
    return tokens
