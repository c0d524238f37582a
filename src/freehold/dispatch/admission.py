"""Whether a step of a plan may be tried now, and how much time it has.

Promised: the steps of one request share one deadline, the longest `total_timeout_s` among them, so that runtimes which
stay silent one after the other do not add up. A step with another one behind it gets half of what is left until its
first content is there; the last one all of it. A step whose places are all taken waits `queue_wait_s` where the request
can spill over to another runtime, else as long as for its first content.
"""

from collections.abc import Sequence

from freehold.dispatch.attempt import Means
from freehold.dispatch.flight import Flight
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.routing.plan import Step


def admit(means: Means, flight: Flight, step: Step, later: Sequence[Step], *, may_spill: bool = False) -> Fault | None:
    """Let a step begin: take its breaker's probe, count the call, set the flight's time. Else why it is passed over.

    `later` are the steps that may be tried behind it; `may_spill`: there is an answer already, so it need not wait long.
    """
    placed = step.placed
    runtime = placed.runtime
    if not means.breakers.begin_probe(placed.id):
        return resting(step)
    is_first = runtime.name not in flight.called
    if not means.retries.admit(runtime.name, is_first=is_first):
        means.breakers.end_probe(placed.id)
        said = f"runtime '{runtime.name}' was called for this request already, and its retry budget is spent"
        return Fault(kind=Kind.OVERLOADED, message=said)
    now_s = means.now()
    if flight.ends_s is None:
        total_s = runtime.total_timeout_s
        for other in later:
            total_s = max(total_s, other.placed.runtime.total_timeout_s)
        flight.ends_s = now_s + total_s if flight.deadline_s is None else min(now_s + total_s, flight.deadline_s)
    if now_s >= flight.ends_s:
        means.breakers.end_probe(placed.id)
        return Fault(kind=Kind.TOTAL_TIMEOUT, message="the request's deadline passed before this deployment could be tried")
    left_s = flight.ends_s - now_s
    if is_first:
        flight.called += (runtime.name,)
    flight.step_ends_s = flight.ends_s
    flight.queue_wait_s = runtime.first_content_timeout_s
    for other in later:
        if means.breakers.allows(other.placed.id):
            flight.step_ends_s = now_s + left_s / 2
            may_spill = may_spill or other.placed.runtime.name != runtime.name
    if may_spill:
        flight.queue_wait_s = runtime.queue_wait_s
    return None


def resting(step: Step) -> Fault:
    """Why a step was passed over: its breaker is open, or another request has its one probe."""
    return Fault(kind=Kind.OVERLOADED, message=f"deployment '{step.placed.id}' is resting after failures")


def exhausted(last: Fault | None) -> FaultError:
    """What is told when no step is left: the last fault, where there was one."""
    return FaultError(last) if last is not None else faulty(Kind.NO_DEPLOYMENT, "the plan has no step left to try")
