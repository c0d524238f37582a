"""Budgets in an SQL database: one thread that makes many reservations and settlements durable with one commit.

Promised: what `BudgetStore` promises. A call returns after the commit that it was part of is on the disk; what comes while
one commit is under way shares the next. A commit whose end is not known is tried again on a new connection, which is safe
because every step may be repeated; a reservation whose caller was told that it failed is let go as soon as the database is
back. What processes that died left is settled when the store is opened, and every few seconds while it is used. Not done
here: SQL (`budget_steps`), how a database is opened (`sqlite_budgets`, `postgres_budgets`).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol, TypeVar, cast

import msgspec

from freehold.record import AttemptRecord
from freehold.storage.budget_steps import MOST_RECOVERED, Steps
from freehold.storage.lapsed import lapsed_attempt
from freehold.storage.owners import is_dead
from freehold.storage.reservations import Balance, Begun, Charge, Short
from freehold.storage.store import StoreUnavailableError

MOST_TOGETHER = 256
"""Steps in one commit at most."""
RECOVERS_EACH_S = 5.0
LOOKS_FOR_DEAD_EACH_S = 30.0
_Done = TypeVar("_Done")
_Step = Callable[[Steps], object]


class Link(Protocol):
    """One connection and its steps. For one thread only; `failures` are what it raises when the database is away."""

    @property
    def steps(self) -> Steps:
        """The steps on this connection."""

    def begin(self) -> None:
        """Begin a transaction that may write; other writers wait from here on."""

    def commit(self) -> None:
        """Make it durable."""

    def rollback(self) -> None:
        """Undo it."""

    def close(self) -> None:
        """Let go of the connection. Never raises."""


class _Asked(msgspec.Struct, eq=False):
    """A step that somebody waits for."""

    step: _Step
    attempt_id: str
    """Reserved by the step; empty: it reserves nothing."""
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[object]"
    said: object = None
    error: Exception | None = None


class SqlBudgets:
    """A `BudgetStore`. `open_link` is called in the thread; `failures` are what it and links raise while the database is away."""

    def __init__(self, open_link: Callable[[], Link], failures: tuple[type[Exception], ...], where: str) -> None:
        self._open_link, self._failures, self._where = open_link, failures, where
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._link: Link | None = None
        self._unsure: list[str] = []
        """Attempts whose reservation may stand though their callers were told that it failed."""
        self._recovered_s = self._looked_s = float("-inf")
        self._thread: threading.Thread | None = None

    async def open(self) -> "SqlBudgets":
        """Settle what dead processes left. Raises StoreUnavailableError while the database is away."""
        await self._ask(lambda steps: steps.balances(()))
        return self

    async def close(self) -> None:
        """Finish what was asked for, and let go of the connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    async def reserve(
        self, attempt_id: str, charges: Sequence[Charge], lease_s: float, begun: Begun | None = None
    ) -> Short | None:
        """As `BudgetStore.reserve`."""
        return await self._ask(partial(_reserve, attempt_id, charges, lease_s, begun), attempt_id)

    async def settle(self, attempt_id: str, amounts: Mapping[str, int], record: AttemptRecord) -> None:
        """As `BudgetStore.settle`."""
        await self._ask(lambda steps: steps.settle(attempt_id, amounts, record))

    async def void(self, attempt_id: str, record: AttemptRecord | None) -> None:
        """As `BudgetStore.void`."""
        await self._ask(lambda steps: steps.void(attempt_id, record))

    async def renew(self, attempt_ids: Sequence[str], lease_s: float) -> None:
        """As `BudgetStore.renew`."""
        await self._ask(lambda steps: steps.renew(attempt_ids, lease_s))

    async def recover(self) -> None:
        """As `BudgetStore.recover`."""
        while await self._ask(lambda steps: steps.recover(is_dead)) >= MOST_RECOVERED:
            pass

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """As `BudgetStore.balances`."""
        return await self._ask(lambda steps: steps.balances(accounts))

    async def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        """As `BudgetStore.standings`."""
        return await self._ask(lambda steps: steps.standings(prefixes))

    async def keep(self, record: AttemptRecord, amounts: Mapping[str, int]) -> None:
        """Write an attempt's row, durably and once, where the money itself is kept elsewhere."""
        await self._ask(lambda steps: steps.write(record, amounts))

    async def flag(self, attempt_id: str, flag: str, account: str, reserved: int, spent: int, begun: Begun | None = None) -> None:
        """Note, durably, what did not go as reserved; with `begun`, write the row of the attempt that lapsed."""
        await self._ask(partial(_flag, attempt_id, flag, account, (reserved, spent), begun))

    async def fact(self, name: str, *, first: str | None = None) -> str | None:
        """A fact about the store, kept for good; where there is none yet, `first` becomes it."""
        return await self._ask(lambda steps: steps.fact(name, first))

    async def ask(self, step: Callable[[Steps], _Done]) -> _Done:
        """Do a step of others who keep something beside the money; it may be repeated. What it raises is raised here."""
        return await self._ask(step)

    async def _ask(self, step: Callable[[Steps], _Done], attempt_id: str = "") -> _Done:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="freehold-budgets", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        asked = _Asked(step, attempt_id, loop, loop.create_future())
        self._queue.put(asked)
        return cast("_Done", await asked.done)

    # In the thread.

    def _run(self) -> None:
        is_ending = False
        while not is_ending:
            batch, is_ending = self._take()
            if not batch:
                continue
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of a defect, and the thread outlive it
                self._let_go()
                for asked in batch:
                    asked.error = error
            _answer(batch)
        self._let_go()

    def _take(self) -> tuple[list[_Asked], bool]:
        """What is asked for now; whether it is the last of it."""
        batch: list[_Asked] = []
        try:
            asked = self._queue.get()
            while asked is not None:
                batch.append(asked)
                if len(batch) == MOST_TOGETHER:
                    return batch, False
                asked = self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _write(self, batch: Sequence[_Asked]) -> None:
        """Do all of it with one commit; on a new connection, once more, where that failed."""
        is_again = self._link is None
        while True:
            try:
                self._commit(batch)
            except self._failures as error:
                self._let_go()
                if is_again:
                    self._unsure += [asked.attempt_id for asked in batch if asked.attempt_id]
                    for asked in batch:
                        asked.error = StoreUnavailableError(f"{self._where}: {type(error).__name__}: {error}")
                    return
                is_again = True
            else:
                return

    def _commit(self, batch: Sequence[_Asked]) -> None:
        if self._link is None:
            self._link = self._open_link()
            self._looked_s = float("-inf")
        link = self._link
        link.begin()
        try:
            again = {asked.attempt_id for asked in batch}
            for attempt_id in self._unsure:
                if attempt_id not in again:
                    link.steps.void(attempt_id, None)
            self._recover(link.steps)
            for asked in batch:
                self._do(link.steps, asked)
        except BaseException:
            link.rollback()
            raise
        link.commit()
        self._unsure.clear()

    def _do(self, steps: Steps, asked: _Asked) -> None:
        """One step, wholly or not at all; one that is at fault does not undo the others."""
        asked.said, asked.error = None, None
        steps.run("SAVEPOINT step")
        try:
            asked.said = asked.step(steps)
        except Exception as error:
            if isinstance(error, self._failures) and not steps.is_refusal(error):
                raise
            asked.error = error  # a defect of one step is told to who asked for it
        if asked.error is not None or isinstance(asked.said, Short):
            steps.run("ROLLBACK TO SAVEPOINT step")
            if isinstance(asked.said, Short):
                charge = asked.said.charge
                asked.said = Short(charge, steps.balances((charge.account,))[charge.account])
        steps.run("RELEASE SAVEPOINT step")

    def _recover(self, steps: Steps) -> None:
        now_s = monotonic()
        if now_s - self._recovered_s < RECOVERS_EACH_S and now_s - self._looked_s < LOOKS_FOR_DEAD_EACH_S:
            return
        looks = now_s - self._looked_s >= LOOKS_FOR_DEAD_EACH_S
        steps.recover(is_dead if looks else None)
        self._recovered_s = now_s
        if looks:
            self._looked_s = now_s

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


def _reserve(attempt_id: str, charges: Sequence[Charge], lease_s: float, begun: Begun | None, steps: Steps) -> Short | None:
    return steps.reserve(attempt_id, charges, lease_s, begun)


def _flag(attempt_id: str, flag: str, account: str, amounts: tuple[int, int], begun: Begun | None, steps: Steps) -> None:
    is_news = steps.flag(attempt_id, flag, account, *amounts)
    if begun is not None and is_news:
        steps.write(lapsed_attempt(attempt_id, begun), {})
    elif flag == "lapsed" and amounts[1] == 0:
        steps.forget_lapsed(attempt_id)


def _answer(batch: Sequence[_Asked]) -> None:
    """Tell every loop at once what became of what it asked."""
    loops: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
    for asked in batch:
        loops.setdefault(asked.loop, []).append(asked)
    for loop, ours in loops.items():
        with contextlib.suppress(RuntimeError):  # that loop has ended, and nobody waits on it
            loop.call_soon_threadsafe(_resolve, ours)


def _resolve(batch: Sequence[_Asked]) -> None:
    for asked in batch:
        if asked.done.done():
            continue
        if asked.error is not None:
            asked.done.set_exception(asked.error)
        else:
            asked.done.set_result(asked.said)
