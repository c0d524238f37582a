"""Overflows in a row, counted for all processes of one machine, in memory that they share through a file.

Promised: to look whether anybody has any takes one read of memory, no call of the system; no name of a session is kept, only a
hash under a key of the file; the file never grows. Processes do not wait for each other: of two that write one row at once, one may
be lost, which is worth no lock. When rows were written is told by the machine's monotonic clock, so a file from before a restart of
the machine says nothing. Not done: several machines, and surviving a file that somebody else cuts short.
"""

import contextlib
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from blake3 import blake3

_MAGIC = b"freehold overflows, layout 1".ljust(32)
_KEY_BYTES = 32
_NEWEST = Struct("=d")
_NEWEST_AT = len(_MAGIC) + _KEY_BYTES
_ROWS_AT = 4096
_ROW = Struct("=16sdII")
_WAYS = 8
"""Rows that a hash may stand in; of so many the oldest makes room."""
_BUCKETS = 512
MOST_KEPT = _WAYS * _BUCKETS
_SIZE = _ROWS_AT + MOST_KEPT * _ROW.size
_MOST = 2**32 - 1


class OverflowRow(NamedTuple):
    """Overflows of one conversation with nothing served between them."""

    shortest: int
    """Tokens of the prompt."""
    times: int
    last_s: float
    """Monotonic."""


class HostOverflows:
    """Such rows. Raises OSError where the file can be neither read nor made."""

    def __init__(self, path: Path) -> None:
        self._memory = _mapped(path)
        self._key = self._memory[len(_MAGIC) : _NEWEST_AT]

    @property
    def newest_s(self) -> float:
        """When the newest row was written, by any process."""
        return float(_NEWEST.unpack_from(self._memory, _NEWEST_AT)[0])

    def get(self, names: Sequence[str]) -> OverflowRow | None:
        """The row of the conversation that these names tell apart."""
        digest = self._digest(names)
        for at in _places(digest):
            kept, last_s, shortest, times = _ROW.unpack_from(self._memory, at)
            if kept == digest and times:
                return OverflowRow(shortest, times, last_s)
        return None

    def put(self, names: Sequence[str], row: OverflowRow) -> None:
        """Keep it; in a full place instead of the oldest there."""
        digest = self._digest(names)
        there = {at: _ROW.unpack_from(self._memory, at) for at in _places(digest)}
        own = next((at for at, (kept, *_) in there.items() if kept == digest), None)
        at = min(there, key=lambda one: (there[one][3] != 0, there[one][1])) if own is None else own
        _ROW.pack_into(self._memory, at, digest, row.last_s, min(row.shortest, _MOST), min(row.times, _MOST))
        _NEWEST.pack_into(self._memory, _NEWEST_AT, row.last_s)

    def drop(self, names: Sequence[str]) -> None:
        """Forget it."""
        digest = self._digest(names)
        for at in _places(digest):
            if self._memory[at : at + len(digest)] == digest:
                _ROW.pack_into(self._memory, at, b"", -math.inf, 0, 0)

    def _digest(self, names: Sequence[str]) -> bytes:
        said = b"".join(b"%d:%b" % (len(name), name.encode(errors="surrogatepass")) for name in names)
        return blake3(said, key=self._key).digest(16)


def _places(digest: bytes) -> Iterator[int]:
    first = _ROWS_AT + int.from_bytes(digest[:4], "little") % _BUCKETS * _WAYS * _ROW.size
    return iter(range(first, first + _WAYS * _ROW.size, _ROW.size))


def _mapped(path: Path) -> mmap.mmap:
    """The file's memory; made where there is no such file, or another one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = _found(path)
    if found is not None:
        return found
    own = path.with_name(f"{path.name}.{os.getpid()}")
    head = _MAGIC + os.urandom(_KEY_BYTES) + _NEWEST.pack(-math.inf)
    with contextlib.suppress(FileNotFoundError):
        own.unlink()
    handle = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Every byte is written, so that there is room on the disk for what is written through memory later.
        with os.fdopen(handle, "wb") as file:
            file.write(head.ljust(_SIZE, b"\0"))
        if path.exists() and _found(path) is None:
            own.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(own, path)
    finally:
        own.unlink(missing_ok=True)
    made = _found(path)
    if made is None:
        raise OSError(f"{path}: could not be made")
    return made


def _found(path: Path) -> mmap.mmap | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if os.fstat(handle).st_size != _SIZE:
            return None
        memory = mmap.mmap(handle, _SIZE)
    finally:
        os.close(handle)
    if memory[: len(_MAGIC)] == _MAGIC:
        return memory
    memory.close()
    return None
