"""Whatever happens in whatever order: at most one probe, never stuck, health tells what `allows` does."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from freehold.fault import Fault, Kind
from freehold.limits.breaker import Breakers, Thresholds

NAMES = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(
    [Kind.CONNECT_FAILED, Kind.UPSTREAM_ERROR, Kind.RATE_LIMITED, Kind.CLIENT_GONE, Kind.UPSTREAM_AUTH, Kind.BROKEN_STREAM]
)
LIMITS = Thresholds()


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breakers = Breakers(lambda: self.now)
        self.probes: dict[str, int] = {"a": 0, "b": 0}
        """Probes admitted since the last report or wait."""

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        before = self.breakers.health()
        self.now += seconds
        if seconds == 0:
            assert self.breakers.health() is before
        if seconds > 0:
            self.probes = {"a": 0, "b": 0}

    @rule(name=NAMES)
    def probe(self, name: str) -> None:
        health = self.breakers.health().get(name)
        admitted = self.breakers.begin_probe(name)
        assert admitted == (health is None or health.state == "half_open")
        if admitted and health is not None:
            self.probes[name] += 1
            assert self.probes[name] == 1
            assert not self.breakers.allows(name)

    @rule(name=NAMES)
    def succeed(self, name: str) -> None:
        health = self.breakers.health().get(name)
        self.breakers.succeeded(name)
        self.probes[name] = 0
        if health is None:
            assert name not in self.breakers.health()

    @rule(name=NAMES)
    def recover(self, name: str) -> None:
        """However often it opened, three good probes in a row close it."""
        self.now += LIMITS.longest_open_s + LIMITS.probe_s
        self.probes = {"a": 0, "b": 0}  # by now a probe of the other one is given up, too
        for _ in range(LIMITS.most_probes):
            assert self.breakers.begin_probe(name)
            self.breakers.succeeded(name)
        assert name not in self.breakers.health()

    @rule(name=NAMES, kind=KINDS, retry_after_s=st.none() | st.floats(0, 1e6))
    def fail(self, name: str, kind: Kind, retry_after_s: float | None) -> None:
        was_closed = name not in self.breakers.health()
        self.breakers.failed(name, Fault(kind=kind, message="", retry_after_s=retry_after_s))
        self.probes[name] = 0
        if kind in {Kind.CLIENT_GONE, Kind.UPSTREAM_AUTH} and was_closed:
            assert name not in self.breakers.health()
        if kind is Kind.RATE_LIMITED:
            assert not self.breakers.allows(name)

    @invariant()
    def health_tells_what_is_allowed(self) -> None:
        for name in ("a", "b"):
            health = self.breakers.health().get(name)
            assert self.breakers.allows(name) == (health is None or health.state == "half_open")

    @invariant()
    def nothing_is_shut_for_good(self) -> None:
        now = self.now
        self.now += LIMITS.probe_s + LIMITS.longest_open_s
        assert self.breakers.allows("a")
        assert self.breakers.allows("b")
        self.now = now
        self.breakers._refresh()


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
