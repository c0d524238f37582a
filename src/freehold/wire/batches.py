"""The Batch API's words: files, batches, the lines of a batch's input and output.

Source: OpenAI's `Batch`, `OpenAIFile`, `CreateBatchRequest` and the guide "Batch API". Promised: a line that passes names
one request to the batch's own endpoint, under a `custom_id` that no other line has (`Checker`). Pure.
"""

from codecs import BOM_UTF8
from typing import Literal

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top

ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings", "/v1/moderations")
"""What a batch may ask of."""
WINDOW = "24h"
WINDOW_MS = 24 * 3600 * 1000
LONGEST_LINE_BYTES = 4 * 1024 * 1024
LONGEST_CUSTOM_ID_CHARS = 256
MOST_ERRORS = 50
"""Told about one input file."""

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
FINAL: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})

_encode = msgspec.json.Encoder().encode


class LineError(msgspec.Struct, frozen=True):
    """What is wrong with the input file."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchLine(msgspec.Struct, frozen=True):
    """One request of a batch."""

    custom_id: str
    body: bytes


class BatchRequest(msgspec.Struct, frozen=True):
    """What a client asks for."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


Stage = Literal["gathered", "sending", "uploaded", "making", "made", "ended", "settled", "over"]
"""How far a vendor's batch is: its lines are written down; its file may be there; is there; it may be there itself; is there;
has ended there; its results are ours and durable; nothing of it is left there."""


class VendorBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lines of a batch that were handed on to a vendor's own Batch API, as one batch there."""

    id: str
    """Ours: names its files here, its file there, and stands in its metadata there."""
    runtime: str
    stage: Stage = "gathered"
    file_id: str | None = None
    """The vendor's, as are those below."""
    batch_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    status: str | None = None
    """How it ended there; None: it has not, or nobody can say."""


class BatchState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that changes about a batch. Times are Unix milliseconds; None: it has not come to that."""

    status: Status = "validating"
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_ms: int | None = None
    finalizing_ms: int | None = None
    completed_ms: int | None = None
    failed_ms: int | None = None
    expired_ms: int | None = None
    cancelling_ms: int | None = None
    cancelled_ms: int | None = None
    errors: tuple[LineError, ...] = ()
    is_gathered: bool = False
    """Every line was decided, and those for a vendor's Batch API are in `vendor_batches`."""
    vendor_batches: tuple[VendorBatch, ...] = ()


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Done(msgspec.Struct, frozen=True):
    custom_id: str


class _Body(msgspec.Struct, frozen=True):
    stream: bool | None = None


_LINE = msgspec.json.Decoder(_Line)
_BODY = msgspec.json.Decoder(_Body)
_BATCH = msgspec.json.Decoder(BatchRequest)
_DONE = msgspec.json.Decoder(_Done)


def read_batch_request(body: bytes) -> BatchRequest:
    """Raises FaultError(INVALID_REQUEST) naming the field."""
    top = split_top(body)
    try:
        asked = _BATCH.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if bytes(top.get("output_expires_after", b"null")) != b"null":
        message = "output_expires_after: results are kept until they are deleted"
        raise faulty(Kind.UNSUPPORTED, message, param="output_expires_after")
    if asked.endpoint not in ENDPOINTS:
        raise faulty(Kind.INVALID_REQUEST, f"endpoint: must be one of {', '.join(ENDPOINTS)}", param="endpoint")
    if asked.completion_window != WINDOW:
        raise faulty(Kind.INVALID_REQUEST, f"completion_window: must be {WINDOW}", param="completion_window")
    said = asked.metadata or {}
    if len(said) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in said.items()):
        raise faulty(
            Kind.INVALID_REQUEST, "metadata: at most 16 pairs, keys of 64 and values of 512 characters", param="metadata"
        )
    return asked


