"""A store of budgets in memory, for what is decided above any database. It keeps the promises of `BudgetStore` in one process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from freehold.record import AttemptRecord
from freehold.storage.reservations import Balance, Begun, Charge, Short
from freehold.storage.store import StoreUnavailableError


class MemoryStore:
    """`log` has every call in order; `gate` set to an Event holds `reserve` back until it is set."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self.held: dict[str, dict[str, int]] = {}
        self.begun: dict[str, Begun | None] = {}
        """By attempt that was ever reserved for."""
        self.records: dict[str, AttemptRecord] = {}
        self.log: list[tuple[str, str]] = []
        self.renewed: list[tuple[str, ...]] = []
        self.most: dict[str, int] = {}
        """The most that spent + reserved ever was, by account."""
        self.is_away = False
        self.gate: asyncio.Event | None = None

    async def open(self) -> "MemoryStore":
        return self

    def balance(self, account: str) -> Balance:
        return Balance(self.spent.get(account, 0), sum(held.get(account, 0) for held in self.held.values()))

    async def reserve(
        self, attempt_id: str, charges: Sequence[Charge], _lease_s: float, begun: Begun | None = None
    ) -> Short | None:
        await self._reach()
        if self.gate is not None:
            await self.gate.wait()
        self.log.append(("reserve", attempt_id))
        assert attempt_id not in self.held
        for charge in charges:
            balance = self.balance(charge.account)
            if balance.spent + balance.reserved + charge.amount > charge.limit:
                return Short(charge, balance)
        self.begun[attempt_id] = begun
        self.held[attempt_id] = {charge.account: charge.amount for charge in charges}
        for charge in charges:
            balance = self.balance(charge.account)
            self.most[charge.account] = max(self.most.get(charge.account, 0), balance.spent + balance.reserved)
        return None

    async def settle(self, attempt_id: str, amounts: Mapping[str, int], record: AttemptRecord) -> None:
        await self._reach()
        self.log.append(("settle", attempt_id))
        if self.held.pop(attempt_id, None) is not None:
            self.records[attempt_id] = record
            for account, amount in amounts.items():
                self.spent[account] = self.spent.get(account, 0) + amount

    async def void(self, attempt_id: str, record: AttemptRecord | None) -> None:
        await self._reach()
        self.log.append(("void", attempt_id))
        if self.held.pop(attempt_id, None) is not None and record is not None:
            self.records[attempt_id] = record

    async def renew(self, attempt_ids: Sequence[str], _lease_s: float) -> None:
        await self._reach()
        self.renewed.append(tuple(attempt_ids))

    async def recover(self) -> None:
        await self._reach()

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        await self._reach()
        return {account: self.balance(account) for account in accounts}

    async def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        await self._reach()
        return {one: self.balance(one) for one in self.spent if one.startswith(tuple(prefixes))}

    async def close(self) -> None:
        self.log.append(("close", ""))

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailableError("the test has taken it away")


def tells() -> tuple[Callable[..., None], list[tuple[str, dict[str, object]]]]:
    """A log, and what it was told."""
    told: list[tuple[str, dict[str, object]]] = []
    return lambda event, **facts: told.append((event, facts)), told
