"""What this process knows of accounts that were short, so that plans can pass over what a budget does not pay for.

Promised: it never says that a budget is over which has room; an account that is short and not known here is found out when
it is reserved from. No waiting, and nothing of it is kept.
"""

from collections.abc import Callable, Sequence

import msgspec

from freehold.costs.bound import Most
from freehold.features import Features
from freehold.limits.charges import Item, Spans, items_of
from freehold.limits.over_budget import amount, resets, unknown_prices
from freehold.policy.budgets import BudgetLine, BudgetTable
from freehold.routing.situation import OverBudget
from freehold.storage.reservations import Short

LOWEST_ANSWER_TOKENS = 256
"""An answer is not shortened below this: a client would make nothing of it."""
MOST_KNOWN = 4096
_NOTHING: dict[str, OverBudget] = {}


class _Shortage(msgspec.Struct):
    """How an account stood when it was last short. Only what is spent counts: that does not come back."""

    spent: int
    resets_ms: int | None


class Shortages:
    """One per process."""

    def __init__(self, wall_ms: Callable[[], int], spans: Spans) -> None:
        """`wall_ms`: Unix milliseconds."""
        self._wall_ms, self._spans = wall_ms, spans
        self._known: dict[str, _Shortage] = {}
        self._unknown: tuple[BudgetTable | None, int, dict[str, dict[str, OverBudget]]] = (None, 0, {})

    def over(self, table: BudgetTable, lines: Sequence[BudgetLine], features: Features) -> dict[str, OverBudget]:
        """By deployment: what a budget is known not to pay for, even were the answer short. Not to be written to."""
        unknown = self._unknown_prices(table)
        if not unknown and not self._known:
            return _NOTHING
        found: dict[str, OverBudget] = {}
        for line in lines if unknown else ():
            found.update(unknown.get(line.name, _NOTHING))
        if self._known:
            self._add_spent(found, table, lines, features)
        return found

    def _unknown_prices(self, table: BudgetTable) -> dict[str, dict[str, OverBudget]]:
        """By budget: the deployments that it keeps out because their price is not known, today."""
        day = self._wall_ms() // 86_400_000
        if self._unknown[0] is not table or self._unknown[1] != day:
            self._unknown = (table, day, unknown_prices(table, self._wall_ms()))
        return self._unknown[2]

    def _add_spent(
        self, found: dict[str, OverBudget], table: BudgetTable, lines: Sequence[BudgetLine], features: Features
    ) -> None:
        lowest = min(features.max_tokens or LOWEST_ANSWER_TOKENS, LOWEST_ANSWER_TOKENS)
        is_chat = features.operation in {"chat", "completion"}
        images = features.choices if features.operation == "image_generation" else 0
        most = Most(
            input_tokens=features.prompt_tokens if features.prompt_tokens_exact else 0, choices=features.choices, images=images
        )
        at_ms = self._wall_ms()
        for placed in table.placed:
            if placed.id in found:
                continue
            items = items_of(lines, placed, features.caller, most, at_ms, self._spans)
            for item in items if isinstance(items, tuple) else ():
                left = self.left(item)
                if left is not None and left < item.bound.cost_of(lowest if is_chat else 0) + (left <= 0):
                    budget = item.line.budget
                    said = f"{amount(max(left, 0), item.unit)} of {amount(item.limit, item.unit)} are left"
                    why = f"budget '{budget.name}' does not pay for it: {said}; {resets(item.resets_ms)}"
                    found[placed.id] = OverBudget(budget.name, why, item.resets_ms, refuses=budget.over == "refuse")
                    break

    def left(self, item: Item) -> int | None:
        """What is left of an account that is known to be short; None: it is not known to be."""
        shortage = self._known.get(item.account)
        return None if shortage is None else item.limit - shortage.spent

    def note(self, item: Item, short: Short) -> None:
        """The item's account was short."""
        if len(self._known) >= MOST_KNOWN:
            now_ms = self._wall_ms()
            for old in [name for name, one in self._known.items() if one.resets_ms is not None and one.resets_ms <= now_ms]:
                del self._known[old]
        if len(self._known) < MOST_KNOWN or item.account in self._known:
            self._known[item.account] = _Shortage(short.balance.spent, item.resets_ms)

    def add(self, account: str, spent: int) -> None:
        """So much was charged to an account."""
        shortage = self._known.get(account)
        if shortage is not None:
            shortage.spent += spent
