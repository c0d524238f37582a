"""The Batch API as its client speaks it: what a vendor's own is sent, and what it answers.

Source: OpenAI's `Batch`, `OpenAIFile`, `ListBatchesResponse` and the guide "Batch API"; Groq, Azure and others speak it too.
Promised: what is no answer of that API is a fault, never a guess; a state that nobody documents counts as one under way; a line
of results that cannot be read is none. Pure.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.batches import FINAL, WINDOW
from freehold.wire.body import UNREADABLE

FILES_PATH = "/files"
BATCHES_PATH = "/batches"
OWN_ID = "freehold_batch"
"""In the metadata of a vendor's batch: by which it is found again."""

_encode = msgspec.json.Encoder().encode
_Told = TypeVar("_Told")


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


Kept = TypeVar("Kept", KeptFile, State)


class Listed(msgspec.Struct, Generic[Kept], frozen=True):
    """A page of a list, newest first."""

    data: tuple[Kept, ...]
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


def read_answered(line: bytes) -> Answered | None:
    """A line of an output or error file; None: it is none."""
    try:
        read = _line(line)
    except UNREADABLE:
        return None
    if read.response is None or read.response.status_code < 100:
        return Answered(read.custom_id, None)
    return Answered(read.custom_id, read.response.status_code, bytes(read.response.body))


def _reader(kind: type[_Told], what: str) -> Callable[[bytes], _Told]:
    """Reads a body of that kind. What it gives raises FaultError(INVALID_REPLY)."""
    decode = msgspec.json.Decoder(kind).decode

    def read(body: bytes) -> _Told:
        try:
            return decode(body)
        except UNREADABLE:
            raise faulty(Kind.INVALID_REPLY, f"the vendor's Batch API did not answer with {what}") from None

    return read


read_file = _reader(KeptFile, "a file")
read_files = _reader(Listed[KeptFile], "a list of files")
read_state = _reader(State, "a batch")
read_states = _reader(Listed[State], "a list of batches")
