"""Faults of the OpenAI formats, both ways: what an upstream's error means, and how ours is spelled.

Sources: OpenAI's error guide and `ErrorResponse` schema; llama.cpp's `exceed_context_size_error` and "Loading model";
vLLM's flat errors; FastAPI's `detail`; OpenRouter's numeric codes; Gemini's lists of one error with a `RetryInfo`; LM Studio's, xAI's
and Gemini's 400 for what is no fault of the request; Groq's 413 for a rate. An upstream's words are cut to 500 characters; those
about credentials are never repeated, because vendors quote the key in them.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.fault import LASTING, Fault, Kind
from freehold.wire.body import UNREADABLE
from freehold.wire.overflow import read_overflow
from freehold.wire.retry_after import LONGEST_S, read_retry_after
from freehold.wire.statuses import status_of

_LONGEST_WORDS = 500
_LONGEST_BODY_BYTES = 1024 * 1024
_MARKUP = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,200})", re.IGNORECASE)
_MODEL_MISSING = re.compile(
    r"model[^.\n]{0,200}(?:not found|does not exist|doesn't exist|not exist|is not available|not loaded|unknown)"
    r"|(?:no such|unknown|invalid) model",
    re.IGNORECASE,
)
_CANNOT_TAKE = re.compile(r"(?:image|audio|video) input is not supported|failed to parse messages", re.IGNORECASE)
"""llama.cpp's words, under 500, for a request that it will refuse each time."""
_BROKE_DOWN = re.compile(r"(?:the )?model has crashed|failed to load (?:the )?model", re.IGNORECASE)
"""LM Studio's words, under 400, for what went wrong with itself."""
_KEY_REFUSED = re.compile(r"(?:incorrect|invalid) api key provided|api key (?:not valid|not found|expired)", re.IGNORECASE)
"""xAI's and Gemini's words, under 400, for a key that they refuse."""
_DELAY = re.compile(r"\d{1,6}(?:\.\d{1,9})?s", re.ASCII)
_QUOTED_INPUT = re.compile(r"""['"]input['"]\s*:""")
_STATUS_OF_TYPE = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "exceed_context_size_error": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "unavailable_error": 503,
    "overloaded_error": 529,
}
_KIND_OF_STATUS = {
    401: Kind.UPSTREAM_AUTH,
    402: Kind.UPSTREAM_AUTH,
    403: Kind.UPSTREAM_AUTH,
    425: Kind.OVERLOADED,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    529: Kind.OVERLOADED,
}
_REJECTING = frozenset({400, 413, 415, 422})

_INVALID, _SERVER = "invalid_request_error", "server_error"
_CONFIGURATION = "configuration_error"
"""What only an operator mends. opencode repeats whatever says `server_error`, or has 502 in it, under every status."""
_SPELLED: dict[Kind, tuple[str, str | None]] = {
    Kind.INVALID_REQUEST: (_INVALID, None),
    Kind.UNSUPPORTED: (_INVALID, "unsupported_value"),
    Kind.CONTEXT_OVERFLOW: (_INVALID, "context_length_exceeded"),
    Kind.UNKNOWN_MODEL: (_INVALID, "model_not_found"),
    Kind.NOT_FOUND: (_INVALID, "not_found"),
    Kind.METHOD_NOT_ALLOWED: (_INVALID, "method_not_allowed"),
    Kind.TOO_LARGE: (_INVALID, "request_too_large"),
    Kind.HEAD_TOO_LARGE: (_INVALID, "request_too_large"),
    Kind.REQUEST_TIMEOUT: (_INVALID, "request_timeout"),
    Kind.UNAUTHENTICATED: (_INVALID, "invalid_api_key"),
    Kind.FORBIDDEN: ("permission_error", "forbidden"),
    Kind.LOOP_STOPPED: (_INVALID, "loop_stopped"),
    Kind.REFUSED_BY_POLICY: ("permission_error", "refused_by_policy"),
    Kind.EGRESS_REFUSED: ("permission_error", "egress_refused"),
    Kind.BUDGET_SPENT: ("insufficient_quota", "budget_spent"),
    Kind.BUDGET_BUSY: ("rate_limit_error", "budget_busy"),
    Kind.IDEMPOTENCY_UNDER_WAY: (_INVALID, "idempotency_under_way"),
    Kind.IDEMPOTENCY_UNKNOWN: (_INVALID, "idempotency_unknown"),
    Kind.IDEMPOTENCY_MISMATCH: (_INVALID, "idempotency_mismatch"),
    Kind.RATE_LIMITED: ("rate_limit_error", "rate_limit_exceeded"),
    Kind.RATE_EXCEEDED: ("rate_limit_error", "rate_limit_exceeded"),
    Kind.UPSTREAM_REJECTED: (_INVALID, None),
    Kind.UPSTREAM_AUTH: (_CONFIGURATION, "upstream_auth"),
    Kind.UPSTREAM_MODEL_MISSING: (_CONFIGURATION, "upstream_model_missing"),
    Kind.WEIGHTS_MISSING: (_CONFIGURATION, "weights_missing"),
}


