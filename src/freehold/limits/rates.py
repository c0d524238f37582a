"""Rates: how fast requests and tokens may come, and how many requests may be under way.

A request is held to the rates of who asks before anything is done for it; each of its attempts to those of the runtime and
deployment it goes to. Tokens are charged at an estimate before, and corrected by what was used after: what was used beyond
the estimate is owed, and the next requests wait for it.

Promised: all meters of a request are charged or none; what was taken is settled exactly once. While a shared store is away
each process holds the rates by itself and says so once. Not done: queueing (refused work is told when to come back).
"""

from collections.abc import Callable, Sequence

import msgspec

from freehold.fault import Fault, FaultError, Kind
from freehold.features import Features
from freehold.limits.rate_memory import MemoryRates
from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.policy.rates import RateLine, RateUnit
from freehold.runtime import Placed
from freehold.storage.rates import RatesAwayError, RateStore

EXPECTED_ANSWER_TOKENS = 1000
"""What an answer is estimated at, where the client allows as much: clients allow far more than models say."""
ANSWERS_WITH_TOKENS = frozenset({"chat", "completion"})
RETRY_PLACE_AFTER_S = 1.0
"""Told to clients when all places are taken: one comes free at any moment."""
TELLS_EACH_S = 60.0
"""That the store is away."""


class Standing(msgspec.Struct, frozen=True):
    """How the tightest rate of one unit stands, for the client to see."""

    unit: RateUnit
    limit: int
    remaining: int
    reset_s: float
    """Until it is full again."""


class _Metered(msgspec.Struct, frozen=True):
    line: RateLine
    unit: RateUnit
    limit: int
    charge: Charge

    def standing(self, ahead_us: int) -> Standing:
        """With the meter that far ahead of now."""
        return Standing(self.unit, self.limit, self.line.remaining(self.unit, self.limit, ahead_us), ahead_us / 1e6)


class Admission:
    """What one request, or one attempt, took. `end` gives back what it did not use."""

    __slots__ = ("_estimate", "_holder", "_holds", "_metered", "_store", "standings")

    def __init__(
        self,
        store: RateStore,
        metered: Sequence[_Metered],
        holds: Sequence[Hold],
        holder: str,
        estimate: int,
        standings: tuple[Standing, ...],
    ) -> None:
        self._store: RateStore | None = store
        self._metered = [one for one in metered if one.unit == "tokens"]
        self._holds = holds
        self._holder = holder
        self._estimate = estimate
        self.standings = standings

    def end(self, tokens: int | None) -> None:
        """It is over. `tokens` in and out as far as they are known; None: the estimate stands. Later calls do nothing."""
        store, self._store = self._store, None
        if store is None:
            return
        corrections: list[tuple[str, int]] = []
        if tokens is not None and tokens != self._estimate:
            corrections = [
                (one.charge.account, one.line.cost_us("tokens", one.limit, tokens) - one.charge.cost_us) for one in self._metered
            ]
        if corrections or self._holds:
            store.settle(corrections, [hold.account for hold in self._holds], self._holder)


