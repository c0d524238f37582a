"""Rates counted for all processes of one machine, in an SQLite file of their own.

Promised: what `storage.rates` promises, exactly, for the workers of one machine: every `take` is one immediate
transaction. It runs in a thread of its own, so that no loop waits for a lock or a disk. The clock is the machine's time of
day; one that was set back makes meters stricter, for no longer than their window. The file is opened by the first `take`;
one that is damaged is thrown away, for it holds nothing that lasts longer than a window, and no `take` waits for the disk.
All count on the file that has the name now: one that was thrown away or removed is left by who still has it open. Not done:
several machines.
"""

import asyncio
import contextlib
import fcntl
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from freehold.policy.gcra import Charge, Denied, Hold, Taken, look
from freehold.storage.rates import LEASE_S, RatesAwayError
from freehold.storage.sqlite_opening import enter_wal

BUSY_TIMEOUT_S = 2.0
"""A transaction takes tens of microseconds, but a process in the middle of one may have to wait for a core. Whoever waited
this long counts alone, and so do all who waited with it."""
SWEEP_EACH = 4096
"""Takes between two looks for meters that are full again."""
_Done = TypeVar("_Done")
_ASKS_AGAIN_S = 0.005
_LEASE_US = int(LEASE_S * 1_000_000)
_TABLES = """
CREATE TABLE IF NOT EXISTS meters (account TEXT PRIMARY KEY, full_at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS places (account TEXT, holder TEXT, until_us INTEGER NOT NULL, PRIMARY KEY (account, holder)) WITHOUT ROWID;
"""


