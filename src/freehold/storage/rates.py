"""What a store of rates does, whoever keeps it: this process, the workers of one machine, or Redis for many machines.

Promised of every store: `take` is one atomic step over all meters and places, on the store's own clock; a place whose
holder died comes back within `LEASE_S`; a meter that is full again takes no room. Not promised: that counts outlive the
store. Not done here: which rates a request is held to (`policy.rates`), and what happens when the store is away (`limits`).
"""

from collections.abc import Sequence
from typing import Protocol

from freehold.policy.gcra import Charge, Denied, Hold, Taken

LEASE_S = 60.0
"""How long a place stays taken after its holder was last heard of. Holders renew three times as often."""


class RatesAwayError(Exception):
    """The store cannot be reached now."""


class RateStore(Protocol):
    """Keeps meters and places."""

    async def take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:
        """Take all or nothing. `holder` is unique; it names who has the places. Raises RatesAwayError."""

    def settle(self, corrections: Sequence[tuple[str, int]], places: Sequence[str], holder: str) -> None:
        """Move meters by so many microseconds, and give places back. Never raises and never waits: it is after-work."""

    async def close(self) -> None:
        """Finish what `settle` left to do, and let go of everything held."""