class Rates:
    """Holds requests and attempts to rates. One per process, used on one event loop."""

    def __init__(self, now: Callable[[], float], tell: Callable[..., None], shared: RateStore | None = None) -> None:
        """`now` in monotonic seconds; `tell` logs an event; `shared`: the store of all processes, None: this is the only one."""
        self._now = now
        self._tell = tell
        self._shared = shared
        self._own = MemoryRates(lambda: int(now() * 1_000_000))
        self._told_s: float | None = None

    async def admit(
        self,
        lines: Sequence[RateLine],
        features: Features,
        holder: str,
        *,
        is_background: bool,
        placed: Placed | None = None,
        only_requests: bool = False,
    ) -> Admission | None:
        """Take what the request, or its attempt at `placed`, needs; None: no rate holds for it.

        `only_requests`: it uses no tokens and is over at once, so rates of tokens and places do not hold for it.
        Raises RateExceededError.
        """
        metered: list[_Metered] = []
        holds: list[Hold] = []
        estimate = estimated_tokens(features)
        for line in lines:
            if not line.holds_for(features, is_background=is_background):
                continue
            whose = line.whose(features.caller, placed)
            for unit, limit in line.meters():
                if only_requests and unit != "requests":
                    continue
                units = 1 if unit == "requests" else estimate
                metered.append(_Metered(line, unit, limit, line.charge(unit, limit, units, whose, is_background=is_background)))
            hold = None if only_requests else line.hold(whose, is_background=is_background)
            if hold is not None:
                holds.append(hold)
        if not metered and not holds:
            return None
        store, said = await self._take([one.charge for one in metered], holds, holder)
        standings = tightest([one.standing(ahead_us) for one, ahead_us in zip(metered, said.ahead_us, strict=True)])
        if isinstance(said, Denied):
            raise RateExceededError(_refusal(metered, holds, said), standings)
        return Admission(store, metered, holds, holder, estimate, standings)

    async def close(self) -> None:
        """Finish what is left to settle."""
        if self._shared is not None:
            await self._shared.close()

    async def _take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> tuple[RateStore, Taken | Denied]:
        if self._shared is not None:
            try:
                return self._shared, await self._shared.take(charges, holds, holder)
            except RatesAwayError as error:
                self._tell_away(error)
        return self._own, await self._own.take(charges, holds, holder)

    def _tell_away(self, error: RatesAwayError) -> None:
        now_s = self._now()
        if self._told_s is None or now_s - self._told_s >= TELLS_EACH_S:
            self._told_s = now_s
            self._tell("rates.alone", level="warning", why=str(error))


class RateExceededError(FaultError):
    """A refusal, with how the rates stand."""

    def __init__(self, fault: Fault, standings: tuple[Standing, ...]) -> None:
        super().__init__(fault)
        self.standings = standings


def estimated_tokens(features: Features) -> int:
    """In and out, before anything was sent."""
    if features.operation not in ANSWERS_WITH_TOKENS:
        return features.prompt_tokens
    answer = EXPECTED_ANSWER_TOKENS if features.max_tokens is None else min(features.max_tokens, EXPECTED_ANSWER_TOKENS)
    return features.prompt_tokens + answer * max(features.choices, 1)


def tightest(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """For each unit the one with the smallest share left."""
    best: dict[RateUnit, Standing] = {}
    for one in standings:
        other = best.get(one.unit)
        if other is None or one.remaining * other.limit < other.remaining * one.limit:
            best[one.unit] = one
    return tuple(best.values())


def _refusal(metered: Sequence[_Metered], holds: Sequence[Hold], denied: Denied) -> Fault:
    if denied.wait_us is None:
        hold = next(hold for hold in holds if hold.account == denied.account)
        name = denied.account.partition("/")[0]
        return Fault(
            kind=Kind.RATE_EXCEEDED,
            message=f"rate '{name}' allows {hold.most} such requests at a time, and as many are under way",
            retry_after_s=RETRY_PLACE_AFTER_S,
            details={"rate": name, "unit": "concurrent", "limit": hold.most},
        )
    one = next(one for one in metered if one.charge.account == denied.account)
    rate = one.line.rate
    details: dict[str, str | int | float | list[str] | None] = {"rate": rate.name, "unit": one.unit, "limit": one.limit}
    said = f"rate '{rate.name}' allows {one.limit} {one.unit} a {rate.window}"
    if one.charge.cost_us > one.charge.slack_us:
        message = f"{said}, and this request alone is estimated at more than may come at once; make it smaller"
        return Fault(kind=Kind.RATE_EXCEEDED, message=message, details=details)
    wait_s = denied.wait_us / 1e6
    return Fault(
        kind=Kind.RATE_EXCEEDED,
        message=f"{said}, and these are used up for the next {wait_s:.3g} s",
        retry_after_s=wait_s,
        details=details,
    )