class Checker:
    """Reads the lines of one input file, in order."""

    def __init__(self, endpoint: str, most_lines: int) -> None:
        self._endpoint = endpoint
        self._most_lines = most_lines
        self._seen: set[str] = set()
        self._number = 0
        self.errors: list[LineError] = []

    @property
    def total(self) -> int:
        """Good lines so far."""
        return len(self._seen)

    def read(self, data: bytes) -> BatchLine | None:
        """The line's request; None where it is blank or wrong, and then `errors` says why."""
        self._number += 1
        if self._number == 1:
            data = data.removeprefix(BOM_UTF8)
        if not data.strip():
            return None
        if self.total == self._most_lines:
            if not any(error.code == "too_many_lines" for error in self.errors):
                self._wrong("too_many_lines", f"a batch has at most {self._most_lines} lines", None)
            return None
        if len(data) > LONGEST_LINE_BYTES:
            self._wrong("line_too_long", f"a line has at most {LONGEST_LINE_BYTES} bytes", None)
            return None
        try:
            split_top(data)
            line = _LINE.decode(data)
            split_top(bytes(line.body))
            streams = _BODY.decode(line.body).stream
        except FaultError as error:
            self._wrong("invalid_json_line", error.fault.message, error.fault.param)
            return None
        except UNREADABLE as error:
            fault = refusal(error).fault
            self._wrong("invalid_json_line", fault.message, fault.param)
            return None
        return self._checked(line, streams=bool(streams))

    def _checked(self, line: _Line, *, streams: bool) -> BatchLine | None:
        if not 1 <= len(line.custom_id) <= LONGEST_CUSTOM_ID_CHARS:
            self._wrong("invalid_custom_id", f"custom_id: 1 to {LONGEST_CUSTOM_ID_CHARS} characters", "custom_id")
        elif line.custom_id in self._seen:
            self._wrong("duplicate_custom_id", "custom_id: another line has it already", "custom_id")
        elif line.method != "POST":
            self._wrong("invalid_method", "method: must be POST", "method")
        elif line.url != self._endpoint:
            self._wrong("mismatched_url", f"url: must be the batch's endpoint, {self._endpoint}", "url")
        elif streams:
            self._wrong("invalid_request", "body.stream: a batch does not stream", "body.stream")
        else:
            self._seen.add(line.custom_id)
            return BatchLine(line.custom_id, bytes(line.body))
        return None

    def _wrong(self, code: str, message: str, param: str | None) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(LineError(code, message, self._number, param))


def write_result(line_id: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """One line of an output or error file: an answer."""
    raw = msgspec.Raw(body if body.strip() else b"null")
    answer = {"status_code": status, "request_id": request_id, "body": raw}
    return _encode({"id": line_id, "custom_id": custom_id, "response": answer, "error": None}) + b"\n"


def write_expired(line_id: str, custom_id: str) -> bytes:
    """One line of an error file: a request that was not made in time."""
    message = "the completion window ended before this request could be made"
    error = {"code": "batch_expired", "message": message}
    return _encode({"id": line_id, "custom_id": custom_id, "response": None, "error": error}) + b"\n"


def read_done(line: bytes) -> str:
    """The `custom_id` of an output or error line. Raises ValueError for what is none."""
    try:
        return _DONE.decode(line).custom_id
    except UNREADABLE as error:
        raise ValueError("not a line of results") from error


def write_file(file_id: str, *, size_bytes: int, created_ms: int, filename: str, purpose: str) -> dict[str, object]:
    """A file as clients see it."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": size_bytes,
        "created_at": created_ms // 1000,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
    }


def write_batch(
    batch_id: str,
    *,
    endpoint: str,
    input_file_id: str,
    created_ms: int,
    expires_ms: int,
    metadata: dict[str, str],
    state: BatchState,
) -> dict[str, object]:
    """A batch as clients see it; what has not happened is left out. Files are named when they are whole: clients wait for that."""
    times = {
        f"{name}_at": getattr(state, f"{name}_ms") // 1000
        for name in ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        if getattr(state, f"{name}_ms") is not None
    }
    written = ("output_file_id", "error_file_id") if state.status in FINAL else ()
    files = {name: value for name in written if (value := getattr(state, name)) is not None}
    errors: dict[str, object] = {"errors": {"object": "list", "data": state.errors}} if state.errors else {}
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": endpoint,
        **errors,
        "input_file_id": input_file_id,
        "completion_window": WINDOW,
        "status": state.status,
        **files,
        "created_at": created_ms // 1000,
        "expires_at": expires_ms // 1000,
        **times,
        "request_counts": {"total": state.total, "completed": state.completed, "failed": state.failed},
        "metadata": metadata or None,
    }
