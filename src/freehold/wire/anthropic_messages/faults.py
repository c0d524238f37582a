"""Faults of the Messages format, both ways: what an upstream's error means, and how ours is spelled.

Sources: the API reference ("Errors"), the official SDKs' error types, and seen on the wire: an empty account is told
with status 400, servers of the format that are not its vendor's answer with error objects of other shapes.

Promised: an upstream that refuses our credentials is never passed on as 401, which clients take for their own key and
retry for minutes; an overflow always says `prompt is too long`, the words clients compact on.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.fault import LASTING, Fault, Kind
from freehold.wire.body import UNREADABLE
from freehold.wire.overflow import read_overflow
from freehold.wire.retry_after import read_retry_after

_LONGEST_WORDS = 500
_LONGEST_BODY_BYTES = 1024 * 1024
_MARKUP = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_EMPTY_ACCOUNT = re.compile(r"credit balance is too low", re.IGNORECASE)

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_KIND_OF_STATUS = {
    401: Kind.UPSTREAM_AUTH,
    402: Kind.UPSTREAM_AUTH,
    403: Kind.UPSTREAM_AUTH,
    404: Kind.UPSTREAM_MODEL_MISSING,
    408: Kind.UPSTREAM_ERROR,
    413: Kind.TOO_LARGE,
    425: Kind.OVERLOADED,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    529: Kind.OVERLOADED,
}
_NEVER_OVERFLOW = frozenset({401, 402, 403, 429})

_INVALID, _SERVER, _BUSY = "invalid_request_error", "api_error", "overloaded_error"
_SPELLED: dict[Kind, str] = {
    Kind.INVALID_REQUEST: _INVALID,
    Kind.UNSUPPORTED: _INVALID,
    Kind.CONTEXT_OVERFLOW: _INVALID,
    Kind.UPSTREAM_REJECTED: _INVALID,
    Kind.LOOP_STOPPED: _INVALID,
    Kind.METHOD_NOT_ALLOWED: _INVALID,
    Kind.CLIENT_GONE: _INVALID,
    Kind.UNKNOWN_MODEL: "not_found_error",
    Kind.NOT_FOUND: "not_found_error",
    Kind.TOO_LARGE: "request_too_large",
    Kind.HEAD_TOO_LARGE: "request_too_large",
    Kind.REQUEST_TIMEOUT: "invalid_request_error",
    Kind.UNAUTHENTICATED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.REFUSED_BY_POLICY: "permission_error",
    Kind.EGRESS_REFUSED: "permission_error",
    Kind.BUDGET_SPENT: "billing_error",
    Kind.BUDGET_BUSY: "rate_limit_error",
    Kind.IDEMPOTENCY_UNDER_WAY: _INVALID,
    Kind.IDEMPOTENCY_UNKNOWN: _INVALID,
    Kind.IDEMPOTENCY_MISMATCH: _INVALID,
    Kind.RATE_LIMITED: "rate_limit_error",
    Kind.RATE_EXCEEDED: "rate_limit_error",
    Kind.OVERLOADED: _BUSY,
    Kind.ENGINE_NOT_READY: _BUSY,
    Kind.SHUTTING_DOWN: _BUSY,
    Kind.BUDGETS_AWAY: _BUSY,
    Kind.IDEMPOTENCY_AWAY: _BUSY,
    Kind.CONNECT_TIMEOUT: "timeout_error",
    Kind.FIRST_CONTENT_TIMEOUT: "timeout_error",
    Kind.CHUNK_TIMEOUT: "timeout_error",
    Kind.TOTAL_TIMEOUT: "timeout_error",
}
"""Every other kind is `api_error`."""

Details = dict[str, str | int | float | list[str] | None]


class _Words(msgspec.Struct, frozen=True):
    """What an upstream's error says, from whichever shape it came in."""

    message: str = ""
    type: str = ""
    details: Details = {}


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """See `wire.codec.Codec.read_fault`."""
    words = _read_words(body)
    meant = status if status >= 400 else _STATUS_OF_TYPE.get(words.type, 500)
    kind = _kind_of(meant, words)
    details = dict(words.details)
    if meant not in _NEVER_OVERFLOW:
        overflow, prompt_tokens, limit_tokens = read_overflow(f"{words.type} {words.message}")
        if overflow:
            kind = Kind.CONTEXT_OVERFLOW
            details = {"prompt_tokens": prompt_tokens, "limit_tokens": limit_tokens, **details}
    return Fault(
        kind=kind,
        message=_message_of(kind, meant, words),
        is_quoted=bool(words.message),
        status=meant,
        retry_after_s=read_retry_after(headers),
        details={name: value for name, value in details.items() if value is not None},
    )


