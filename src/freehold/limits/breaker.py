"""Circuit breakers: one per deployment, so that a runtime in trouble is left alone for a while.

Promised: only faults that say something about the deployment count (`Meaning.trips`); an open breaker admits nothing
until its time is up, then exactly one probe at a time; `health` costs nothing while nothing changes. What a fault does
depends on its class: nobody at the address opens sooner than a reply that is no good, a rate limit only cools. A
deployment that opens again soon after it closed is flapping: it rests longer each time and has to serve more probes in a
row before it is trusted. Not done: sharing between processes (each worker finds out for itself) and queueing.

    closed --3 unreachable or 5 of any kind in a row, or half of 20+ in 30 s--> open --5 s, doubling to 60 s-->
    half_open --as many good probes as it opened, at most 3--> closed
              --fault--> open
"""

from collections import deque
from collections.abc import Callable, Container

import msgspec

from freehold.fault import Fault, Kind
from freehold.routing.situation import Health


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and for how long."""

    consecutive: int = 5
    """Tripping faults in a row that open it."""
    unreachable: int = 3
    """Connections in a row that could not be made: these open it sooner, since no request can be the reason."""
    share: float = 0.5
    """Share of tripping faults in the span that opens it ..."""
    least: int = 20
    """... once the span holds this many outcomes."""
    span_s: float = 30.0
    open_s: float = 5.0
    longest_open_s: float = 60.0
    most_probes: int = 3
    """Good probes in a row that close it, one for each time it opened and no more than these."""
    steady_s: float = 60.0
    """Closed for as long, it has recovered: the next opening is its first again."""
    cooldown_s: float = 5.0
    """After a 429 that does not say how long to wait."""
    shortest_cooldown_s: float = 1.0
    longest_cooldown_s: float = 60.0
    probe_s: float = 300.0
    """A probe that never reported is given up after this long, so that a lost one cannot close the door for good."""


_DEFAULTS = Thresholds()
_UNREACHABLE = frozenset({Kind.CONNECT_FAILED, Kind.CONNECT_TIMEOUT})
_PARTS = 6
"""The span is counted in this many parts; outcomes leave it a part at a time."""


class _Breaker:
    """One deployment's breaker. Times are the clock's monotonic seconds."""

    __slots__ = (
        "closed_s",
        "good_probes",
        "in_a_row",
        "openings",
        "parts",
        "probing_until_s",
        "reason",
        "unreachable_in_a_row",
        "until_s",
    )

    def __init__(self) -> None:
        self.in_a_row = 0
        self.unreachable_in_a_row = 0
        self.openings = 0
        """Times it opened since it was last steady."""
        self.good_probes = 0
        """Served in a row since it is half open."""
        self.closed_s: float | None = None
        """When it was closed last."""
        self.until_s: float | None = None
        """None: closed. Otherwise nothing is admitted before."""
        self.probing_until_s: float | None = None
        self.reason = ""
        self.parts: deque[list[int]] = deque()
        """[part number, outcomes, tripping faults], oldest first."""


class Breakers:
    """The breakers of all deployments.

    `now` is a monotonic clock in seconds. Call `succeeded` or `failed` once for every attempt that reached a runtime.
    """

    def __init__(self, now: Callable[[], float], thresholds: Thresholds = _DEFAULTS) -> None:
        self._now = now
        self._thresholds = thresholds
        self._breakers: dict[str, _Breaker] = {}
        self._troubled: set[str] = set()
        """Deployments whose breaker is not closed."""
        self._health: dict[str, Health] = {}
        self._fresh_until_s: float | None = None
        """`_health` holds until then; None: until something changes."""

    def health(self) -> dict[str, Health]:
        """By deployment, those that are not closed; the very same dict as long as nothing changed.

        `half_open` means that one probe would be admitted now. Not to be written to.
        """
        if self._fresh_until_s is not None and self._now() >= self._fresh_until_s:
            self._refresh()
        return self._health

    def allows(self, deployment: str) -> bool:
        """Whether a call may be made now: always when closed, once per probe when half open."""
        if deployment not in self._troubled:
            return True
        health = self.health().get(deployment)
        return health is None or health.state == "half_open"

    def begin_probe(self, deployment: str) -> bool:
        """Take the one probe of a half-open breaker; call it right before the attempt.

        False: another request has it, or the breaker is open: leave the deployment alone. True for a closed one.
        """
        if not self.allows(deployment):
            return False
        if deployment in self._troubled:
            self._breakers[deployment].probing_until_s = self._now() + self._thresholds.probe_s
            self._refresh()
        return True

    def keep(self, deployments: Container[str]) -> None:
        """Forget every deployment but these: the others are gone, and one that comes back starts anew."""
        for deployment in [one for one in self._breakers if one not in deployments]:
            del self._breakers[deployment]
            self._troubled.discard(deployment)
        self._refresh()

    def end_probe(self, deployment: str) -> None:
        """Give a probe back that told nothing: the caller left, or the fault was not the deployment's."""
        breaker = self._breakers.get(deployment)
        if breaker is not None and breaker.probing_until_s is not None:
            breaker.probing_until_s = None
            self._refresh()

    def succeeded(self, deployment: str) -> None:
        """An attempt was served."""
        breaker = self._breakers.get(deployment)
        if breaker is None:
            return  # a deployment that never failed needs no counting: its share of faults is zero
        breaker.in_a_row = breaker.unreachable_in_a_row = 0
        self._count(breaker, 0)
        if breaker.until_s is not None and self._now() >= breaker.until_s:
            breaker.good_probes += 1
            if breaker.good_probes >= min(breaker.openings, self._thresholds.most_probes):
                self._close(deployment, breaker)
            else:
                self.end_probe(deployment)

    def failed(self, deployment: str, fault: Fault) -> None:
        """An attempt ended in a fault. One that does not trip breakers only gives a probe back."""
        if not fault.meaning.trips:
            self.end_probe(deployment)
            return
        breaker = self._breakers.get(deployment)
        if breaker is None:
            breaker = self._breakers[deployment] = _Breaker()
        if fault.kind is Kind.RATE_LIMITED:
            self._cool(deployment, breaker, fault)
            return
        breaker.in_a_row += 1
        breaker.unreachable_in_a_row = breaker.unreachable_in_a_row + 1 if fault.kind in _UNREACHABLE else 0
        outcomes, faults = self._count(breaker, 1)
        reason = self._reason_to_open(breaker, fault, outcomes, faults)
        if reason is not None:
            self._open(deployment, breaker, reason, fault.retry_after_s)

    def _reason_to_open(self, breaker: _Breaker, fault: Fault, outcomes: int, faults: int) -> str | None:
        limits = self._thresholds
        if breaker.until_s is not None:  # the probe failed; what was under way when it opened changes nothing
            return f"the probe failed: {fault.kind}" if self._now() >= breaker.until_s else None
        if breaker.in_a_row >= limits.consecutive or breaker.unreachable_in_a_row >= limits.unreachable:
            return f"{breaker.in_a_row} faults in a row, last {fault.kind}"
        if outcomes >= limits.least and faults >= outcomes * limits.share:
            return f"{faults} of {outcomes} calls failed, last {fault.kind}"
        return None

    def _count(self, breaker: _Breaker, fault: int) -> tuple[int, int]:
        """Count one outcome; return outcomes and faults of the span."""
        length_s = self._thresholds.span_s / _PARTS
        number = int(self._now() / length_s)
        parts = breaker.parts
        if not parts or parts[-1][0] != number:
            parts.append([number, 0, 0])
        parts[-1][1] += 1
        parts[-1][2] += fault
        while parts[0][0] <= number - _PARTS:
            parts.popleft()
        return sum(part[1] for part in parts), sum(part[2] for part in parts)

    def _open(self, deployment: str, breaker: _Breaker, reason: str, asked_s: float | None) -> None:
        """Open it, for longer each time until it is steady again, and not before the runtime itself wants to be asked."""
        limits = self._thresholds
        if breaker.closed_s is not None and self._now() - breaker.closed_s >= limits.steady_s:
            breaker.openings = 0
        open_s = min(max(limits.open_s * 2.0 ** min(breaker.openings, 16), asked_s or 0.0), limits.longest_open_s)
        breaker.openings += 1
        self._close_until(deployment, breaker, open_s, reason)

    def _cool(self, deployment: str, breaker: _Breaker, fault: Fault) -> None:
        """A rate limit says how long to wait; it is no sign of illness, so it neither counts nor doubles."""
        limits = self._thresholds
        asked_s = limits.cooldown_s if fault.retry_after_s is None else fault.retry_after_s
        cool_s = min(max(asked_s, limits.shortest_cooldown_s), limits.longest_cooldown_s)
        if breaker.until_s is None or self._now() + cool_s > breaker.until_s:
            self._close_until(deployment, breaker, cool_s, f"rate limited for {cool_s:g} s")

    def _close_until(self, deployment: str, breaker: _Breaker, seconds: float, reason: str) -> None:
        breaker.until_s = self._now() + seconds
        breaker.probing_until_s = None
        breaker.good_probes = 0
        breaker.reason = reason
        self._troubled.add(deployment)
        self._refresh()

    def _close(self, deployment: str, breaker: _Breaker) -> None:
        breaker.until_s = None
        breaker.probing_until_s = None
        breaker.closed_s = self._now()
        breaker.reason = ""
        breaker.parts.clear()
        self._troubled.discard(deployment)
        self._refresh()

    def _refresh(self) -> None:
        """Make a new health dict and note when it will be out of date by the clock alone."""
        now = self._now()
        health: dict[str, Health] = {}
        changes_s: list[float] = []
        for deployment in sorted(self._troubled):
            breaker = self._breakers[deployment]
            assert breaker.until_s is not None
            probing_until_s = breaker.probing_until_s
            if now < breaker.until_s:
                changes_s.append(breaker.until_s)
                health[deployment] = Health("open", breaker.reason)
            elif probing_until_s is not None and now < probing_until_s:
                changes_s.append(probing_until_s)
                health[deployment] = Health("open", f"{breaker.reason}; a probe is under way")
            else:
                health[deployment] = Health("half_open", breaker.reason)
        self._health = health
        self._fresh_until_s = min(changes_s, default=None)
