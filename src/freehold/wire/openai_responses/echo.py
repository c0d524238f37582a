"""The response object around an answer: what the client asked, repeated as the format demands, and how it stands.

Nothing is stored here, so `store` is always false. A value the client did not send is the format's default where there is
one, otherwise null: what a runtime uses by itself is not known.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.chat import FinishReason, Usage
from freehold.fault import Fault, Kind
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked
from freehold.wire.openai_faults import spell
from freehold.wire.openai_responses.shapes import write_usage
from freehold.wire.statuses import is_final

_NULL, _EMPTY_LIST, _EMPTY = msgspec.Raw(b"null"), msgspec.Raw(b"[]"), msgspec.Raw(b"{}")
_DEFAULTS: dict[str, msgspec.Raw] = {
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
    "metadata": _EMPTY,
    "parallel_tool_calls": msgspec.Raw(b"true"),
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "safety_identifier": _NULL,
    "temperature": _NULL,
    "text": msgspec.Raw(b'{"format":{"type":"text"}}'),
    "tool_choice": msgspec.Raw(b'"auto"'),
    "top_logprobs": msgspec.Raw(b"0"),
    "top_p": _NULL,
    "truncation": msgspec.Raw(b'"disabled"'),
}
_PASSED = ("reasoning", "user")
"""Repeated where the client sent them, left out otherwise."""
_FUNCTION_DEFAULTS: dict[str, msgspec.Raw] = {"parameters": _NULL, "strict": _NULL}
_TOOLS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_FUNCTION = msgspec.Raw(b'"function"')

_CODES: dict[Kind, str] = {
    Kind.CONTEXT_OVERFLOW: "context_length_exceeded",
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.RATE_EXCEEDED: "rate_limit_exceeded",
}
"""Codes of a failed response. Clients compact, or wait, by these."""
_FINAL, _REPEATED = "invalid_prompt", "server_error"
"""Of all others: what clients report, and what they ask again. The format's other codes are about images and files."""

_WAITS = frozenset({Kind.RATE_LIMITED, Kind.RATE_EXCEEDED})


def reply_id_of(asked: Asked) -> str:
    """The id of the response: the same one each time it is asked for."""
    return asked.reply_id if asked.reply_id.startswith("resp_") else f"resp_{asked.reply_id.removeprefix('req_')}"


def make_frame(asked: Asked, created_s: int) -> dict[str, Any]:
    """The fields that stay the same from the first event to the last."""
    top = asked.top
    frame: dict[str, Any] = {
        "id": reply_id_of(asked),
        "object": "response",
        "created_at": created_s,
        "background": False,
        "model": asked.model,
        "store": False,
        "tools": _repeat_tools(top),
    }
    for key, default in _DEFAULTS.items():
        value = top.get(key)
        frame[key] = default if value is None or bytes(memoryview(value)[:4]) == b"null" else value
    for key in _PASSED:
        if key in top and bytes(memoryview(top[key])[:4]) != b"null":
            frame[key] = top[key]
    return frame


def _repeat_tools(top: Mapping[str, msgspec.Raw]) -> object:
    """The client's tools; the format wants two fields of a function said even where the client left them out."""
    raw = top.get("tools")
    if raw is None:
        return _EMPTY_LIST
    try:
        tools = _TOOLS.decode(raw)
    except UNREADABLE:
        return _EMPTY_LIST
    if all(tool.get("type") != _FUNCTION or _FUNCTION_DEFAULTS.keys() <= tool.keys() for tool in tools):
        return raw
    return [{**tool, **_unsaid(tool)} if tool.get("type") == _FUNCTION else tool for tool in tools]


def _unsaid(tool: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    return {key: value for key, value in _FUNCTION_DEFAULTS.items() if key not in tool}


def begun(frame: Mapping[str, Any]) -> dict[str, Any]:
    """The response as it begins."""
    return {**frame, "status": "in_progress", "error": None, "incomplete_details": None, "output": []}


def ended(
    frame: Mapping[str, Any], output: list[Any], finish: FinishReason, usage: Usage | None, now_s: int, *, refused: bool
) -> tuple[str, dict[str, Any]]:
    """How the response ended, `completed` or `incomplete`, and the response."""
    reason = None
    if finish == "length":
        reason = "max_output_tokens"
    elif finish == "content_filter" or (finish == "refusal" and not refused):
        reason = "content_filter"
    status = "completed" if reason is None else "incomplete"
    response = {
        **frame,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
    }
    if reason is None:
        response["completed_at"] = max(now_s, frame["created_at"])
    if usage is not None:
        response["usage"] = write_usage(usage)
    return status, response


def failed(frame: Mapping[str, Any], output: list[Any], fault: Fault) -> tuple[dict[str, Any], dict[str, Any]]:
    """The failed response, and the error event behind it: some clients know one of them, some the other."""
    said = spell(fault)["error"]
    message = said["message"] or "the runtime failed"
    if fault.kind in _WAITS and fault.retry_after_s is not None:
        message = f"{message} (try again in {fault.retry_after_s:.3f}s)"
    code = _CODES.get(fault.kind) or (_FINAL if is_final(fault) else _REPEATED)
    response = {
        **frame,
        "status": "failed",
        "error": {"code": code, "message": message},
        "incomplete_details": None,
        "output": output,
    }
    error = {"type": said["type"], "code": code, "message": message, "param": fault.param}
    return response, {"code": code, "message": message, "param": fault.param, "error": error}
