"""The one writer: a queue that takes records without ever waiting, and one thread that makes them rows.

Promised: `put` neither blocks nor fails, and costs well under a microsecond or two. Rows are written in the order
of their kinds in batches, one transaction each. What the database cannot take now is kept and tried again with
back-off; too much of it goes to a journal beside the store and comes back by itself; nothing is dropped silently.
`close` drains. Not promised: rows still queued survive SIGKILL (up to `linger_s` of them), or rows of the last
moments a power cut; rows of money will not come this way.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from freehold.storage import journal
from freehold.storage.rows import Record, RowKind
from freehold.storage.store import StoreError, sqlite_path

if TYPE_CHECKING:
    from freehold.storage.sink import Sink, Written

_Queued = tuple[RowKind, Record]
_IDLE_CHECK_S = 1.0
"""How often an idle thread looks whether its process is ending without a call of `close`."""
_FORSAKEN_S = 5.0
_YIELD_ROWS = 256
_YIELD_S = 50e-6
_LOOKS = 4
"""Looks at the queue while a batch comes together."""


class Tell(Protocol):
    """Takes an event for the log (`telemetry.Log.event`). Called from the writer's thread."""

    def __call__(self, event: str, /, *, level: Literal["info", "warning", "error"], **fields: str | int) -> None:
        """Log it."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """When the writer does what."""

    linger_s: float = 0.2
    """A batch is gathered this long at most..."""
    gathered_rows: int = 256
    """... or, after a quarter of that, until this many rows are there."""
    batch_rows: int = 2048
    """Rows in one transaction at most."""
    behind_rows: int = 50_000
    """From here on `is_behind`."""
    spill_rows: int = 100_000
    """From here on rows go to the journal, while the database fails."""
    first_retry_s: float = 0.05
    last_retry_s: float = 2.0
    warm_after_s: float = 1.0
    """The database driver is loaded this long after the start, or at the first `flush`: not while a server starts."""


class Tally(msgspec.Struct):
    """What the writer did since it started; for telemetry. Changed by its thread only."""

    rows: int = 0
    batches: int = 0
    doubled: int = 0
    """Rows offered that were there already: a defect, unless a journal was replayed."""
    mended: int = 0
    refused: int = 0
    failures: int = 0
    """Tries that the database failed."""
    spilled: int = 0
    replayed: int = 0


class Writer:
    """The queue and its thread. `start` it before use, `close` it at the end; `put` from any thread."""

    def __init__(
        self, url: str, *, now_ms: Callable[[], int], tell: Tell, bounds: Bounds | None = None, spill: Path | None = None
    ) -> None:
        """Write to the store at `url`, which `prepare` made usable.

        `spill` is the journal's file; None: beside the SQLite file, under its name and `.journal`.
        """
        path = sqlite_path(url)
        if spill is None:
            if path is None:
                raise StoreError("a writer to a database server needs a file to keep rows in while it is away: give `spill`")
            spill = path.with_name(path.name + ".journal")
        self.tally = Tally()
        self.now_ms = now_ms
        self._url, self._tell = url, tell
        self._spill, self._refusals = spill, spill.with_name(spill.name + ".refused")
        self._bounds = bounds or Bounds()
        self._queue: deque[_Queued | threading.Event] = deque()
        self._in_hand: list[_Queued] = []
        self._waiters: list[threading.Event] = []
        self._wake, self._hurry, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._yields_at = _YIELD_ROWS * 2
        self._is_idle = self._is_closed = self._is_failing = False
        self._may_have_journal = True
        self._gives_up_s = float("inf")
        self._late = threading.Lock()
        self._sink: Sink | None = None
        self._thread = threading.Thread(target=self._run, name="freehold-writer", daemon=False)

    def start(self) -> None:
        """Start the thread. The database driver loads a little later, off the way of the first reply."""
        self._thread.start()

    def put(self, kind: RowKind, record: Record) -> None:
        """Queue a record; it is written within `linger_s` or so. Never fails, never waits for the database."""
        queue = self._queue
        queue.append((kind, record))
        if self._is_idle:
            self._rouse()
        elif len(queue) >= self._yields_at:
            self._yield()

    @property
    def queued(self) -> int:
        """Records that are not written yet."""
        return len(self._queue) + len(self._in_hand)

    @property
    def is_behind(self) -> bool:
        """Whether so much is queued that new work should be turned away."""
        return len(self._queue) >= self._bounds.behind_rows

    @property
    def is_failing(self) -> bool:
        """Whether the database did not take the last batch that was offered."""
        return self._is_failing

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until all that was queued before this call is committed (or in the journal). False: it timed out."""
        if not self._thread.is_alive():
            return not self._queue
        done = threading.Event()
        self._queue.append(done)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write all that is queued and stop. What the database has not taken by then goes to the journal."""
        self._gives_up_s = monotonic() + timeout_s
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _rouse(self) -> None:
        if self._is_closed:
            self._save_late()
        else:
            self._is_idle = False
            self._wake.set()

    def _yield(self) -> None:
        """Let the writer's thread have the interpreter once.

        A busy event loop lets go of the interpreter lock often, and so briefly that a thread on another core never
        wakes in time to take it (and never waits long enough to ask for it): without this, the queue only grows.
        """
        self._yields_at = len(self._queue) + _YIELD_ROWS
        sleep(_YIELD_S)

    def _run(self) -> None:
        self._hurry.wait(self._bounds.warm_after_s)
        self._open()
        while self._has_rows():
            left = self._gather()
            while left > 0 and self._queue:
                left -= self._take()
                self._write_in_hand()
        if self._sink is not None:
            self._sink.close()
        self._is_closed = self._is_idle = True
        self._save_late()

    def _open(self) -> None:
        """Load the driver, make a fresh store's tables, and take in a journal that an earlier run left."""
        try:
            self._opened().open()
            self._replay()
        except Exception as error:  # noqa: BLE001 - the thread must outlive any defect; the first batch tries again
            self._failed(error)

    def _opened(self) -> "Sink":
        if self._sink is None:
            from freehold.storage.sink import Sink  # noqa: PLC0415 - SQLAlchemy loads here, in this thread, after the start

            self._sink = Sink(self._url, self.now_ms)
        return self._sink

    def _has_rows(self) -> bool:
        """Wait for rows. False: there are none, and there will be no more."""
        while not self._queue:
            self._notice_end()
            if self._closing.is_set():
                return False
            self._is_idle = True
            if not self._queue:
                self._wake.wait(_IDLE_CHECK_S)
            self._is_idle = False
            self._wake.clear()
        return True

    def _notice_end(self) -> None:
        """Close by ourselves where the process ends without a call of `close`: it waits for this thread."""
        if not threading.main_thread().is_alive() and not self._closing.is_set():
            self._gives_up_s = monotonic() + _FORSAKEN_S
            self._closing.set()

    def _gather(self) -> int:
        """Let a batch come together. Gives how many there are to write now: what comes meanwhile is the next batch's."""
        for _ in range(_LOOKS):
            if len(self._queue) >= self._bounds.batch_rows or self._closing.is_set():
                break
            if self._hurry.wait(self._bounds.linger_s / _LOOKS) or len(self._queue) >= self._bounds.gathered_rows:
                break
        self._hurry.clear()
        return len(self._queue)

    def _take(self) -> int:
        """Take the next batch in hand, up to a call of `flush` that waits for it. Gives how many were taken."""
        taken = 0
        for _ in range(min(len(self._queue), self._bounds.batch_rows)):
            queued = self._queue.popleft()
            taken += 1
            if isinstance(queued, threading.Event):
                self._waiters.append(queued)
                break
            self._in_hand.append(queued)
        self._yields_at = _YIELD_ROWS * 2
        return taken

    def _write_in_hand(self) -> None:
        """Write what is in hand, however often that takes; or spill it."""
        retry_s = self._bounds.first_retry_s
        while self._in_hand:
            try:
                self._settle(self._opened().write(self._in_hand))
                self._in_hand = []
                if self._may_have_journal:
                    self._replay()
            except StoreError as error:
                self._failed(error)
                self._notice_end()
                is_late = monotonic() >= self._gives_up_s
                if self._in_hand and (is_late or self.queued >= self._bounds.spill_rows):
                    self._spill_all(is_last=is_late)
                if self._in_hand:
                    self._pause(retry_s)
                    retry_s = min(retry_s * 2, self._bounds.last_retry_s)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any defect; the rows are set aside
                self._set_aside(self._in_hand, f"{type(error).__name__}: {error}")
                self._in_hand = []
        for waiter in self._waiters:
            waiter.set()
        self._waiters.clear()

    def _settle(self, written: "Written", *, is_replay: bool = False) -> None:
        """Count what was written and say what was odd about it."""
        tally = self.tally
        tally.rows += written.rows
        tally.batches += 1
        tally.mended += written.mended
        for refused in written.refused:
            self._set_aside([(refused.kind, refused.record)], refused.reason)
        if written.doubled and not is_replay:
            tally.doubled += written.doubled
            self._tell("ledger.doubled", level="error", rows=written.doubled, says="rows were offered twice and kept once")
        if self._is_failing:
            self._is_failing = False
            self._tell("store.recovered", level="warning", queued=self.queued)

    def _failed(self, error: Exception) -> None:
        """Count a failure; say so once, until it works again."""
        self.tally.failures += 1
        if not self._is_failing:
            self._is_failing = True
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__  # others may quote what they held
            self._tell("store.unavailable", level="error", reason=reason, says="rows are kept and tried again")

    def _pause(self, retry_s: float) -> None:
        """Wait before the next try; a call of `close` cuts it short once."""
        if self._closing.is_set():
            threading.Event().wait(min(retry_s, max(self._gives_up_s - monotonic(), 0.0)))
        else:
            self._closing.wait(retry_s)

    def _spill_all(self, *, is_last: bool) -> None:
        """Put all rows into the journal; keep them where even that fails, unless this is the end."""
        waiting = list(self._in_hand)
        while self._queue:
            queued = self._queue.popleft()
            if isinstance(queued, threading.Event):
                self._waiters.append(queued)
            else:
                waiting.append(queued)
        self._in_hand = [] if self._save(self._spill, waiting, "") or is_last else waiting

    def _save(self, path: Path, rows: Sequence[_Queued], reason: str) -> bool:
        """Append rows to a file beside the store; whether that worked."""
        try:
            journal.append(path, rows, reason)
        except OSError as error:
            self._tell("ledger.unsaved", level="error", rows=len(rows), path=str(path), reason=str(error))
            return False
        self._may_have_journal = self._may_have_journal or path == self._spill
        self.tally.spilled += len(rows) if path == self._spill else 0
        return True

    def _set_aside(self, rows: Sequence[_Queued], reason: str) -> None:
        """Keep rows that the database refuses where a person finds them."""
        self.tally.refused += len(rows)
        self._tell("ledger.refused", level="error", rows=len(rows), reason=reason, path=str(self._refusals))
        self._save(self._refusals, rows, reason)

    def _save_late(self) -> None:
        """Save what came after the end."""
        with self._late:
            rows: list[_Queued] = []
            while self._queue:
                queued = self._queue.popleft()
                if isinstance(queued, threading.Event):
                    queued.set()
                else:
                    rows.append(queued)
            if rows:
                self._save(self._spill, rows, "")

    def _replay(self) -> None:
        """Write what a journal holds and remove it. Raises StoreError; then the journal stays."""
        try:
            claim = journal.take(self._spill)
            if claim is None:
                self._may_have_journal = False
                return
            for at in range(0, len(claim.rows), self._bounds.batch_rows):
                self._settle(self._opened().write(claim.rows[at : at + self._bounds.batch_rows]), is_replay=True)
            claim.settle()
        except OSError as error:
            raise StoreError(f"{self._spill}: the journal cannot be read ({error})") from error
        self.tally.replayed += len(claim.rows)
        level: Literal["warning", "error"] = "error" if claim.unread else "warning"
        self._tell("ledger.replayed", level=level, rows=len(claim.rows), unread=claim.unread)