class HostRates:
    """A `RateStore` on one file. `now_us` is the time of day in Unix microseconds, the same for all processes."""

    def __init__(self, path: Path, now_us: Callable[[], int]) -> None:
        self._path = path
        self._now_us = now_us
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Which file that is of."""
        self._thread: ThreadPoolExecutor | None = None
        self._takes = 0
        self._failed_s = -math.inf
        """When a `take` last failed, monotonic."""
        self._held: set[tuple[str, str]] = set()
        """Places of this process: (account, holder)."""
        self._renewing: asyncio.TimerHandle | None = None

    async def take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:
        """As `RateStore.take`."""
        self._held.update((hold.account, holder) for hold in holds)
        if self._held and self._renewing is None:
            self._renew_later(asyncio.get_running_loop())
        try:
            said = await asyncio.wrap_future(self._run(self._take_in_turn, time.monotonic(), charges, holds, holder))
        except BaseException as error:
            # Whether it took them is not known: a place that nobody knows of must not stay taken.
            self.settle((), [hold.account for hold in holds], holder)
            if isinstance(error, sqlite3.Error | OSError):
                raise RatesAwayError(f"{self._path}: {error}") from error
            raise
        if isinstance(said, Denied):
            self._held.difference_update((hold.account, holder) for hold in holds)
        return said

    def settle(self, corrections: Sequence[tuple[str, int]], places: Sequence[str], holder: str) -> None:
        """As `RateStore.settle`."""
        self._held.difference_update((account, holder) for account in places)
        if corrections or places:
            self._run(self._settle, corrections, places, holder).add_done_callback(_leave)

    async def close(self) -> None:
        """As `RateStore.close`."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._thread is None:
            return
        for account, holder in tuple(self._held):
            self.settle((), (account,), holder)
        with contextlib.suppress(sqlite3.Error):
            await asyncio.wrap_future(self._run(self._close))
        self._thread.shutdown()

    def _run(self, do: Callable[..., _Done], *what: object) -> "Future[_Done]":
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "rates")
        return self._thread.submit(do, *what)

    def _renew_later(self, loop: asyncio.AbstractEventLoop) -> None:
        def renew() -> None:
            self._renewing = None
            if self._held:
                self._run(self._renew, tuple(self._held)).add_done_callback(_leave)
                self._renew_later(loop)

        self._renewing = loop.call_later(LEASE_S / 3, renew)

    # In the thread.

    def _open(self) -> sqlite3.Connection:
        if self._database is not None and self._file == _file_at(self._path):
            return self._database
        self._close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _nobody_else(self._path.with_name(f"{self._path.name}.lock")):
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._throw_away()
                self._connect()
        assert self._database is not None
        return self._database

    def _connect(self) -> None:
        with contextlib.suppress(FileExistsError):  # who opens and closes a file that is there gives up SQLite's locks on it
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._file = _file_at(self._path)
        database = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous=OFF")  # first of all: a new file is written to when it enters the log
            enter_wal(database, BUSY_TIMEOUT_S)
            database.executescript(_TABLES)
        except BaseException:
            database.close()
            raise
        self._database = database

    def _throw_away(self) -> None:
        """Remove the file that `_connect` found, with the lock in hand."""
        for tail in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}{tail}")  # noqa: PTH108 - the names beside it are no paths of ours

    def _replace(self) -> None:
        """The file turned out to be damaged: throw it away, unless somebody else has by now."""
        damaged = self._file
        self._close()
        with _nobody_else(self._path.with_name(f"{self._path.name}.lock")):
            if _file_at(self._path) == damaged:
                self._throw_away()

    def _take_in_turn(self, asked_s: float, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:
        """All share one thread: they must not wait out the same lock one after the other."""
        if asked_s < self._failed_s:
            raise sqlite3.OperationalError("could not be locked for a request before this one")
        try:
            try:
                return self._take(charges, holds, holder)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._replace()
                return self._take(charges, holds, holder)
        except sqlite3.Error:
            self._failed_s = time.monotonic()
            raise

    def _take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:
        with _transaction(self._open()) as database:
            now_us = self._now_us()
            full_at_us = {charge.account: _full_at(database, charge.account) for charge in charges}
            held = {hold.account: _count(database, hold.account, now_us) for hold in holds}
            said = look(charges, holds, full_at_us, held, now_us)
            if isinstance(said, Taken):
                for charge, ahead_us in zip(charges, said.ahead_us, strict=True):
                    _write(database, charge.account, now_us + ahead_us)
                for hold in holds:
                    row = (hold.account, holder, now_us + _LEASE_US)
                    database.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", row)
            self._takes += 1
            if self._takes % SWEEP_EACH == 0:
                database.execute("DELETE FROM meters WHERE full_at_us <= ?", (now_us,))
                database.execute("DELETE FROM places WHERE until_us <= ?", (now_us,))
        return said

    def _settle(self, corrections: Sequence[tuple[str, int]], places: Sequence[str], holder: str) -> None:
        with _transaction(self._open()) as database:
            now_us = self._now_us()
            for account, moved_us in corrections:
                full_at_us = max(_full_at(database, account), now_us) + moved_us
                if full_at_us > now_us:
                    _write(database, account, full_at_us)
                else:
                    database.execute("DELETE FROM meters WHERE account = ?", (account,))
            for account in places:
                database.execute("DELETE FROM places WHERE account = ? AND holder = ?", (account, holder))

    def _renew(self, held: Sequence[tuple[str, str]]) -> None:
        until_us = self._now_us() + _LEASE_US
        self._open().executemany(
            "UPDATE places SET until_us = ? WHERE account = ? AND holder = ?", [(until_us, *one) for one in held]
        )

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing, and nothing left open, whatever fails: the next one could not begin."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _nobody_else(path: Path) -> Iterator[None]:
    """Only one process at a time opens the file or throws it away. Raises sqlite3.OperationalError after `BUSY_TIMEOUT_S`."""
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise sqlite3.OperationalError(f"{path}: another process has it") from None
                time.sleep(_ASKS_AGAIN_S)
        yield
    finally:
        os.close(lock)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file has that name now."""
    try:
        found = os.stat(path)  # noqa: PTH116 - with every take
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _full_at(database: sqlite3.Connection, account: str) -> int:
    row = database.execute("SELECT full_at_us FROM meters WHERE account = ?", (account,)).fetchone()
    return 0 if row is None else int(row[0])


def _count(database: sqlite3.Connection, account: str, now_us: int) -> int:
    row = database.execute("SELECT count(*) FROM places WHERE account = ? AND until_us > ?", (account, now_us)).fetchone()
    return int(row[0])


def _write(database: sqlite3.Connection, account: str, full_at_us: int) -> None:
    database.execute("INSERT OR REPLACE INTO meters VALUES (?, ?)", (account, full_at_us))


def _leave(done: "Future[None]") -> None:
    """After-work that failed is left: a place comes back when its lease ends, a meter when its time comes."""
    done.cancelled() or done.exception()
