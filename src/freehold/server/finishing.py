"""What processes leave without an end, because they were killed, gets one: at our start, and while we run.

Promised: every request of a process that is gone for certain has its final row soon after, whether that process was a worker
beside us, the server before us, or one on another machine; never a request that another process works on. What is written
late (a journal that comes back, reservations that are settled) is waited for, and nobody is held up. Not done: what was
queued in the memory of the one that was killed.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.fault import FaultError
from freehold.ledger.ids import MARK_BYTES, PREFIX, RANDOM_BYTES, mark_of, new_id
from freehold.limits.budgets import Budgets
from freehold.storage.entry import Entry
from freehold.storage.leftovers import is_any_waiting
from freehold.storage.owners import own_name
from freehold.storage.store import StoreError, sqlite_path
from freehold.storage.writer import Writer
from freehold.telemetry.log import Log

if TYPE_CHECKING:
    from freehold.storage.processes import Processes

AFTER_S = 1.0
"""When the writer has loaded its driver by itself, off the way of the first answers."""
LOOKS_EACH_S = 60.0
AGAIN_S = 2.0
FLUSHES_WITHIN_S = 60.0
UNKNOWN_MS = 600_000
"""A request whose process never entered (its version did not, or it lived for less than a second) is nobody's when it is so old."""


class Marked:
    """Random bytes for ids, the first of which tell this process from others."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._head = random_bytes(MARK_BYTES)
        self.mark = mark_of(new_id(PREFIX, 0, self.bytes(RANDOM_BYTES)))

    def bytes(self, count: int) -> bytes:
        """That many, at least `MARK_BYTES`."""
        return self._head + self._random_bytes(count - MARK_BYTES)


class Finishing:
    """Looks after what others left. `budgets`: None where there are none."""

    def __init__(
        self,
        writer: Writer,
        store: tuple[str, Path],
        mark: str,
        budgets: Callable[[], Budgets | None],
        log: Log,
        *,
        wall_ms: Callable[[], int],
        kept_open: Callable[[], frozenset[str]],
    ) -> None:
        """`store`: its URL, and the file beside which journals lie; `mark` is in all ids that this process gives; `kept_open`
        (it blocks): requests that somebody still works on, though who took them is gone: a vendor has them in a batch.
        """
        self._url, self._place = store
        self._writer, self._budgets, self._log, self._wall_ms = writer, budgets, log, wall_ms
        self._kept_open = kept_open
        self._entry = Entry(self._url, mark, own_name())
        self._processes: Processes | None = None
        self._task: asyncio.Task[None] | None = None
        self._started_ms = 0

    async def start(self) -> None:
        """Enter, and look around from then on. Raises StoreError."""
        self._started_ms = self._wall_ms()
        await asyncio.to_thread(self._entry.sign)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="finishing")

    async def stop(self) -> None:
        """Look no more. The entry stands until `leave`."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def leave(self) -> None:
        """All our rows are written. Blocks; where it cannot be said, others find out by themselves."""
        if self._task is not None:
            with contextlib.suppress(StoreError):
                self._entry.leave()

    async def _run(self) -> None:
        await asyncio.sleep(AFTER_S)
        is_first = True
        while True:
            try:
                is_done = await self._look(is_first=is_first)
            except (StoreError, FaultError) as error:
                self._log.event("ledger.unfinished", level="warning", reason=error, says="tried again later")
                is_done, wait_s = False, LOOKS_EACH_S
            except Exception as error:  # noqa: BLE001 - a defect here must be heard of, and must not end the server
                says = "a defect; requests of processes that were killed may lack their final rows"
                self._log.event("ledger.unfinished", level="error", reason=error, says=says)
                is_done, wait_s = False, LOOKS_EACH_S
            else:
                wait_s = LOOKS_EACH_S if is_done else AGAIN_S
            is_first = is_first and not is_done
            await asyncio.sleep(wait_s)

    async def _look(self, *, is_first: bool) -> bool:
        """Whether nothing is left to do for now."""
        gone = await asyncio.to_thread(self._who_is_gone)
        if not gone and not is_first:
            return True
        budgets = self._budgets()
        if budgets is not None:
            await budgets.recover()
        count = await asyncio.to_thread(self._finish, gone)
        if count:
            says = "requests of a process that was killed got their final rows"
            self._log.event("ledger.finished", level="warning", rows=count, says=says)
        return count is not None

    def _who_is_gone(self) -> frozenset[str]:
        """Give a sign of life, and look for others'. Blocks."""
        from freehold.storage.engine import open_engine  # noqa: PLC0415 - SQLAlchemy, which the writer has loaded by now
        from freehold.storage.processes import Processes  # noqa: PLC0415 - the same

        if not self._writer.flush(FLUSHES_WITHIN_S):  # a fresh store has its tables then, and what came back from a journal is in
            return frozenset()
        self._entry.sign()
        if self._processes is None:
            self._processes = Processes(self._entry, time.monotonic)
        engine = open_engine(self._url, read_only=True)
        try:
            return self._processes.standing(engine).gone
        finally:
            engine.dispose()

    def _finish(self, gone: frozenset[str]) -> int | None:
        """How many rows were written; None: not all can be, yet. Blocks."""
        from freehold.storage.engine import open_engine  # noqa: PLC0415 - SQLAlchemy, which the writer has loaded by now
        from freehold.storage.unfinished import finish_rows, left_open  # noqa: PLC0415 - the same

        assert self._processes is not None
        if not self._writer.flush(FLUSHES_WITHIN_S) or is_any_waiting(self._place):
            return None
        reading, engine = open_engine(self._url, read_only=True), open_engine(self._url)
        try:
            kept_open = self._kept_open()
            found = left_open(reading) - kept_open
            alive = self._processes.standing(reading).alive
            unknown_before = new_id(PREFIX, self._nobody_before_ms(alive), bytes(RANDOM_BYTES))
            count = finish_rows(
                engine,
                [one for one in found if mark_of(one) in gone or (mark_of(one) not in alive and one < unknown_before)],
            )
            if gone:
                self._processes.strike(engine, gone)
            return count
        finally:
            reading.dispose()
            engine.dispose()

    def _nobody_before_ms(self, alive: frozenset[str]) -> int:
        """Requests of processes that never entered are nobody's when they are older than this."""
        is_alone = sqlite_path(self._url) is not None and len(alive) == 1
        return self._started_ms if is_alone else self._wall_ms() - UNKNOWN_MS
