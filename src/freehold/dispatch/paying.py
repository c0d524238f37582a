"""What an attempt reserves before it is sent, where budgets hold for its request.

Promised: no attempt that is paid for goes out without a reservation of all it can cost; one that is free waits for nothing.
Every attempt reserves for itself: retries, fallbacks, escalations and lines of batches alike. Settling is the attempt's end.
"""

from typing import TYPE_CHECKING

from freehold.costs.bound import Most
from freehold.dispatch.sizing import answer_bound, most_of_chat, most_of_single
from freehold.fault import FaultError
from freehold.limits.budgets import LEASE_S, Asking
from freehold.limits.charges import UnknownPrice, charges_something, items_of
from freehold.limits.over_budget import OverBudgetError, unknown_price
from freehold.limits.shortages import LOWEST_ANSWER_TOKENS
from freehold.storage.reservations import Begun

if TYPE_CHECKING:  # attempts import this module
    from freehold.dispatch.attempt import Attempt
    from freehold.dispatch.chat_attempt import ChatAttempt
    from freehold.dispatch.flight import Flight


def must_reserve(attempt: "Attempt") -> bool:
    """Whether the attempt is charged to any of its request's budgets. Free work is not, and waits for nothing."""
    attempt.is_judged = True
    return charges_something(attempt.flight.budgets, attempt.step.placed, attempt.started_ms)


async def reserve_for_chat(
    attempt: "ChatAttempt", body: bytes, ceiling: int | None, *, lease_s: float = LEASE_S, may_shorten: bool = True
) -> int | None:
    """Reserve for a body that would be sent like this; `ceiling` is the longest answer that it lets the model give.

    Gives the length that must be sent as the limit instead; None: the body may go as it is. Raises OverBudgetError, or
    FaultError while the store is away.
    """
    flight, placed = attempt.chat, attempt.step.placed
    wanted, must_be_sent = answer_bound(flight.features, placed, ceiling)
    most = most_of_chat(flight.features, placed, body, flight.envelope.top, answer_tokens=wanted)
    lowest = min(wanted, LOWEST_ANSWER_TOKENS) if may_shorten else wanted
    allowed = await _reserve(attempt, most, wanted, lowest, lease_s)
    return allowed if must_be_sent or allowed < wanted else None


async def reserve_for_single(attempt: "Attempt", body: bytes, text_bytes: int, *, lease_s: float = LEASE_S) -> None:
    """As `reserve_for_chat`, for an operation whose answer has no length to lower."""
    most = most_of_single(attempt.flight.features, attempt.step.placed, body, text_bytes)
    output_tokens = most.output_tokens or 0
    await _reserve(attempt, most, output_tokens, output_tokens, lease_s)


async def _reserve(attempt: "Attempt", most: Most, output_tokens: int, lowest: int, lease_s: float = LEASE_S) -> int:
    flight, placed, budgets = attempt.flight, attempt.step.placed, attempt.means.budgets
    features = flight.features
    items = items_of(flight.budgets, placed, features.caller, most, attempt.started_ms, budgets.spans)
    if isinstance(items, UnknownPrice):
        raise unknown_price(items.line, placed.id, items.dearer)
    if not items:
        return output_tokens
    ends_s = flight.step_ends_s if flight.ends_s is None else min(flight.step_ends_s, flight.ends_s)
    asking = Asking(
        attempt_id=f"{flight.request_id}.{attempt.number}",
        items=items,
        output_tokens=output_tokens,
        lowest=lowest,
        until_s=ends_s,
        client=(features.caller.key, features.caller.user, features.agent, placed.model.id),
        choices=most.choices,
        lease_s=lease_s,
        begun=Begun(
            deployment=placed.id,
            runtime=placed.runtime.name,
            egress=placed.egress.value,
            sent_model=placed.deployment.served_as,
            mode=attempt.mode(),
            started_ms=attempt.started_ms,
            price_version=placed.price_version,
        ),
    )
    held = await budgets.reserve(asking)
    attempt.pay(held)
    return held.output_tokens


def ends_plan(error: FaultError, flight: "Flight") -> bool:
    """Whether a budget that was over says that nothing free shall take the place of what was to be tried first."""
    return isinstance(error, OverBudgetError) and error.refuses and flight.tries == 1
