"""A power cut, simulated from what really reached the files: what was not synced may be lost, kept or torn, each by itself.

Stricter than most disks: a new name is durable only once its folder was synced, and of a write any of its sectors may be
missing, whatever came after it.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from struct import Struct

import msgspec

SECTOR = 512
FOLDER = 255
_HEAD = Struct("<BBHIQ")
_SOURCE = Path(__file__).with_name("power.c")


class Event(msgspec.Struct, frozen=True):
    """One thing that happened to a file, or (`m`) what was said meanwhile."""

    kind: str
    file: int
    offset: int
    data: bytes


def compiled(folder: Path) -> Path:
    """The layer that writes it down."""
    made = folder / "power.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", str(made), str(_SOURCE), "-ldl"], check=True, capture_output=True, timeout=60
    )
    return made


def watched(layer: Path, place: Path, log: Path, command: Sequence[str]) -> list[Event]:
    """All that a command did to the files in `place`, in order."""
    environ = {
        **os.environ,
        "LD_PRELOAD": str(layer),
        "FREEHOLD_POWER_DIR": str(place),
        "FREEHOLD_POWER_LOG": str(log),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    subprocess.run([sys.executable, *command], check=True, env=environ, timeout=100)
    data, at, events = log.read_bytes(), 0, []
    while at < len(data):
        kind, file, _, length, offset = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        events.append(Event(chr(kind), file, offset, data[at : at + length]))
        at += length
    log.unlink()
    return events


class _File:
    """A file as it is on the disk, and what has not reached it for certain."""

    def __init__(self, data: bytes = b"", *, is_named: bool = False) -> None:
        self.data = bytearray(data)
        self.pending: list[Event] = []
        self.is_named, self.is_gone = is_named, False

    def sync(self) -> None:
        for event in self.pending:
            _apply(self.data, event.kind, event.offset, event.data)
        self.pending.clear()


class Disk:
    """What was surely written, as events go by; `cut` gives what a power cut might leave at that moment."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._files = {path.name: _File(path.read_bytes(), is_named=True) for path in place.iterdir()}
        self._names: dict[int, str] = {}

    def take(self, event: Event) -> None:
        """Go on by one event."""
        name = self._names.get(event.file, "")
        match event.kind:
            case "n" | "c":
                name = self._names[event.file] = Path(event.data.decode()).name
                if event.kind == "c" or name not in self._files:
                    self._files[name] = _File()
            case "w" | "t":
                self._files[name].pending.append(event)
            case "s" if event.file == FOLDER:
                for known, file in list(self._files.items()):
                    file.is_named = True
                    if file.is_gone:
                        del self._files[known]
            case "s":
                self._files[name].sync()
            case "u":
                self._files[name].is_gone = True

    def cut(self, chance: Random, into: Path) -> None:
        """Leave in `into` what might be left."""
        into.mkdir()
        fate = chance.choice(("all", "none", "each", "each", "torn", "first"))
        for name, file in self._files.items():
            if (not file.is_named or file.is_gone) and chance.random() < 0.5:
                continue
            data = bytearray(file.data)
            kept = chance.randrange(len(file.pending) + 1) if fate == "first" else len(file.pending)
            for event in file.pending[:kept]:
                if fate == "none" or (fate in {"each", "torn"} and chance.random() < 0.5):
                    continue
                if fate == "torn" and event.kind == "w":
                    for at in range(0, len(event.data), SECTOR):
                        if chance.random() < 0.5:
                            _apply(data, "w", event.offset + at, event.data[at : at + SECTOR])
                else:
                    _apply(data, event.kind, event.offset, event.data)
            (into / name).write_bytes(data)


def _apply(data: bytearray, kind: str, offset: int, written: bytes) -> None:
    if kind == "t":
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(written)] = written
