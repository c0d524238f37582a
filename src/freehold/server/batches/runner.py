"""Works through batches: line after line, a few at a time, behind everybody who waits for an answer.

Promised: a line begins only while no other call is under way on any runtime of ours that its model may mean; a line
that cannot be served *now* is tried again until the batch expires; every line of a batch that ends completed has
exactly one result, across restarts and kills; one process works at a time (a lock on the folder). Batches take turns
line by line, so a long one does not hold up a short one. Not done: taking back a line that has begun.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable

import msgspec

from freehold.dispatch.in_flight import InFlight
from freehold.fault import FaultError
from freehold.policy.snapshot import Policy
from freehold.runtime import Egress
from freehold.server.batches.desk import Desk
from freehold.server.batches.lines import LineServer, Result, line_headers
from freehold.server.batches.relaying import Relaying
from freehold.server.batches.work import Work
from freehold.storage.batch_rows import BatchRow
from freehold.telemetry.log import Log
from freehold.wire.batches import BatchLine, LineError, Status

LINES_AT_ONCE = 2
"""Over all batches. An engine on this machine has a few places; the others are for who waits."""
LOOKS_EACH_S = 5.0
"""For batches that came by another process, or whose process died."""
NOT_NOW = frozenset({429, 503})
"""A line that ends so is tried again until the batch expires."""
WENT_WRONG = frozenset({500, 502, 504})
MOST_TRIES = 3
"""Of a line whose runtime goes wrong."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
BACK_OFF_S = 10.0
"""After trouble with files or rows."""


class _Named(msgspec.Struct, frozen=True):
    model: str = ""


_NAMED = msgspec.json.Decoder(_Named)


class Runner:
    """One per process; `run` until cancelled."""

    def __init__(
        self,
        desk: Desk,
        lines: LineServer,
        in_flight: InFlight,
        relaying: Relaying,
        *,
        policy: Callable[[], Policy],
        is_stopping: Callable[[], bool],
        log: Log,
        lines_at_once: int = LINES_AT_ONCE,
    ) -> None:
        self._desk = desk
        self._lines = lines
        self._in_flight = in_flight
        self._relaying = relaying
        self._policy = policy
        self._is_stopping = is_stopping
        self._log = log
        self._lines_at_once = lines_at_once
        self._turns = asyncio.Semaphore(lines_at_once)
        self._active: set[str] = set()
        self._lock = -1
        self._task: asyncio.Task[None] | None = None
        self._ends = False
        self._has_swept = False

    def start(self) -> None:
        """Begin in the background, inside a running loop."""
        self._ends = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="batches")

    async def stop(self) -> None:
        """End; a line under way is given up and asked again after the next start."""
        self._ends = True  # a line's endpoint takes a cancellation for its own end, so the loops around it must be told
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self._desk.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except (FaultError, OSError) as error:
                    self._log.event("batches.unreadable", level="warning", reason=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOKS_EACH_S):
                        await self._desk.work_came.wait()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """Take up what nobody works on yet."""
        self._desk.work_came.clear()
        if self._stands_still() or not self._desk.shelf.is_used or not self._holds_lock():
            return
        if not self._has_swept:
            self._has_swept = True
            swept = await self._desk.sweep()
            if swept:
                self._log.event("batches.swept", files=swept)
        for row in await self._desk.ask(lambda store: store.unfinished()):
            if row.batch_id not in self._active:
                self._active.add(row.batch_id)
                group.create_task(self._care_for(row), name=f"batch {row.batch_id}")

    def _stands_still(self) -> bool:
        return self._ends or self._is_stopping()

    def _holds_lock(self) -> bool:
        """Whether this process is the one that works. The lock goes with the process, however it ends."""
        if self._lock >= 0:
            return True
        descriptor = os.open(self._desk.shelf.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    async def _care_for(self, row: BatchRow) -> None:
        """Work on a batch; trouble of one is none of the others'."""
        work = Work(self._desk, row)
        try:
            await self._work_on(work)
        except* (FaultError, OSError) as group:
            self._log.event("batch.waits", level="warning", batch=row.batch_id, reason=group.exceptions[0])
            await asyncio.sleep(BACK_OFF_S)
        except* Exception as group:  # noqa: BLE001 - a defect must not end the other batches
            self._log.defect("batch.defect", group, batch=row.batch_id)
            await asyncio.sleep(LONGEST_WAIT_S)
        finally:
            work.close()
            self._active.discard(row.batch_id)

    async def _work_on(self, work: Work) -> None:
        if not await work.validate():
            if work.state.status == "cancelling":
                await work.end("cancelled")
            return
        await work.open()
        handed_on = await self._relaying.take_up(work)
        async with asyncio.TaskGroup() as group:
            for one in handed_on:
                group.create_task(self._relaying.follow(work, one), name=one.id)
            self._begin_lines(group, work)
        if handed_on:  # what vendors left without an answer is asked line by line
            await work.rewind()
            async with asyncio.TaskGroup() as group:
                self._begin_lines(group, work)
        await work.goes_on()
        if self._stands_still():
            return
        status = self._ending(work, is_done=not await work.has_lines())
        if status is not None:
            await work.end(status)
            self._log.event("batch.ended", batch=work.row.batch_id, status=status)

    def _begin_lines(self, group: asyncio.TaskGroup, work: Work) -> None:
        for _ in range(self._lines_at_once):
            group.create_task(self._take_lines(work))

    def _ending(self, work: Work, *, is_done: bool) -> Status | None:
        """How the batch ends; None: it does not yet."""
        if work.state.status == "cancelling":
            return "cancelled"
        if work.state.expired_ms is not None:  # it was being ended when the server went
            return "expired"
        if is_done:
            return "completed"
        if work.is_over_limit:
            work.problem = LineError("results_too_large", "the results take more room than one batch may have")
            return "failed"
        return "expired" if work.is_late else None

    async def _take_lines(self, work: Work) -> None:
        while await work.goes_on() and not self._stands_still():
            line = await work.next_line()
            if line is None:
                return
            result = await self._served(work, line)
            if result is None:
                return
            await work.add(line, result)

    async def _served(self, work: Work, line: BatchLine) -> Result | None:
        """The line's answer; None where the batch, or this server, ends first."""
        tries, wait_s = 0, FIRST_WAIT_S
        while await work.goes_on() and not self._stands_still():
            if not await self._is_quiet(line):
                continue
            async with self._turns:
                if any(map(self._in_flight.on, self._runtimes(line))):
                    continue  # somebody came while this line waited for its turn
                row = work.row
                result = await self._lines.serve(row.endpoint, line.body, row.caller, line_headers(row))
            tries += 1
            if self._stands_still():
                return None
            if result.status not in NOT_NOW and not (result.status in WENT_WRONG and tries < MOST_TRIES):
                return result
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return None

    async def _is_quiet(self, line: BatchLine) -> bool:
        """Wait until nobody waits for those runtimes. False: look first whether the batch still goes on."""
        try:
            async with asyncio.timeout(LOOKS_EACH_S):
                await self._in_flight.quiet(self._runtimes(line))
        except TimeoutError:
            return False
        return True

    def _runtimes(self, line: BatchLine) -> tuple[str, ...]:
        """The runtimes of ours that the line's model may mean; a vendor has room for everybody."""
        try:
            model = _NAMED.decode(line.body).model
        except msgspec.DecodeError:
            return ()
        meant = self._policy().resolve(model) or ()
        return tuple({one.runtime.name for one in meant if one.egress is not Egress.VENDOR})
