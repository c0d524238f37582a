"""Faults of Ollama's API, both ways: `{"error": "..."}` with a status, or as a line of a stream that began with 200.

Sources: Ollama's server (routes, `StatusError`), and what it passes on of the llama.cpp server it runs: a JSON error object as the
text of its own. An upstream's words are cut to 500 characters, and those about credentials are never repeated
(`wire.openai_faults`, which reads what is left).
"""

import re
from collections.abc import Mapping

import msgspec

from freehold.fault import Fault, Kind
from freehold.wire import openai_faults
from freehold.wire.body import UNREADABLE

_OVERFLOW = "exceeds the context length"
"""What Ollama says of an input that does not fit; clients look for it."""
_MISSING = re.compile(r"\bmodel\b.{0,300}\bnot found\b", re.IGNORECASE | re.DOTALL)
_LONGEST_BODY_BYTES = 1024 * 1024


class _Error(msgspec.Struct, frozen=True):
    error: str


_ERROR = msgspec.json.Decoder(_Error)


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """See `wire.codec.Codec.read_fault`."""
    said = _words(body)
    if said is not None and said.lstrip().startswith("{"):
        body = said.encode()  # the error object of the engine underneath
    fault = openai_faults.read_fault(status, headers, body)
    if status == 404 and said is not None and _MISSING.search(said):
        return msgspec.structs.replace(fault, kind=Kind.UPSTREAM_MODEL_MISSING)
    return fault


def _words(body: bytes) -> str | None:
    try:
        return _ERROR.decode(body[:_LONGEST_BODY_BYTES]).error
    except UNREADABLE:
        return None


def write_fault(fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """See `wire.codec.Codec.write_fault`."""
    headers = {"content-type": "application/json; charset=utf-8", "x-request-id": request_id}
    if fault.retry_after_s is not None:
        headers["retry-after"] = str(max(0, -int(-fault.retry_after_s // 1)))
    return fault.meaning.status, headers, spell(fault)


def spell(fault: Fault) -> bytes:
    """Ollama's error object: a text and nothing else."""
    message = fault.message
    if fault.kind is Kind.CONTEXT_OVERFLOW and _OVERFLOW not in message:
        limit = fault.details.get("limit_tokens")
        known = f" of {limit} tokens" if limit is not None else ""
        message = f"{message} (the input {_OVERFLOW}{known})"
    return msgspec.json.encode({"error": message})
