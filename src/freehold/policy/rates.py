"""Rates as `freehold.toml` spells them, compiled into what a request costs a microsecond to match. Pure.

Promised: which rates a request is held to depends on who asks, on what for and on where it goes, never on anything that a
client may choose to leave out. Not done: counting (`limits.rates`), queueing (`gateways.fair_queue`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.features import Caller, Features
from freehold.policy.conditions import Condition, all_hold, deployment_half, request_conditions
from freehold.policy.gcra import Charge, Hold
from freehold.policy.problems import Problem
from freehold.policy.rules import Match, held
from freehold.runtime import Placed

RatePer = Literal["all", "key", "user", "team", "dataset", "project", "runtime", "deployment"]
RateWindow = Literal["second", "minute", "hour", "day"]
RateUnit = Literal["requests", "tokens"]

WINDOW_US: Mapping[RateWindow, int] = {
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
WHERE = frozenset(("runtime", "deployment"))
"""`per` of rates that an attempt is held to. The others hold for the request, however many attempts it takes."""
MATCHED = frozenset(
    (
        *("callers", "operations", "models", "prompt_tokens_over", "prompt_tokens_under"),
        *("label", "labels", "images", "open_weights", "licences"),
    )
)
"""Fields of `when` that a rate may have. The others are a client's to say or to leave out."""
_OF_DEPLOYMENTS = frozenset(("models", "open_weights", "licences"))


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast requests and tokens may come, and how many requests may be under way."""

    name: str
    """Unique; named in refusals."""
    when: Match = Match()
    """Which requests it holds for. Only what a client cannot leave out: callers, operations, models, length, labels."""
    per: RatePer = "all"
    """One count for `all` of them together, or one for each key, user, team, dataset, project, runtime or deployment."""
    window: RateWindow = "minute"
    """What `requests` and `tokens` are counted in. They come back evenly, not all at its end."""
    requests: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    tokens: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    """Tokens in and out: estimated before the request is sent, corrected by what was used."""
    concurrent: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Requests under way at a time, streamed or not. At least one of `requests`, `tokens` and `concurrent` is given."""
    burst: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """The share of `requests` and `tokens` that may come at once, after a pause."""
    work: Literal["all", "background"] = "all"
    """`background` holds for what nobody waits for alone: lines of batches, and embeddings of several texts at once."""
    interactive_share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """The share that background work leaves for requests that somebody waits for."""


