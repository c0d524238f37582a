"""Reservations written down, for attempts that outlive the process that reserved for them. Pure.

Promised: what is read back settles the same accounts by the same amounts. Which deployments a budget covers, and by what it
matches, is left out: the attempt it held is decided. Kept by who hands attempts on (batches that vendors work on for hours).
"""

import msgspec

from freehold.costs.bound import Bound
from freehold.limits.answer_lengths import Client
from freehold.limits.budgets import Asking, Held
from freehold.limits.charges import Item
from freehold.policy.budgets import Budget, BudgetLine, Unit
from freehold.policy.rules import Match


class _KeptItem(msgspec.Struct, frozen=True):
    budget: Budget
    nano_usd: int | None
    unit: Unit
    account: str
    limit: int
    resets_ms: int | None
    bound: Bound


class KeptHold(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation as it is written down."""

    attempt_id: str
    items: tuple[_KeptItem, ...]
    output_tokens: int
    choices: int
    client: Client
    reserved: dict[str, int]


def keep_hold(held: Held) -> KeptHold:
    """To be written down."""
    asking = held.asking
    items = [
        _KeptItem(
            msgspec.structs.replace(item.line.budget, when=Match()),
            *(item.line.nano_usd, item.unit, item.account, item.limit, item.resets_ms, item.bound),
        )
        for item in asking.items
    ]
    return KeptHold(
        attempt_id=asking.attempt_id,
        items=tuple(items),
        output_tokens=held.output_tokens,
        choices=asking.choices,
        client=asking.client,
        reserved=held.reserved,
    )


def restore_hold(kept: KeptHold) -> Held:
    """The reservation, to be settled or let go."""
    items = tuple(
        Item(
            BudgetLine(one.budget, (), frozenset(), one.nano_usd, None),
            *(one.unit, one.account, one.limit, one.resets_ms, one.bound),
        )
        for one in kept.items
    )
    asking = Asking(
        attempt_id=kept.attempt_id,
        items=items,
        output_tokens=kept.output_tokens,
        lowest=kept.output_tokens,
        until_s=0.0,
        client=kept.client,
        choices=kept.choices,
    )
    return Held(asking=asking, output_tokens=kept.output_tokens, reserved=kept.reserved)