class _Words(msgspec.Struct, frozen=True):
    """What an upstream's error says, from whichever shape it came in."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None
    prompt_tokens: int | None = None
    limit_tokens: int | None = None
    wait_s: float | None = None


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """See `wire.codec.Codec.read_fault`."""
    words = _read_words(body)
    meant = status if status >= 400 else _status_of(words)
    wait_s = read_retry_after(headers)
    overflow, prompt_tokens, limit_tokens = read_overflow(f"{words.type} {words.code} {words.message}")
    kind = _kind_of(meant, words, overflow)
    details: dict[str, str | int | float | list[str] | None] = {}
    if kind is Kind.CONTEXT_OVERFLOW:
        prompt_tokens = words.prompt_tokens or prompt_tokens
        limit_tokens = words.limit_tokens or limit_tokens
        details = {
            name: count for name, count in (("prompt_tokens", prompt_tokens), ("limit_tokens", limit_tokens)) if count is not None
        }
    if words.code and not words.code.isdigit():  # a number is the status said once more
        details["error_code"] = words.code
    return Fault(
        kind=kind,
        message=_message_of(kind, meant, words),
        is_quoted=bool(words.message),
        param=words.param if kind is Kind.UPSTREAM_REJECTED else None,
        status=meant,
        retry_after_s=words.wait_s if wait_s is None else wait_s,
        details=details,
    )


def write_fault(fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """See `wire.codec.Codec.write_fault`."""
    headers = {"content-type": "application/json", "x-request-id": request_id}
    if fault.retry_after_s is not None:
        headers["retry-after"] = str(max(0, -int(-fault.retry_after_s // 1)))
        headers["retry-after-ms"] = str(max(0, int(fault.retry_after_s * 1000)))
    if fault.kind in LASTING:
        headers["x-should-retry"] = "false"
    return status_of(fault, None), headers, msgspec.json.encode(spell(fault))


def spell(fault: Fault) -> dict[str, dict[str, str | None]]:
    """OpenAI's error object. An overflow always says "maximum context length": clients look for these words."""
    kind, code = _SPELLED.get(fault.kind, (_SERVER, str(fault.kind)))
    message = fault.message
    if fault.kind is Kind.CONTEXT_OVERFLOW and "maximum context length" not in message:
        limit, prompt = fault.details.get("limit_tokens"), fault.details.get("prompt_tokens")
        known = f" is {limit} tokens" if limit is not None else " is exceeded"
        counted = f", the prompt has {prompt} tokens" if prompt is not None else ""
        message = f"{message} (maximum context length{known}{counted})"
    upstream = fault.details.get("error_code")
    if code is None and isinstance(upstream, str):
        code = upstream
    return {"error": {"message": message, "type": kind, "param": fault.param, "code": code}}


def _read_words(body: bytes) -> _Words:
    try:
        said = msgspec.json.decode(body[:_LONGEST_BODY_BYTES])
    except UNREADABLE:
        text = body[:_LONGEST_BODY_BYTES].decode(errors="replace")
        return _Words(message=_plain(text))
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, dict):
        return _Words(message=_plain(said) if isinstance(said, str) else "")
    error = said.get("error")
    if isinstance(error, str):
        return _Words(message=_plain(error), type=_word(said.get("type")), code=_word(said.get("code")))
    if isinstance(error, dict):
        return _read_object(error)
    if "detail" in said and "message" not in said:
        return _Words(message=_plain(_read_detail(said["detail"])))
    return _read_object(said)


