"""Budgets as `freehold.toml` spells them, compiled into what a request costs a microsecond to match. Pure.

Promised: which budgets a request is held to depends on who asks, on what for and on the deployment, never on anything that
a client may choose to leave out; a window begins and ends in UTC. Not done: amounts (`costs.bound`), accounts (`limits`).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.features import Caller, Features
from freehold.policy.conditions import Condition, all_hold, deployment_half, request_conditions
from freehold.policy.rules import Match, held
from freehold.runtime import Placed

Per = Literal["all", "key", "user", "team", "dataset", "project", "model"]
Window = Literal["hour", "day", "month", "total"]
Over = Literal["local", "refuse"]
Unit = Literal["usd", "tokens"]
Share = Annotated[float, Meta(gt=0, le=1)]

NANO_USD_PER_USD = 1_000_000_000
WINDOWS: tuple[Window, ...] = ("hour", "day", "month", "total")
"""Shortest first."""
MATCHED = frozenset(
    (
        *("callers", "operations", "models", "prompt_tokens_over", "prompt_tokens_under"),
        *("label", "labels", "images", "open_weights", "licences"),
    )
)
"""Fields of `when` that a budget may have. The others are a client's to say or to leave out."""
_HOUR_MS = 3_600_000


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be spent in a window, by whom, on what."""

    name: str
    """Unique; named in refusals, in alerts and in the accounts kept for it."""
    when: Match = Match()
    """Which requests it holds for. Only what a client cannot leave out: callers, operations, models, length, labels."""
    per: Per = "all"
    """One account for `all` of them together, or one for each key, user, team, dataset, project or model."""
    window: Window
    """From the start of an hour, a day or a month in UTC to its end; `total` never ends."""
    usd: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    """Money, for what is paid per use. At least one of `usd` and `tokens` is given."""
    tokens: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    """Tokens in and out together."""
    over: Over = "local"
    """What happens when it is spent: go on with what is free (`local`), or refuse what would have been paid for."""
    alerts: tuple[Share, ...] = (0.8, 1.0)
    """Shares of it that are told when they are spent, once in each window: by the log and by `[alerts]`."""
    unknown_price: Literal["refuse", "tokens", "allow"] = "refuse"
    """For deployments whose price is not known, where `usd` is given: not used, held to `tokens` alone, or used."""
    local_tokens: bool = False
    """Whether `tokens` counts free deployments too. Their requests wait for the store then, as paid ones do."""
    wait_s: Annotated[float, Meta(ge=0, le=300)] = 5.0
    """How long a request may wait for what others have reserved and will not use."""


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go beside the log."""

    webhook: str | None = None
    """An address that is sent each alert as JSON, by POST. None: the log alone."""
    egress: Literal["local", "self_hosted", "vendor"] = "vendor"
    """Who runs that address. Above `egress.ceiling` nothing is sent."""
    api_key: str | None = None
    """`env:NAME`, `file:PATH` or `keyring:NAME`: sent as a bearer token."""


class Span(msgspec.Struct, frozen=True):
    """One window: its name, and when the next one begins."""

    name: str
    resets_ms: int | None
    """Unix milliseconds; None: never."""


def span_at(window: Window, now_ms: int) -> Span:
    """The window of that moment, in UTC."""
    if window == "total":
        return Span("total", None)
    now = dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC)
    if window == "hour":
        return Span(now.strftime("%Y-%m-%dT%H"), (now_ms // _HOUR_MS + 1) * _HOUR_MS)
    day = dt.datetime(now.year, now.month, now.day, tzinfo=dt.UTC)
    if window == "day":
        return Span(day.strftime("%Y-%m-%d"), _ms(day + dt.timedelta(days=1)))
    months = now.year * 12 + now.month
    return Span(day.strftime("%Y-%m"), _ms(dt.datetime(months // 12, months % 12 + 1, 1, tzinfo=dt.UTC)))


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1000


class BudgetLine(msgspec.Struct, frozen=True):
    """A budget, ready to be matched."""

    budget: Budget
    conditions: tuple[Condition, ...]
    covers: frozenset[str]
    """Deployment ids."""
    nano_usd: int | None
    who: Callable[[Caller], str] | None
    """The part of an account's name that the caller decides; None: the caller does not."""

    @property
    def name(self) -> str:
        """The budget's name."""
        return self.budget.name


class BudgetTable:
    """All budgets of a configuration, in its order. Nothing in it changes once it is made."""

    __slots__ = ("lines", "placed")

    def __init__(self, budgets: Iterable[Budget], placed: Iterable[Placed]) -> None:
        self.placed = tuple(placed)
        self.lines = tuple(_compile(budget, self.placed) for budget in budgets)

    def matching(self, features: Features) -> tuple[BudgetLine, ...]:
        """The budgets a request is held to, whichever deployment serves it."""
        return tuple([line for line in self.lines if all_hold(line.conditions, features, 0)])


_WHO: Mapping[Per, Callable[[Caller], str]] = {
    "key": lambda caller: caller.key,
    "user": lambda caller: caller.user,
    "team": lambda caller: caller.team or "",
    "dataset": lambda caller: caller.dataset or "",
    "project": lambda caller: caller.project or "",
}


def _compile(budget: Budget, placed: tuple[Placed, ...]) -> BudgetLine:
    half = deployment_half(budget.when)
    return BudgetLine(
        budget=budget,
        conditions=request_conditions(held(budget.when)),
        covers=frozenset(one.id for one in placed if half.fits(one, asked_fits=False, unknown_fits=True)),
        nano_usd=None if budget.usd is None else round(budget.usd * NANO_USD_PER_USD),
        who=_WHO.get(budget.per),
    )


def account_of(line: BudgetLine, unit: Unit, span: str, caller: Caller, model: str) -> str:
    """The account's name: `budget/window/span/unit/whose`. Whose stands last, since it may hold any character."""
    budget = line.budget
    whose = model if budget.per == "model" else "" if line.who is None else line.who(caller)
    return f"{budget.name}/{budget.window}/{span}/{unit}/{whose}"
