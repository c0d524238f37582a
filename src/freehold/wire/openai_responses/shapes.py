"""The shapes of Responses replies, as upstreams really send them, and what their words mean in the middle.

Sources: OpenAI's published schema (`Response`, `ResponseStreamEvent`), and what llama.cpp, vLLM, Ollama and LM Studio leave
out. Wrong JSON types are refused; missing fields are tolerated here and judged by whoever reads.
"""

import msgspec

from freehold.chat import FinishReason, Usage
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.openai_faults import read_fault
from freehold.wire.openai_replies import MOST_CALLS

_NOTHING = msgspec.Raw(b"")
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
CALLS = frozenset({"function_call", "custom_tool_call"})


class InputDetails(msgspec.Struct, frozen=True):
    """Shares of the prompt's tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """Shares of the answer's tokens."""

    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """`ResponseUsage`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class WirePart(msgspec.Struct, frozen=True):
    """A part of a message or of thinking."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: msgspec.Raw = _NOTHING


class WireItem(msgspec.Struct, frozen=True):
    """An output item."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[WirePart] | None = None
    summary: list[WirePart] | None = None
    encrypted_content: str | None = None


class Details(msgspec.Struct, frozen=True):
    """`incomplete_details`."""

    reason: str | None = None


class WireResponse(msgspec.Struct, frozen=True):
    """A response object, whole or inside an event."""

    id: str | None = None
    object: str | None = None
    created_at: int | float | None = None
    status: str | None = None
    model: str | None = None
    output: list[WireItem] | None = None
    usage: WireUsage | None = None
    incomplete_details: Details | None = None
    error: msgspec.Raw = _NOTHING


class WireEvent(msgspec.Struct, frozen=True):
    """Any event of a stream. An error is said in `error`, or flat in `code` and `message`."""

    type: str = ""
    response: WireResponse | None = None
    item: WireItem | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    sequence_number: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    logprobs: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_EVENT = msgspec.json.Decoder(WireEvent)
_RESPONSE = msgspec.json.Decoder(WireResponse)


def read_event(data: bytes, name: bytes) -> WireEvent:
    """Decode one; the event's own name stands in for a missing `type`.

    Raises FaultError: INVALID_REPLY for what is not this format, or the fault an error event carries.
    """
    try:
        if not data.isascii():
            data.decode()  # what stays raw JSON is not looked at otherwise
        event = _EVENT.decode(data)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no Responses event: {error}") from None
    if event.type == "error" or name == b"error" or _is_said(event.error):
        raise FaultError(read_fault(200, {}, data))
    if not event.type:
        if not name:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has an event without a `type`")
        event = msgspec.structs.replace(event, type=name.decode(errors="replace"))
    if event.type in ENDS:
        if event.response is None:
            raise faulty(Kind.INVALID_REPLY, f"the runtime's answer has a `{event.type}` without `response`")
        status = event.type.removeprefix("response.")
        refuse_failed(event.response, status)
        if event.response.status != status:
            response = msgspec.structs.replace(event.response, status=status)
            event = msgspec.structs.replace(event, response=response)
    return event


def read_response(body: bytes) -> WireResponse:
    """Decode a whole reply. Raises FaultError: INVALID_REPLY, or the fault that an error object or a failure means."""
    try:
        if not body.isascii():
            body.decode()
        response = _RESPONSE.decode(body)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no response object: {error}") from None
    refuse_failed(response, response.status or "completed")
    if response.output is None:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no `output`")
    return response


def refuse_failed(response: WireResponse, status: str) -> None:
    """Raise the fault of a response that did not come to an end of its own."""
    if status == "failed" or _is_said(response.error):
        said = msgspec.json.encode({"error": response.error if _is_said(response.error) else {"message": "it failed"}})
        raise FaultError(read_fault(200, {}, said))
    if status == "cancelled":
        raise FaultError(Fault(kind=Kind.BROKEN_STREAM, message="the runtime cancelled its answer"))


def refuse_many(calls: int) -> None:
    """Bound what a runaway answer may begin. Raises FaultError(INVALID_REPLY)."""
    if calls > MOST_CALLS:
        raise faulty(Kind.INVALID_REPLY, f"the runtime began more than {MOST_CALLS} tool calls")


def _is_said(raw: msgspec.Raw) -> bool:
    return len(raw) > 0 and bytes(raw) != b"null"


def read_finish(response: WireResponse, *, called: bool, refused: bool) -> FinishReason:
    """Why a response ended. An unknown reason for being incomplete is read as the length."""
    details = response.incomplete_details
    if response.status == "incomplete" or (details is not None and details.reason):
        is_filtered = details is not None and details.reason == "content_filter"
        return "content_filter" if is_filtered else "length"
    if called:
        return "tool_calls"
    return "refusal" if refused else "stop"


def read_usage(usage: WireUsage) -> Usage:
    """Usage in the middle's words: cached and cache writes inside input, reasoning inside output."""
    prompt, answer = max(usage.input_tokens or 0, 0), max(usage.output_tokens or 0, 0)
    details, shares = usage.input_tokens_details, usage.output_tokens_details
    cached = min(max((details.cached_tokens or 0) if details is not None else 0, 0), prompt)
    written = min(max((details.cache_write_tokens or 0) if details is not None else 0, 0), prompt - cached)
    reasoning = min(max((shares.reasoning_tokens or 0) if shares is not None else 0, 0), answer)
    return Usage(
        input_tokens=prompt,
        output_tokens=answer,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


def write_usage(usage: Usage) -> dict[str, object]:
    """`ResponseUsage`."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
