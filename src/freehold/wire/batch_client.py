"""The Batch API as its client speaks it: what a vendor's own is sent, and what it answers.

Source: OpenAI's `Batch`, `OpenAIFile`, `ListBatchesResponse` and the guide "Batch API"; Groq, Azure and others speak it too.
Promised: what is no answer of that API is a fault, never a guess; a state that nobody documents counts as one under way; a line
of results that cannot be read is none. Pure.
"""

from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.batches import FINAL, WINDOW
from freehold.wire.body import UNREADABLE

FILES_PATH = "/files"
BATCHES_PATH = "/batches"
OWN_ID = "freehold_batch"
"""In the metadata of a vendor's batch: by which it is found again."""

_encode = msgspec.json.Encoder().encode


class KeptFile(msgspec.Struct, frozen=True):
    """A file at the vendor."""

    id: str
    filename: str | None = None


class State(msgspec.Struct, frozen=True):
    """A batch at the vendor."""

    id: str
    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change about it."""
        return self.status in FINAL

    @property
    def own_id(self) -> str | None:
        """What we named it."""
        found = (self.metadata or {}).get(OWN_ID)
        return found if isinstance(found, str) else None


class Listed(msgspec.Struct, frozen=True):
    """A page of batches."""

    data: tuple[State, ...]
    has_more: bool = False


class ListedFiles(msgspec.Struct, frozen=True):
    """A page of files."""

    data: tuple[KeptFile, ...]
    has_more: bool = False


class Answered(msgspec.Struct, frozen=True):
    """What one line came to at the vendor."""

    custom_id: str
    status: int | None
    """None: it was not asked at all: the batch had ended before."""
    body: bytes = b""


class _Response(msgspec.Struct, frozen=True):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None


_file, _state = msgspec.json.Decoder(KeptFile).decode, msgspec.json.Decoder(State).decode
_listed, _files = msgspec.json.Decoder(Listed).decode, msgspec.json.Decoder(ListedFiles).decode
_line = msgspec.json.Decoder(_Line).decode


def write_line(line_id: str, path: str, body: bytes) -> bytes:
    """One line of an input file."""
    return _encode({"custom_id": line_id, "method": "POST", "url": path, "body": msgspec.Raw(body)}) + b"\n"


def write_upload(filename: str, data: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form that leaves a file for a batch."""
    boundary = mark = b"freehold-" + filename.partition(".")[0].encode()
    number = 0
    while boundary in data:
        number += 1
        boundary = mark + b"-%d" % number
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\nContent-Type: application/jsonl\r\n\r\n'
    ) % (boundary, boundary, filename.encode())
    return f"multipart/form-data; boundary={boundary.decode()}", b"".join((head, data, b"\r\n--%b--\r\n" % boundary))


def write_batch_request(file_id: str, endpoint: str, own_id: str) -> bytes:
    """The body that makes a batch of a file."""
    return _encode({"input_file_id": file_id, "endpoint": endpoint, "completion_window": WINDOW, "metadata": {OWN_ID: own_id}})


def read_file(body: bytes) -> KeptFile:
    """Raises FaultError(INVALID_REPLY)."""
    try:
        return _file(body)
    except UNREADABLE:
        raise _no_answer("a file") from None


def read_files(body: bytes) -> ListedFiles:
    """Raises FaultError(INVALID_REPLY)."""
    try:
        return _files(body)
    except UNREADABLE:
        raise _no_answer("a list of files") from None


def read_state(body: bytes) -> State:
    """Raises FaultError(INVALID_REPLY)."""
    try:
        return _state(body)
    except UNREADABLE:
        raise _no_answer("a batch") from None


def read_states(body: bytes) -> Listed:
    """Raises FaultError(INVALID_REPLY)."""
    try:
        return _listed(body)
    except UNREADABLE:
        raise _no_answer("a list of batches") from None


def read_answered(line: bytes) -> Answered | None:
    """A line of an output or error file; None: it is none."""
    try:
        read = _line(line)
    except UNREADABLE:
        return None
    if read.response is None or read.response.status_code < 100:
        return Answered(read.custom_id, None)
    return Answered(read.custom_id, read.response.status_code, bytes(read.response.body))


def _no_answer(what: str) -> FaultError:
    return faulty(Kind.INVALID_REPLY, f"the vendor's Batch API did not answer with {what}")
