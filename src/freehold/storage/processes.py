"""Which processes write this ledger, and which of those that entered are gone. Imports SQLAlchemy.

Promised: a process is `gone` only when it ran on this machine and certainly does not any more, or when it ran elsewhere (or
before this machine was started anew) and gave no sign of life for `SILENT_S` of our own time: nobody's clock has to agree
with anybody's, and what it had reserved has lapsed by then. Not done: what becomes of its requests (`unfinished`).
"""

from collections.abc import Callable, Iterable

import msgspec
from sqlalchemy import Engine, select

from freehold.storage.entry import ENTRY, Entry
from freehold.storage.owners import is_dead, is_of_this_place
from freehold.storage.schema import meta

SILENT_S = 180.0
"""Longer than a process that lives is silent (it gives a sign each minute), and than a reservation's lease."""


class Standing(msgspec.Struct, frozen=True):
    """The marks of the processes that have entered."""

    alive: frozenset[str]
    gone: frozenset[str]


class Processes:
    """What this process has seen of the others. Every call blocks; none is for two threads at once."""

    def __init__(self, entry: Entry, now: Callable[[], float]) -> None:
        """`entry` is our own, `now` a monotonic clock in seconds."""
        self._entry, self._now = entry, now
        self._seen: dict[str, tuple[str, float]] = {}
        """By mark: its last sign of life, and since when it is that."""

    def standing(self, engine: Engine) -> Standing:
        """Who is there. Read after the rows that it shall explain: whoever wrote one had entered before."""
        with engine.connect() as connection:
            found = connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name.like(f"{ENTRY}%"))).all()
        entered = {str(name).removeprefix(ENTRY): str(value) for name, value in found}
        gone = frozenset(mark for mark, value in entered.items() if mark != self._entry.mark and self._is_gone(mark, value))
        self._seen = {mark: seen for mark, seen in self._seen.items() if mark in entered}
        return Standing(alive=(frozenset(entered) | {self._entry.mark}) - gone, gone=gone)

    def strike(self, engine: Engine, gone: Iterable[str]) -> None:
        """Remove the entries of these: their requests all have their final rows."""
        with engine.connect() as connection, connection.begin():
            connection.execute(meta.delete().where(meta.c.name.in_([ENTRY + mark for mark in gone])))

    def _is_gone(self, mark: str, value: str) -> bool:
        owner = value.rpartition(" ")[0]
        if is_of_this_place(owner):
            return is_dead(owner)
        sign, since_s = self._seen.get(mark, ("", 0.0))
        if sign != value:
            self._seen[mark] = value, self._now()
            return False
        return self._now() - since_s >= SILENT_S
