"""What the replies of OpenAI's chunked formats have in common: usage, finish reasons, which choices of a stream are whole.

Sources: OpenAI's `CompletionUsage` and its `finish_reason` enums; what DeepSeek, xAI, vLLM and llama.cpp say otherwise.
"""

import msgspec

from freehold.chat import FinishReason, Usage
from freehold.fault import Kind, faulty


class PromptDetails(msgspec.Struct, frozen=True):
    """Shares of the prompt's tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionDetails(msgspec.Struct, frozen=True):
    """Shares of the answer's tokens."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


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
    if details is None and answer is None and usage.prompt_cache_hit_tokens is None and timings is None:
        return Usage(input_tokens=prompt, output_tokens=completion)
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
    heard = min(max((details.audio_tokens or 0) if details is not None else 0, 0), prompt)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=min(max(written, 0), prompt - cached),
        reasoning_tokens=min(reasoning, completion),
        audio_input_tokens=heard,
        audio_output_tokens=min(max((answer.audio_tokens or 0) if answer is not None else 0, 0), completion),
        image_input_tokens=min(max((details.image_tokens or 0) if details is not None else 0, 0), prompt - heard),
    )


def write_usage(usage: Usage) -> dict[str, object]:
    """`CompletionUsage`, whole."""
    prompt = {"cached_tokens": usage.cached_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


DONE_EVENT = b"data: [DONE]\n\n"
MOST_CHOICES = 256
"""Twice what `n` may be."""
MOST_CALLS = 1024
"""Tool calls of one reply. Beyond it a runtime counts, and does not answer."""


class Progress:
    """Which choices of a stream have begun and which have ended: a stream is whole when all that began ended."""

    __slots__ = ("_output_tokens", "_reports", "ended", "open")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.ended: set[int] = set()
        self._reports = self._output_tokens = 0

    def add_up(self, usage: Usage, timings: Timings | None) -> Usage:
        """The usage so far. llama.cpp, which alone tells timings, reports each choice's answer for itself."""
        if timings is None or self._reports >= len(self.open) + len(self.ended):
            return usage
        self._reports += 1
        self._output_tokens += usage.output_tokens
        if self._reports == 1:
            return usage
        return msgspec.structs.replace(usage, output_tokens=self._output_tokens)

    def begin(self, choice: int) -> bool:
        """Note that a choice is under way; False where it has ended before."""
        if choice in self.ended:
            return False
        if len(self.open) + len(self.ended) >= MOST_CHOICES and choice not in self.open:
            raise faulty(Kind.INVALID_REPLY, f"the runtime began more than {MOST_CHOICES} choices")
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
