"""The situation: everything outside the request that a decision depends on, as one frozen value.

It is handed in, never looked up, and logged with the decision so that the decision can be computed again.
"""

from typing import Literal

import msgspec

HealthState = Literal["closed", "open", "half_open"]


class Health(msgspec.Struct, frozen=True):
    """A deployment's breaker as routing sees it. Absent from the situation: closed."""

    state: HealthState
    reason: str = ""


class OverBudget(msgspec.Struct, frozen=True):
    """Why a budget keeps a deployment from serving this request."""

    budget: str
    why: str
    resets_ms: int | None = None
    """Unix milliseconds: when the budget is whole again. None: not by itself."""
    refuses: bool = False
    """The request is refused where this deployment would be tried first; otherwise it goes on with what is free."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """As it was at the moment of the decision."""

    now_ms: int
    """Unix milliseconds."""
    hour: int
    """0-23, local time of the server: what `when.hours` matches."""
    seed: int
    """The only source of chance a plan may use."""
    health: dict[str, Health] = {}
    """By deployment id; only those that are not closed."""
    down: dict[str, str] = {}
    """Runtimes that cannot serve now and why (an engine that is starting, failed, or has no weights)."""
    windows: dict[str, int] = {}
    """By deployment id: tokens of context really served, where found out at run time; beats `abilities.context`."""
    sticky: str | None = None
    """The deployment that served this session last."""
    budgets: dict[str, OverBudget] = {}
    """By deployment id: those that a budget does not pay for any more."""
