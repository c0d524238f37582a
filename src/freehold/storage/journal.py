"""The journal: where rows wait on disk while the database cannot take them.

JSON lines in a file of its own (0600), each appended whole and synced once per batch. Replaying is safe to repeat,
since a row is written once however often it is offered. Not done here: rotation; a journal is replayed and removed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold.storage.rows import RECORD_TYPES, Record, RowKind
from freehold.storage.whole_write import write_whole

_RECORDS = {kind: msgspec.json.Decoder(record) for kind, record in RECORD_TYPES.items()}


class _Line(msgspec.Struct, frozen=True):
    kind: RowKind
    record: msgspec.Raw
    reason: str = ""


class _LineOut(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: RowKind
    record: Record
    reason: str = ""


_line = msgspec.json.Decoder(_Line)
_encode = msgspec.json.Encoder().encode_lines


def append(path: Path, batch: Sequence[tuple[RowKind, Record]], reason: str = "") -> None:
    """Add the records to the journal and make them durable. Raises OSError."""
    data = _encode([_LineOut(kind, record, reason) for kind, record in batch])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        write_whole(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Claim(msgspec.Struct, frozen=True):
    """A journal that is being replayed, under a name of its own."""

    path: Path
    rows: list[tuple[RowKind, Record]]
    unread: int
    """Lines that are not whole."""

    def settle(self) -> None:
        """Remove the journal, its rows being in the database; keep it aside where lines could not be read."""
        if self.unread:
            self.path.rename(self.path.with_suffix(".unread"))
        else:
            self.path.unlink()


def take(path: Path) -> Claim | None:
    """Claim the journal for replaying; None: there is nothing to replay. A claim left by a crash is taken up again."""
    claimed = path.with_name(path.name + ".replaying")
    if not claimed.exists():
        try:
            path.rename(claimed)
        except FileNotFoundError:
            return None
    rows: list[tuple[RowKind, Record]] = []
    unread = 0
    for line in claimed.read_bytes().splitlines():
        try:
            read = _line.decode(line)
            rows.append((read.kind, _RECORDS[read.kind].decode(read.record)))
        except msgspec.MsgspecError:
            unread += 1
    return Claim(claimed, rows, unread)
