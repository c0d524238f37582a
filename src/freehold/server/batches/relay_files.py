"""What is on disk of lines that are handed on to a vendor's Batch API: what is sent, and what is known of each line.

Promised: a line's claim is written before money is reserved for it, and the line itself after; so what was killed in between is
found, and let go. `seal` makes both files durable; nothing is sent before. A half-written last line is none. They are private
(0600), lie in the folder of files and batches, and are removed when the vendor's batch is over. Blocking; call from a thread.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.limits.kept_holds import KeptHold
from freehold.record import AttemptRecord, RequestRecord
from freehold.runtime import Placed
from freehold.server.batches.shelf import Shelf
from freehold.storage.whole_write import write_whole

PREFIX = "relay_"
_INPUT, _LINES, _RESULTS = "input", "lines", "results"
_encode = msgspec.json.Encoder().encode


class Claim(msgspec.Struct, frozen=True, tag="claim"):
    """A line may have money reserved for it."""

    request_id: str
    attempt_id: str


class SentLine(msgspec.Struct, frozen=True, tag="line"):
    """A line that is handed on. Its request's id stands for its `custom_id`."""

    request_id: str
    custom_id: str
    row: RequestRecord
    """Its final row, as far as it is known."""
    attempt: AttemptRecord
    hold: KeptHold | None
    inputs: int = 0
    """Of embeddings: how many vectors are due."""


class Place(msgspec.Struct, frozen=True, tag="place"):
    """The first entry: where all the lines go, at the price of batches there."""

    placed: Placed


_Entry = Place | Claim | SentLine
_decode = msgspec.json.Decoder(_Entry).decode


class _Id(msgspec.Struct, frozen=True):
    request_id: str = ""


_id = msgspec.json.Decoder(_Id).decode


class RelayFiles:
    """Those of one vendor's batch."""

    def __init__(self, shelf: Shelf, own_id: str) -> None:
        self._shelf = shelf
        self.own_id = own_id
        self.size_bytes = 0
        """Of what is to be sent."""
        self.count = 0
        """Lines."""
        self.inputs = 0
        """Vectors that are due, of all lines."""
        self._lines = self._input = -1

    def begin(self, placed: Placed) -> None:
        """Make them. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._lines = os.open(self._path(_LINES), flags, 0o600)
        self._input = os.open(self._path(_INPUT), flags, 0o600)
        write_whole(self._lines, _encode(Place(placed)) + b"\n")

    def claim(self, request_id: str, attempt_id: str) -> None:
        """Before money is reserved. Raises OSError."""
        write_whole(self._lines, _encode(Claim(request_id, attempt_id)) + b"\n")

    def add(self, line: SentLine, data: bytes) -> None:
        """A line that will be sent as `data`. Raises OSError."""
        write_whole(self._input, data)
        write_whole(self._lines, _encode(line) + b"\n")
        self.size_bytes += len(data)
        self.count += 1
        self.inputs += line.inputs

    def seal(self) -> None:
        """Make all of it durable, and let go of the files. Raises OSError."""
        for descriptor in (self._lines, self._input):
            os.fsync(descriptor)
        self.close()
        self._shelf.sync_folder()

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._lines, self._input):
            if descriptor >= 0:
                os.close(descriptor)
        self._lines = self._input = -1

    def place(self) -> Placed | None:
        """Where the lines go; None: the files are gone, or were never whole."""
        first = next(self._entries(), None)
        return first.placed if isinstance(first, Place) else None

    def lines(self) -> Iterator[SentLine]:
        """Every line that is, or was to be, sent."""
        return (entry for entry in self._entries() if isinstance(entry, SentLine))

    def claims(self) -> Iterator[Claim]:
        """Every line that may have had money reserved for it."""
        return (entry for entry in self._entries() if isinstance(entry, Claim))

    def input(self) -> bytes:
        """What is sent. Raises OSError."""
        return self._path(_INPUT).read_bytes()

    def begin_results(self) -> int:
        """A descriptor that results are written to. Raises OSError."""
        return os.open(self._path(_RESULTS), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def results(self, longest_bytes: int) -> Iterator[bytes]:
        """Lines of what was fetched; one that is longer comes cut."""
        with contextlib.suppress(FileNotFoundError):
            yield from self._shelf.lines(self._path(_RESULTS).name, longest_bytes)

    def remove(self) -> None:
        """Nothing of it is needed any more."""
        self.close()
        for kind in (_RESULTS, _INPUT, _LINES):
            self._path(kind).unlink(missing_ok=True)

    def _path(self, kind: str) -> Path:
        return self._shelf.path(f"{self.own_id}-{kind}")

    def _entries(self) -> Iterator[_Entry]:
        try:
            with self._path(_LINES).open("rb") as file:
                for data in file:
                    if not data.endswith(b"\n"):
                        return
                    yield _decode(data)
        except (FileNotFoundError, msgspec.DecodeError):
            return


def left_behind(shelf: Shelf, batch_id: str) -> set[str]:
    """The ids of all vendor batches of that batch that have files here."""
    return {path.name.rpartition("-")[0] for path in shelf.folder.glob(f"{PREFIX}{batch_id}-*")}


def open_requests(folder: Path) -> frozenset[str]:
    """Requests that vendors have, or may have, in a batch: their rows are written when those end, by whoever runs then."""
    found: set[str] = set()
    for path in folder.glob(f"{PREFIX}*-{_LINES}"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for data in file:
                with contextlib.suppress(msgspec.DecodeError):
                    found.add(_id(data).request_id)
    return frozenset(found - {""})
