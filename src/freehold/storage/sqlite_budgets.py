"""Budgets in the SQLite file of the ledger, shared by all processes of one machine.

Promised: a commit is on the disk when it returns (`synchronous=FULL`), with everything that was committed before it; the
lock of writing is asked for again within a millisecond or so, so that a reservation is the next after whoever holds it. The
log is copied into the file by the ledger's writer, seldom by us. Not done: several machines; SQLite's locks do not reach
over a network.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from freehold.storage.budget_steps import Steps
from freehold.storage.owners import own_name
from freehold.storage.sql_budgets import SqlBudgets
from freehold.storage.sqlite_opening import enter_wal
from freehold.storage.store import sqlite_url

OPENS_WITHIN_S = 5.0
LOCKED_WITHIN_S = 5.0
"""How long the lock is waited for before the store counts as away."""
FIRST_LOOK_S, LONGEST_LOOK_S = 0.0002, 0.002
WAL_PAGES = 8000
"""The writer copies the log into the file when it is a quarter of this long."""
_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)


class SqliteLink:
    """One connection to the file."""

    def __init__(self, path: Path, now_ms: Callable[[], int], owner: str) -> None:
        self._database = _connect(path, now_ms)
        self.steps = Steps(
            self._database.execute, mark="?", now_ms=now_ms, owner=owner, is_refusal=lambda error: isinstance(error, _REFUSALS)
        )

    def begin(self) -> None:
        """Wait for the lock of writing. Raises sqlite3.OperationalError where it does not come."""
        gives_up_s, look_s = monotonic() + LOCKED_WITHIN_S, FIRST_LOOK_S
        while True:
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= gives_up_s:
                    raise
                sleep(look_s)
                look_s = min(look_s * 1.5, LONGEST_LOOK_S)
            else:
                return

    def commit(self) -> None:
        """Make it durable."""
        self._database.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it, where SQLite has not already."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def sqlite_budgets(path: Path, now_ms: Callable[[], int]) -> SqlBudgets:
    """The budgets in this file, which `prepare` made usable. Nothing is opened yet."""
    owner = own_name()
    return SqlBudgets(lambda: SqliteLink(path, now_ms, owner), (sqlite3.DatabaseError,), str(path))


def _connect(path: Path, now_ms: Callable[[], int]) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode=rw"
    database = sqlite3.connect(address, uri=True, timeout=OPENS_WITHIN_S, isolation_level=None)
    try:
        enter_wal(database, OPENS_WITHIN_S)
        for pragma in ("synchronous=FULL", f"wal_autocheckpoint={WAL_PAGES}", "foreign_keys=ON"):
            database.execute(f"PRAGMA {pragma}")
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'reservations'").fetchone() is None:
            _make_tables(path, now_ms)
        database.execute("PRAGMA busy_timeout=0")
    except BaseException:
        database.close()
        raise
    return database


def _make_tables(path: Path, now_ms: Callable[[], int]) -> None:
    from freehold.storage.engine import create_tables, open_engine  # noqa: PLC0415 - SQLAlchemy, for a fresh store only

    engine = open_engine(sqlite_url(path))
    try:
        create_tables(engine, now_ms=now_ms())
    finally:
        engine.dispose()
