"""How budgets stand, as people and programs read it: the accounts of the present windows, with what is left and until when. Pure.

Promised: the command line and `GET /admin/budgets` say the same, since both are made here. A budget that nobody has used yet in
this window has one line with nothing spent. Not done: reading accounts (`ledger.standings`, `BudgetStore.standings`).
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from freehold.limits.over_budget import moment, shown
from freehold.policy.budgets import NANO_USD_PER_USD, Budget, Per, Span, Unit, Window, span_at
from freehold.storage.reservations import Balance


class AccountStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One account: amounts are USD or tokens, as `unit` says."""

    budget: str
    per: Per
    whose: str | None
    """The key, user, team, dataset, project or model whose account it is; None: of all, or of those that name none."""
    window: Window
    unit: Unit
    limit: float
    spent: float
    reserved: float
    """What requests under way may still cost."""
    left: float
    resets_at: str | None
    """When it is whole again, in UTC; None: it is not filled up by itself."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One account, in its store's own units: nano-USD or tokens."""

    budget: Budget
    whose: str
    unit: Unit
    limit: int
    balance: Balance
    resets_ms: int | None

    @property
    def left(self) -> int:
        """What may still be reserved; below zero after an overrun."""
        return self.limit - self.balance.spent - self.balance.reserved

    def told(self) -> AccountStanding:
        """As it is shown."""
        spent, reserved = self.balance.spent, self.balance.reserved
        return AccountStanding(
            budget=self.budget.name,
            per=self.budget.per,
            whose=self.whose or None,
            window=self.budget.window,
            unit=self.unit,
            limit=shown(self.limit, self.unit),
            spent=shown(spent, self.unit),
            reserved=shown(reserved, self.unit),
            left=shown(self.left, self.unit),
            resets_at=None if self.resets_ms is None else moment(self.resets_ms),
        )


def prefixes_of(budgets: Iterable[Budget], now_ms: int) -> list[str]:
    """How the accounts of these budgets begin, in the windows of this moment."""
    return [prefix for _, _, _, _, prefix in _limits(budgets, now_ms)]


def lines_of(budgets: Iterable[Budget], found: Mapping[str, Balance], now_ms: int) -> list[Line]:
    """The accounts found, by name, each with the budget it is of; in the order of the budgets."""
    lines: list[Line] = []
    for budget, unit, limit, span, prefix in _limits(budgets, now_ms):
        ours = {name: balance for name, balance in found.items() if name.startswith(prefix)} or {prefix: Balance()}
        lines += [
            Line(
                budget=budget,
                whose=name.removeprefix(prefix),
                unit=unit,
                limit=limit,
                balance=balance,
                resets_ms=span.resets_ms,
            )
            for name, balance in sorted(ours.items())
        ]
    return lines


def _limits(budgets: Iterable[Budget], now_ms: int) -> Iterator[tuple[Budget, Unit, int, Span, str]]:
    for budget in budgets:
        span = span_at(budget.window, now_ms)
        start = f"{budget.name}/{budget.window}/{span.name}"
        if budget.usd is not None:
            yield budget, "usd", round(budget.usd * NANO_USD_PER_USD), span, f"{start}/usd/"
        if budget.tokens is not None:
            yield budget, "tokens", budget.tokens, span, f"{start}/tokens/"
