"""How the Messages format spells what the middle has words for: stop reasons and usage.

Source: the Messages API reference (`stop_reason`, `usage`). The format counts `input_tokens` without cached ones; the
middle counts them in.
"""

import msgspec

from freehold.chat import FinishReason, Usage

FINISH_OF: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
"""What a stop reason means. One that is unknown here is an end like any other: `stop`."""

_STOP_REASON_OF: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}


def spell_stop_reason(finish: FinishReason | None, *, called: bool, refused: bool) -> str:
    """The stop reason. `called`: the reply holds a tool call; `refused`: it holds text of OpenAI's `refusal` field.

    Clients run tools only when the stop reason says so, and some servers end a tool call with a plain stop: what the
    reply holds decides.
    """
    if finish in (None, "stop", "tool_calls"):
        if called:
            return "tool_use"
        return "refusal" if refused else "end_turn"
    return _STOP_REASON_OF[finish]


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """`usage` as it stands in `message_start`, `message_delta` and whole replies. None: not said here."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class UsageCount:
    """Usage as a stream reports it: counts are totals so far, one not said leaves the last one standing."""

    __slots__ = ("_created", "_created_1h", "_input", "_output", "_read", "_thinking")

    def __init__(self) -> None:
        self._input = self._created = self._created_1h = self._read = self._output = self._thinking = 0

    def take(self, said: WireUsage) -> Usage:
        """Merge what was said; the usage so far. A negative count, which some servers send for unknown, is zero."""
        if said.input_tokens is not None:
            self._input = max(said.input_tokens, 0)
        if said.cache_creation_input_tokens is not None:
            self._created = max(said.cache_creation_input_tokens, 0)
        if said.cache_creation is not None:
            self._created_1h = max(said.cache_creation.ephemeral_1h_input_tokens or 0, 0)
        if said.cache_read_input_tokens is not None:
            self._read = max(said.cache_read_input_tokens, 0)
        if said.output_tokens is not None:
            self._output = max(said.output_tokens, 0)
        if said.output_tokens_details is not None:
            self._thinking = max(said.output_tokens_details.thinking_tokens or 0, 0)
        return Usage(
            input_tokens=self._input + self._created + self._read,
            output_tokens=self._output,
            cached_tokens=self._read,
            cache_write_tokens=self._created,
            reasoning_tokens=min(self._thinking, self._output),
            cache_write_1h_tokens=min(self._created_1h, self._created),
        )


def spell_usage(usage: Usage) -> dict[str, object]:
    """`usage` of a reply."""
    fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    spelt: dict[str, object] = {
        "input_tokens": max(fresh, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        spelt["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return spelt
