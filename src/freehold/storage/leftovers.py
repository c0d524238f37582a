"""Journals that nobody replays any more: of processes that are gone, beside the store.

Each process that writes has a journal of its own, so that no two ever take the same one. Whoever starts takes over what
the others left; a row that comes twice this way is written once.
"""

import os
from collections.abc import Container
from pathlib import Path

from freehold.storage.whole_write import write_whole

SUFFIX = ".journal"
_CLAIMED = ".leftover"


def own_journal(store: Path, number: int) -> Path:
    """The journal of one process of several, by its number."""
    return store.with_name(f"{store.name}.w{number}{SUFFIX}")


def is_any_waiting(store: Path) -> bool:
    """Whether any journal beside the store holds rows that are not written yet, whoever's it is."""
    return any(_is_leftover(path, store, ()) for path in _beside(store))


def take_over(store: Path, into: Path, alive: Container[Path] = frozenset()) -> int:
    """Add every journal beside the store to `into`, but those of processes that are alive. Gives how many there were.

    `into` is not to be in use yet. Raises OSError; then nothing is lost.
    """
    found = [path for path in sorted(_beside(store)) if path != into and _is_leftover(path, store, alive)]
    for path in found:
        claimed = path.with_name(path.name.removesuffix(_CLAIMED) + _CLAIMED)
        path.rename(claimed)
        data = claimed.read_bytes()
        descriptor = os.open(into, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_whole(descriptor, data if data.endswith(b"\n") or not data else data + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        claimed.unlink()
    return len(found)


def _beside(store: Path) -> list[Path]:
    """A ledger on a server needs no folder here: there is none until something is kept in it."""
    return list(store.parent.iterdir()) if store.parent.exists() else []


def _is_leftover(path: Path, store: Path, alive: Container[Path]) -> bool:
    name = path.name.removesuffix(_CLAIMED).removesuffix(".replaying")
    return name.startswith(store.name) and name.endswith(SUFFIX) and path.with_name(name) not in alive
