"""Alerts: that a share of a budget is spent is told once, whoever spends it, and however often the server starts.

Promised: balances are read apart from any request, at most every `GATHERED_S`; each threshold is told once per window (the
marker outlives this process); an alert that cannot be sent is tried again a few times and is in the log in any case. No
prompt and no secret is in one. Not done: how it is sent (the composition root hands that in).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from freehold.limits.charges import Item
from freehold.limits.over_budget import moment, shown
from freehold.storage.reservations import Balance, BudgetStore
from freehold.storage.store import StoreError

GATHERED_S = 0.5
"""What is spent in this time is looked at together."""
RETRIES_S = (1.0, 5.0, 30.0)
CLOSES_WITHIN_S = 3.0
MOST_TOLD = 4096


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What is told. `spent` and `limit` are USD or tokens."""

    event: str = "budget_threshold"
    budget: str
    account: str
    whose: str
    """The key, user, team, dataset, project or model; empty for a budget of all."""
    unit: str
    share: float
    spent: float | int
    limit: float | int
    resets_at: str | None


class Alerts:
    """Told of what is spent; tells when a threshold is passed."""

    def __init__(
        self,
        tell: Callable[..., None],
        mark: Callable[[str], bool],
        send: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        """`mark(name)` says whether this is the first time, ever (called in a thread); `send(json)` whether it arrived."""
        self._tell, self._mark, self._send = tell, mark, send
        self._dirty: dict[str, Item] = {}
        self._told: dict[str, float] = {}
        """By account: the highest share that was told, or found to have been."""
        self._store: BudgetStore | None = None
        self._task: asyncio.Task[None] | None = None

    def spent(self, items: Iterable[Item], store: BudgetStore) -> None:
        """Something was spent on these."""
        for item in items:
            alerts = item.line.budget.alerts
            if alerts and self._told.get(item.account, 0.0) < max(alerts):
                self._dirty[item.account] = item
        self._store = store
        if self._dirty and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look())
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell("budget.alert_failed", level="error", error=type(error).__name__)

    async def _look(self) -> None:
        while self._dirty:
            await asyncio.sleep(GATHERED_S)
            await self._look_once()

    async def _look_once(self, retries_s: tuple[float, ...] | None = None) -> None:
        dirty, self._dirty = self._dirty, {}
        assert self._store is not None
        try:
            balances = await self._store.balances(tuple(dirty))
        except StoreError:
            return  # whatever is spent next looks again
        bodies = [body for account, item in dirty.items() for body in await self._judge(item, balances.get(account, Balance()))]
        for wait_s in (0.0, *(RETRIES_S if retries_s is None else retries_s)):
            if bodies:
                await asyncio.sleep(wait_s)
                bodies = [body for body in bodies if not await self._send(body)]

    async def _judge(self, item: Item, balance: Balance) -> list[bytes]:
        """The alerts that are due, told to the log already."""
        told = self._told.get(item.account, 0.0)
        passed = sorted(share for share in item.line.budget.alerts if share > told and balance.spent >= share * item.limit)
        if len(self._told) >= MOST_TOLD:
            self._told.clear()  # the markers know
        due: list[bytes] = []
        for share in passed:
            self._told[item.account] = share
            if await asyncio.to_thread(self._mark, f"{item.account} {share:g}"):
                due.append(self._say(item, balance, share))
        return due

    def _say(self, item: Item, balance: Balance, share: float) -> bytes:
        alert = Alert(
            budget=item.line.name,
            account=item.account,
            whose=item.account.split("/", 4)[4],
            unit=item.unit,
            share=share,
            spent=shown(balance.spent, item.unit),
            limit=shown(item.limit, item.unit),
            resets_at=None if item.resets_ms is None else moment(item.resets_ms),
        )
        facts = {name: value for name, value in msgspec.structs.asdict(alert).items() if name != "event"}
        self._tell("budget.threshold", level="warning", **facts)
        return msgspec.json.encode(alert)

    async def close(self) -> None:
        """Look once more at what was spent last, for no longer than a moment."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSES_WITHIN_S)
        if self._dirty:
            await asyncio.wait([asyncio.get_running_loop().create_task(self._look_once(()))], timeout=CLOSES_WITHIN_S)
