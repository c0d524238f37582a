"""The shapes of Chat Completions replies, as upstreams really send them, and what their words mean in the middle.

Sources: OpenAI's published schema (`CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`,
`CompletionUsage`), and what vLLM, llama.cpp, DeepSeek, xAI and OpenRouter add to it or leave out. Wrong JSON types are
refused; missing fields are tolerated here and judged by the reader.
"""

import msgspec

from freehold.chat import FinishReason, Usage
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.openai_chat.faults import read_fault

_NOTHING = msgspec.Raw(b"")
_STRING = msgspec.json.Decoder(str)


class CallFunction(msgspec.Struct, frozen=True):
    """The function of a call; `arguments` is a JSON string, or from careless servers the object itself."""

    name: str | None = None
    arguments: msgspec.Raw = _NOTHING


class CallPiece(msgspec.Struct, frozen=True):
    """An entry of `tool_calls`, in a message or a delta."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: CallFunction | None = None


class Said(msgspec.Struct, frozen=True):
    """A `message` or a `delta`: what the assistant said."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: CallFunction | None = None
    audio: msgspec.Raw = _NOTHING


class LogProbs(msgspec.Struct, frozen=True):
    """Lists of token objects, kept raw."""

    content: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING


class ChunkChoice(msgspec.Struct, frozen=True):
    """One alternative in a chunk (`delta`) or in a whole reply (`message`)."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: LogProbs | None = None
    stop_reason: str | int | None = None
    """vLLM: the stop string that ended the text."""


class PromptDetails(msgspec.Struct, frozen=True):
    """Shares of the prompt's tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, frozen=True):
    """Shares of the answer's tokens."""

    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """`usage`; `prompt_cache_hit_tokens` is DeepSeek's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class Timings(msgspec.Struct, frozen=True):
    """llama.cpp's `timings`; `cache_n` prompt tokens came out of its cache."""

    cache_n: int | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A `chat.completion.chunk`, a `chat.completion`, or an error object."""

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[ChunkChoice] | None = None
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: msgspec.Raw = _NOTHING


_decode = msgspec.json.Decoder(Chunk).decode

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_FAILED = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})


def read_chunk(data: bytes) -> Chunk:
    """Decode one. Raises FaultError(INVALID_REPLY) for what is not this format."""
    try:
        return _decode(data)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no chat completion: {error}") from None


def refuse_error(chunk: Chunk, event_name: bytes, data: bytes) -> None:
    """Raise the fault that an error object stands for; old vLLM says `error` in `object`, others in the event's name."""
    if (chunk.error and bytes(chunk.error) != b"null") or chunk.object == "error" or event_name == b"error":
        raise FaultError(read_fault(200, {}, data))


def read_finish(said: str, called_tools: bool, stop_reason: str | int | None) -> tuple[FinishReason, str | None]:
    """The reason and the stop sequence. Raises FaultError(BROKEN_STREAM) where the runtime says it gave up.

    A `stop` behind tool calls is `tool_calls`: some local servers say `stop`, and clients then skip the calls. An unknown
    word is a `stop`.
    """
    if said in _FAILED:
        raise faulty(Kind.BROKEN_STREAM, f"the runtime gave its answer up: finish_reason {said}")
    reason = _FINISH.get(said, "stop")
    if reason != "stop":
        return reason, None
    if called_tools:
        return "tool_calls", None
    return ("stop_sequence", stop_reason) if isinstance(stop_reason, str) else ("stop", None)


def read_usage(usage: WireUsage, timings: Timings | None) -> Usage:
    """Usage in the middle's words: cached and cache writes inside input, reasoning inside output.

    xAI reports reasoning outside `completion_tokens`; seen from the total, it is added.
    """
    prompt, completion = max(usage.prompt_tokens or 0, 0), max(usage.completion_tokens or 0, 0)
    details, answer = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = details.cached_tokens if details is not None else None
    if cached is None:
        cached = usage.prompt_cache_hit_tokens
    if cached is None and timings is not None:
        cached = timings.cache_n
    reasoning = max((answer.reasoning_tokens or 0) if answer is not None else 0, 0)
    if reasoning and usage.total_tokens == prompt + completion + reasoning:
        completion += reasoning
    cached = min(max(cached or 0, 0), prompt)
    written = (details.cache_write_tokens or 0) if details is not None else 0
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=min(max(written, 0), prompt - cached),
        reasoning_tokens=min(reasoning, completion),
    )


def read_arguments(raw: msgspec.Raw) -> str:
    """The JSON text of a call's arguments. Raises one of `UNREADABLE`."""
    text = bytes(raw)
    if text[:1] == b'"':
        return _STRING.decode(text)
    return "" if text == b"null" else text.decode()


class Progress:
    """Which choices of a stream have begun and which have ended: a stream is whole when all that began ended."""

    __slots__ = ("ended", "open")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.ended: set[int] = set()

    def begin(self, choice: int) -> bool:
        """Note that a choice is under way; False where it has ended before."""
        if choice in self.ended:
            return False
        self.open.add(choice)
        return True

    def finish(self, choice: int) -> None:
        """Note a choice's end."""
        self.open.discard(choice)
        self.ended.add(choice)

    def require_whole(self) -> None:
        """Raises FaultError(BROKEN_STREAM) where a choice has no end, or none began."""
        if self.open or not self.ended:
            raise faulty(Kind.BROKEN_STREAM, "the runtime closed its stream before the answer was finished")
