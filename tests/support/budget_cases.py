"""What every store of budgets is held to, whichever database keeps it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from freehold.record import AttemptRecord
from freehold.storage.reservations import Begun, Charge
from support import records

LEASE_S = 60.0
BEGUN = Begun(
    deployment="cloud/big",
    runtime="cloud",
    egress="vendor",
    sent_model="big-1",
    mode="translate",
    started_ms=1_760_000_000_000,
    nano_usd=40,
    input_tokens=3,
    output_tokens=7,
)
"""What is known of an attempt when its money is put aside."""


def paid(attempt_id: str, **changes: Any) -> AttemptRecord:
    """The row of an attempt, by its id."""
    request_id, _, number = attempt_id.rpartition(".")
    return records.attempt(request_id, int(number), **changes)


def charges(amount: int, *accounts: str, limit: int = 100) -> Sequence[Charge]:
    """The same amount on each account."""
    return tuple(Charge(account, limit, amount) for account in accounts or ("a",))


async def race(store: Any, *, requests: int, limit: int, amount: int, account: str = "a", tag: str = "r") -> list[str]:
    """So many ask at once; each that is admitted settles at what it reserved. Gives who was admitted."""

    async def one(number: int) -> str | None:
        attempt_id = f"{tag}_{number}.1"
        if await store.reserve(attempt_id, (Charge(account, limit, amount),), LEASE_S) is not None:
            return None
        await store.settle(attempt_id, {account: amount}, paid(attempt_id, cost_nano_usd=amount))
        return attempt_id

    return [one_id for one_id in await asyncio.gather(*(one(number) for number in range(requests))) if one_id]