class RateLine(msgspec.Struct, frozen=True):
    """A rate, ready to be matched and charged."""

    rate: Rate
    conditions: tuple[Condition, ...]
    covers: frozenset[str]
    """Deployment ids."""
    who: Callable[[Caller], str] | None

    def meters(self) -> Iterator[tuple[RateUnit, int]]:
        """What it counts, with the limit per window."""
        if self.rate.requests is not None:
            yield "requests", self.rate.requests
        if self.rate.tokens is not None:
            yield "tokens", self.rate.tokens

    def holds_for(self, features: Features, *, is_background: bool) -> bool:
        """Whether the request is held to it."""
        return (is_background or self.rate.work == "all") and all_hold(self.conditions, features, 0)

    def whose(self, caller: Caller, placed: Placed | None) -> str:
        """Whose count it is. Callers without a team, dataset or project share one, so that leaving it out gains nothing."""
        if placed is not None:
            return placed.runtime.name if self.rate.per == "runtime" else placed.id
        return "" if self.who is None else self.who(caller)

    def cost_us(self, unit: RateUnit, limit: int, units: int) -> int:
        """What that many units take to come back, rounded away from zero; for requests each one by itself."""
        window_us = WINDOW_US[self.rate.window]
        if unit == "requests":
            return -(-window_us // limit) * units
        return -(-window_us * units // limit) if units >= 0 else window_us * units // limit

    def at_once(self, limit: int, *, is_background: bool) -> int:
        """Units that may come together."""
        share = self.rate.burst * (1.0 - self.rate.interactive_share if is_background else 1.0)
        return max(int(limit * share), 1)

    def charge(self, unit: RateUnit, limit: int, units: int, whose: str, *, is_background: bool) -> Charge:
        """A charge of that many units."""
        slack_us = self.cost_us(unit, limit, self.at_once(limit, is_background=is_background))
        return Charge(account_of(self.rate.name, unit, whose), self.cost_us(unit, limit, units), slack_us)

    def remaining(self, unit: RateUnit, limit: int, ahead_us: int) -> int:
        """Units that an interactive request finds with the meter that far ahead of now."""
        room_us = max(self.cost_us(unit, limit, self.at_once(limit, is_background=False)) - ahead_us, 0)
        if unit == "requests":
            return room_us // self.cost_us(unit, limit, 1)
        return room_us * limit // WINDOW_US[self.rate.window]

    def hold(self, whose: str, *, is_background: bool) -> Hold | None:
        """A place among the requests under way; None: these are not limited."""
        most = self.rate.concurrent
        if most is None:
            return None
        if is_background:
            most = max(int(most * (1.0 - self.rate.interactive_share)), 1)
        return Hold(account_of(self.rate.name, "concurrent", whose), most)


class RateTable:
    """All rates of a configuration. Nothing in it changes once it is made."""

    __slots__ = ("_of_attempts", "of_requests")

    def __init__(self, rates: Iterable[Rate], placed: Iterable[Placed]) -> None:
        placed = tuple(placed)
        lines = tuple(_compile(rate, placed) for rate in rates)
        self.of_requests = tuple(line for line in lines if line.rate.per not in WHERE)
        """Rates that a request is held to before anything is done for it."""
        self._of_attempts = {
            one.id: tuple(line for line in lines if line.rate.per in WHERE and one.id in line.covers) for one in placed
        }

    def of_attempts(self, deployment: str) -> tuple[RateLine, ...]:
        """Rates that a call to the deployment is held to."""
        return self._of_attempts.get(deployment, ())


_WHO: Mapping[RatePer, Callable[[Caller], str]] = {
    "key": lambda caller: caller.key,
    "user": lambda caller: caller.user,
    "team": lambda caller: caller.team or "",
    "dataset": lambda caller: caller.dataset or "",
    "project": lambda caller: caller.project or "",
}


def _compile(rate: Rate, placed: tuple[Placed, ...]) -> RateLine:
    half = deployment_half(rate.when)
    return RateLine(
        rate=rate,
        conditions=request_conditions(held(rate.when)),
        covers=frozenset(one.id for one in placed if half.fits(one, asked_fits=False, unknown_fits=True)),
        who=_WHO.get(rate.per),
    )


def account_of(name: str, unit: str, whose: str) -> str:
    """The meter's name: `rate/unit/whose`. Whose stands last, since it may hold any character."""
    return f"{name}/{unit}/{whose}"


def check_rates(rates: Iterable[tuple[Rate, str]]) -> Iterator[Problem]:
    """What is wrong with them. Each comes with its path in the file."""
    seen: set[str] = set()
    for rate, path in rates:
        if not rate.name or "/" in rate.name:
            yield Problem(f"{path}.name", "is empty or has a `/`", "any short name without one")
        elif rate.name in seen:
            yield Problem(f"{path}.name", f"'{rate.name}' names two rates", "every rate needs a name of its own")
        seen.add(rate.name)
        if rate.requests is None and rate.tokens is None and rate.concurrent is None:
            yield Problem(path, "limits nothing", "give at least one of requests, tokens and concurrent")
        default = Match()
        given = {field for field in Match.__struct_fields__ if getattr(rate.when, field) != getattr(default, field)}
        for field in sorted(given - MATCHED):
            remedy = "a rate may look at: " + ", ".join(sorted(MATCHED))
            yield Problem(f"{path}.when.{field}", "is a client's to say, or to leave out", remedy)
        if rate.per not in WHERE:
            for field in sorted(given & _OF_DEPLOYMENTS):
                remedy = 'set per = "runtime" or per = "deployment", or leave it out'
                yield Problem(
                    f"{path}.when.{field}", f"looks at deployments, and a rate per {rate.per} holds before one is chosen", remedy
                )