def write_fault(fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """See `wire.codec.Codec.write_fault`."""
    headers = {"content-type": "application/json", "request-id": request_id}
    if fault.retry_after_s is not None:
        headers["retry-after"] = str(max(0, math.ceil(fault.retry_after_s)))
        headers["retry-after-ms"] = str(max(0, math.ceil(fault.retry_after_s * 1000)))
    if fault.kind in LASTING:
        headers["x-should-retry"] = "false"
    return fault.meaning.status, headers, msgspec.json.encode(spell(fault, request_id))


def spell(fault: Fault, request_id: str | None = None) -> dict[str, object]:
    """The format's error object."""
    error: dict[str, object] = {"type": _SPELLED.get(fault.kind, _SERVER), "message": _spell_message(fault)}
    if fault.details:
        error["details"] = fault.details
    spelt: dict[str, object] = {"type": "error", "error": error}
    if request_id is not None:
        spelt["request_id"] = request_id
    return spelt


def _spell_message(fault: Fault) -> str:
    message = fault.message
    if fault.kind is Kind.CONTEXT_OVERFLOW:
        prompt, limit = fault.details.get("prompt_tokens"), fault.details.get("limit_tokens")
        if prompt is not None and limit is not None:
            return f"prompt is too long: {prompt} tokens > {limit} maximum"
        return message if message.startswith("prompt is too long") else f"prompt is too long: {message}"
    if fault.param and fault.param not in message:
        return f"{fault.param}: {message}"
    return message


def _read_words(body: bytes) -> _Words:
    try:
        said = msgspec.json.decode(body[:_LONGEST_BODY_BYTES])
    except UNREADABLE:
        return _Words(message=_plain(body[:_LONGEST_BODY_BYTES].decode(errors="replace")))
    if isinstance(said, dict):
        error = said.get("error", said)
        if isinstance(error, dict):
            return _read_object(error)
        said = error
    return _Words(message=_plain(said) if isinstance(said, str) else "")


def _read_object(error: dict[str, Any]) -> _Words:
    message, kind = error.get("message", error.get("detail")), error.get("type")
    details: Details = {"prompt_tokens": _count(error.get("n_prompt_tokens")), "limit_tokens": _count(error.get("n_ctx"))}
    details = {name: value for name, value in details.items() if value is not None}
    said = error.get("details")
    for name, value in said.items() if isinstance(said, dict) else ():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            details[name] = value[:_LONGEST_WORDS] if isinstance(value, str) else value
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            details[name] = value
    return _Words(_plain(message) if isinstance(message, str) else "", kind[:100] if isinstance(kind, str) else "", details)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _plain(text: str) -> str:
    """One short line."""
    if _MARKUP.search(text[:2000]):
        return "an HTML page"
    text = " ".join(text[: _LONGEST_WORDS * 4].split())
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _kind_of(status: int, words: _Words) -> Kind:
    if words.details.get("error_code") == "thread_not_found":
        return Kind.NOT_FOUND
    if status == 400 and _EMPTY_ACCOUNT.search(words.message):
        return Kind.UPSTREAM_AUTH
    known = _KIND_OF_STATUS.get(status)
    if known is not None:
        return known
    return Kind.UPSTREAM_ERROR if status >= 500 else Kind.UPSTREAM_REJECTED


def _message_of(kind: Kind, status: int, words: _Words) -> str:
    if kind is Kind.UPSTREAM_AUTH:
        why = f": {words.message}" if status in (400, 402) else ""
        return f"the runtime refused our credentials (status {status}){why}; check its `api_key` reference and its account"
    if not words.message:
        return f"the runtime answered {status} without saying why"
    if kind in (Kind.UPSTREAM_REJECTED, Kind.CONTEXT_OVERFLOW, Kind.NOT_FOUND, Kind.TOO_LARGE):
        return words.message
    return f"the runtime answered {status}: {words.message}"
