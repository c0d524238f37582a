"""The plan: which deployments may and should serve a request, in what order, and why. Pure."""

from typing import Literal

import msgspec

from freehold.fault import Fault
from freehold.record import Rejected
from freehold.runtime import Egress, Placed

Hold = Literal["none", "tools", "whole"]


class Step(msgspec.Struct, frozen=True):
    """One deployment to try."""

    placed: Placed
    reason: str


class Escalate(msgspec.Struct, frozen=True, kw_only=True):
    """When a poor answer moves on, and to where."""

    checks: tuple[str, ...]
    """Names from `routing.judge.CHECKS` that count as poor."""
    steps: tuple[Step, ...]
    at_most: int
    hold: Hold


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The decision. Either `steps` is not empty, or `refusal` says why nothing may serve."""

    steps: tuple[Step, ...]
    rejected: tuple[Rejected, ...]
    rule: str | None
    """The preference rule that ordered the steps."""
    ceiling: Egress
    """The highest class any call made for this request may reach, extra calls included."""
    escalate: Escalate | None = None
    refusal: Fault | None = None