def _read_object(error: dict[str, Any]) -> _Words:
    message, param = error.get("message"), error.get("param")
    return _Words(
        message=_plain(message) if isinstance(message, str) else "",
        type=_word(error.get("type")),
        code=_word(error.get("code")),
        param=param[:200] if isinstance(param, str) and param else None,
        prompt_tokens=_count(error.get("n_prompt_tokens")),
        limit_tokens=_count(error.get("n_ctx")),
        wait_s=_read_wait(error.get("details")),
    )


def _read_wait(details: object) -> float | None:
    """Google's `RetryInfo`: seconds such as `17.5s`."""
    for detail in details[:20] if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and _DELAY.fullmatch(delay):
            return min(float(delay[:-1]), LONGEST_S)
    return None


def _read_detail(detail: object) -> str:
    """FastAPI: a sentence, or a list of complaints of which only place and wording are taken, never the input."""
    if isinstance(detail, str):
        return detail
    if not isinstance(detail, list):
        return ""
    complaints = []
    for item in detail[:5]:
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            place = item.get("loc")
            path = ".".join(str(step) for step in place) if isinstance(place, list) else ""
            complaints.append(f"{path}: {item['msg']}" if path else item["msg"])
    return "; ".join(complaints)


def _plain(text: str) -> str:
    """One short line without markup and without a quoted request."""
    if _MARKUP.search(text[:2000]):
        title = _TITLE.search(text[:20_000])
        return f"an HTML page, {title[1].strip()!r}" if title is not None else "an HTML page"
    quoted = _QUOTED_INPUT.search(text)
    if quoted is not None:
        text = text[: quoted.start()]
    text = " ".join(text[: _LONGEST_WORDS * 4].split())
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _word(value: object) -> str:
    return str(value)[:100] if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _status_of(words: _Words) -> int:
    """The status an error object under 200 stands for."""
    if words.code.isascii() and words.code.isdigit() and 400 <= int(words.code) < 600:
        return int(words.code)
    for word in (words.code.lower(), words.type.lower()):
        if word in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[word]
    return 500


def _kind_of(status: int, words: _Words, overflow: bool) -> Kind:
    if overflow and status not in {401, 402, 403, 429}:
        return Kind.CONTEXT_OVERFLOW
    if words.code == "model_not_found" or (status in {400, 404} and _MODEL_MISSING.search(words.message)):
        return Kind.UPSTREAM_MODEL_MISSING
    if words.type == _CONFIGURATION:  # another Freehold, whose client we are: not this request is at fault
        return Kind.UPSTREAM_ERROR
    if status == 400 and _KEY_REFUSED.match(words.message):
        return Kind.UPSTREAM_AUTH
    if status == 400 and _BROKE_DOWN.match(words.message):
        return Kind.UPSTREAM_ERROR
    if status == 413 and words.code == "rate_limit_exceeded":
        return Kind.RATE_LIMITED
    if status == 503 and "loading model" in words.message.lower():
        return Kind.ENGINE_NOT_READY
    if status == 500 and _CANNOT_TAKE.search(words.message):
        return Kind.UPSTREAM_REJECTED
    known = _KIND_OF_STATUS.get(status)
    if known is not None:
        return known
    return Kind.UPSTREAM_REJECTED if status in _REJECTING else Kind.UPSTREAM_ERROR


def _message_of(kind: Kind, status: int, words: _Words) -> str:
    if kind is Kind.UPSTREAM_AUTH:
        return f"the runtime refused our credentials (status {status}); check its `api_key` reference"
    if kind is Kind.ENGINE_NOT_READY:
        return "the runtime is still loading its model"
    if not words.message:
        return f"the runtime answered {status} without saying why"
    if kind in {Kind.UPSTREAM_REJECTED, Kind.CONTEXT_OVERFLOW}:
        return words.message
    return f"the runtime answered {status}: {words.message}"
