"""Rates counted in this process: for a server of one process, and while a shared store is away.

Promised: `MOST_METERS` meters at most. A meter that is full again says nothing, so it is dropped; when all are in use,
further ones share one, which is stricter for those who share it and never looser.
"""

from collections.abc import Callable, Iterable, Sequence

from freehold.policy.gcra import Charge, Denied, Hold, Taken, look

MOST_METERS = 100_000
_FEWEST = 1024
_SWEEPS_EACH_US = 1_000_000
_OTHERS = "(all others)"


class MemoryRates:
    """Meters and places in two dicts. On one event loop. `now_us` is a monotonic clock in whole microseconds."""

    def __init__(self, now_us: Callable[[], int], most_meters: int = MOST_METERS) -> None:
        self._now_us = now_us
        self._most = most_meters
        self._full_at_us: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._sweep_at = min(_FEWEST, most_meters)
        self._swept_us = -_SWEEPS_EACH_US

    def __len__(self) -> int:
        return len(self._full_at_us) + len(self._held)

    async def take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:  # noqa: ARG002 - counts need no names
        """As `RateStore.take`."""
        now_us = self._now_us()
        if len(self._full_at_us) >= self._sweep_at:
            if now_us - self._swept_us >= _SWEEPS_EACH_US:
                self._sweep(now_us)
            if len(self._full_at_us) >= self._most:
                charges = [charge if charge.account in self._full_at_us else _shared(charge) for charge in charges]
        said = look(charges, holds, self._full_at_us, self._held, now_us)
        if isinstance(said, Taken):
            for charge, ahead_us in zip(charges, said.ahead_us, strict=True):
                self._full_at_us[charge.account] = now_us + ahead_us
            for hold, taken in zip(holds, said.held, strict=True):
                self._held[hold.account] = taken
        return said

    def settle(self, corrections: Iterable[tuple[str, int]], places: Iterable[str], holder: str) -> None:  # noqa: ARG002 - as above
        """As `RateStore.settle`."""
        for account, moved_us in corrections:
            now_us = self._now_us()
            full_at_us = max(self._full_at_us.get(account, 0), now_us) + moved_us
            if full_at_us > now_us and (account in self._full_at_us or len(self._full_at_us) < self._most):
                self._full_at_us[account] = full_at_us
            else:
                self._full_at_us.pop(account, None)
        for account in places:
            left = self._held.get(account, 0) - 1
            if left > 0:
                self._held[account] = left
            else:
                self._held.pop(account, None)

    async def close(self) -> None:
        """There is nothing to do."""

    def _sweep(self, now_us: int) -> None:
        """Drop what is full again: when the meters have doubled, and no more than once a second."""
        self._swept_us = now_us
        self._full_at_us = {account: at_us for account, at_us in self._full_at_us.items() if at_us > now_us}
        self._sweep_at = min(max(2 * len(self._full_at_us), _FEWEST), self._most)


def _shared(charge: Charge) -> Charge:
    """The meter of all that find no room, one for each rate and unit."""
    rate, unit, _ = charge.account.split("/", 2)
    return Charge(f"{rate}/{unit}/{_OTHERS}", charge.cost_us, charge.slack_us)
