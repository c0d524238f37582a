import pytest

from freehold.fault import FAULTS, Fault, Kind
from freehold.limits.breaker import Breakers

BOX = "box/a"
DOWN = Fault(kind=Kind.UPSTREAM_ERROR, message="it failed")
UNREACHABLE = Fault(kind=Kind.CONNECT_FAILED, message="nobody answered")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def fail(breakers: Breakers, times: int, fault: Fault = DOWN) -> None:
    for _ in range(times):
        breakers.failed(BOX, fault)


def state(breakers: Breakers) -> str:
    health = breakers.health().get(BOX)
    return "closed" if health is None else health.state


def test_five_faults_in_a_row_open_it_and_four_do_not(breakers: Breakers):
    fail(breakers, 4)
    assert breakers.allows(BOX)
    fail(breakers, 1)
    assert not breakers.allows(BOX)
    assert breakers.health()[BOX].reason == "5 faults in a row, last upstream_error"


def test_three_connections_that_cannot_be_made_open_it(breakers: Breakers):
    fail(breakers, 2, UNREACHABLE)
    fail(breakers, 1)
    fail(breakers, 1, UNREACHABLE)
    assert breakers.allows(BOX), "of another kind between: the address answers"
    fail(breakers, 1)
    assert not breakers.allows(BOX)


def test_two_unreachable_and_a_third_open_it(breakers: Breakers):
    fail(breakers, 2, UNREACHABLE)
    assert breakers.allows(BOX)
    fail(breakers, 1, UNREACHABLE)
    assert not breakers.allows(BOX)


def test_a_success_starts_the_row_anew(breakers: Breakers):
    fail(breakers, 4)
    breakers.succeeded(BOX)
    fail(breakers, 4)
    assert state(breakers) == "closed"


def test_half_of_twenty_within_the_span_open_it(breakers: Breakers):
    for _ in range(9):
        fail(breakers, 1)
        breakers.succeeded(BOX)
    assert state(breakers) == "closed"
    breakers.succeeded(BOX)
    fail(breakers, 1)
    assert state(breakers) == "open"


def test_outcomes_older_than_the_span_are_forgotten(breakers: Breakers, clock: Clock):
    for _ in range(9):
        fail(breakers, 1)
        breakers.succeeded(BOX)
    clock.now += 31
    breakers.succeeded(BOX)
    fail(breakers, 1)
    assert state(breakers) == "closed"


@pytest.mark.parametrize("kind", [kind for kind, meaning in FAULTS.items() if not meaning.trips])
def test_faults_that_say_nothing_of_the_deployment_never_open_it(breakers: Breakers, kind: Kind):
    fail(breakers, 50, Fault(kind=kind, message=""))
    assert state(breakers) == "closed"


def test_it_stays_open_five_seconds_and_doubles_up_to_a_minute(breakers: Breakers, clock: Clock):
    fail(breakers, 5)
    for seconds in (5, 10, 20, 40, 60, 60):
        clock.now += seconds - 0.01
        assert state(breakers) == "open"
        clock.now += 0.02
        assert state(breakers) == "half_open"
        assert breakers.begin_probe(BOX)
        fail(breakers, 1)
    assert "the probe failed" in breakers.health()[BOX].reason


def test_half_open_admits_exactly_one_probe(breakers: Breakers, clock: Clock):
    fail(breakers, 5)
    clock.now += 6
    assert breakers.allows(BOX)
    assert breakers.begin_probe(BOX)
    assert not breakers.allows(BOX)
    assert not breakers.begin_probe(BOX)
    assert state(breakers) == "open"
    breakers.succeeded(BOX)
    assert state(breakers) == "closed"
    assert breakers.begin_probe(BOX)


def serve_probes(breakers: Breakers, times: int) -> None:
    for _ in range(times):
        assert state(breakers) == "half_open"
        assert breakers.begin_probe(BOX)
        breakers.succeeded(BOX)


@pytest.mark.parametrize(("failed", "needed"), [(0, 1), (1, 2), (2, 3), (5, 3)])
def test_each_probe_that_failed_costs_one_good_probe_more_up_to_three(breakers: Breakers, clock: Clock, failed: int, needed: int):
    fail(breakers, 5)
    for _ in range(failed):
        clock.now += 61
        assert breakers.begin_probe(BOX)
        fail(breakers, 1)
    clock.now += 61
    serve_probes(breakers, needed)
    assert state(breakers) == "closed"


def test_one_that_flaps_rests_longer_and_must_serve_more(breakers: Breakers, clock: Clock):
    for opening, (rest_s, probes) in enumerate([(5, 1), (10, 2), (20, 3), (40, 3), (60, 3)]):
        fail(breakers, 5)
        clock.now += rest_s - 0.01
        assert state(breakers) == "open", opening
        clock.now += 0.02
        serve_probes(breakers, probes)
        assert state(breakers) == "closed", opening
        clock.now += 59


def test_after_a_steady_minute_the_first_opening_is_short_again(breakers: Breakers, clock: Clock):
    fail(breakers, 5)
    clock.now += 6
    fail(breakers, 1)
    clock.now += 11
    serve_probes(breakers, 2)
    clock.now += 60
    fail(breakers, 5)
    clock.now += 5.1
    serve_probes(breakers, 1)
    assert state(breakers) == "closed"


def test_it_stays_open_at_least_as_long_as_the_runtime_asks_for(breakers: Breakers, clock: Clock):
    fail(breakers, 5, Fault(kind=Kind.OVERLOADED, message="", retry_after_s=30))
    clock.now += 29
    assert state(breakers) == "open"
    clock.now += 1.1
    assert state(breakers) == "half_open"
    breakers.begin_probe(BOX)
    fail(breakers, 1, Fault(kind=Kind.OVERLOADED, message="", retry_after_s=1e9))
    clock.now += 60.1
    assert state(breakers) == "half_open", "nobody shuts it for longer than a minute"


@pytest.mark.parametrize("give_back", ["end_probe", "fault of the caller", "time"])
def test_a_probe_that_told_nothing_is_given_back(breakers: Breakers, clock: Clock, give_back: str):
    fail(breakers, 5)
    clock.now += 6
    breakers.begin_probe(BOX)
    if give_back == "end_probe":
        breakers.end_probe(BOX)
    elif give_back == "time":
        clock.now += 300
    else:
        fail(breakers, 1, Fault(kind=Kind.CLIENT_GONE, message=""))
    assert breakers.begin_probe(BOX)


@pytest.mark.parametrize(("asked", "waited"), [(None, 5.0), (0.0, 1.0), (7.0, 7.0), (3600.0, 60.0)])
def test_a_rate_limit_cools_for_as_long_as_it_says_within_bounds(
    breakers: Breakers, clock: Clock, asked: float | None, waited: float
):
    fail(breakers, 1, Fault(kind=Kind.RATE_LIMITED, message="", retry_after_s=asked))
    assert breakers.health()[BOX].reason == f"rate limited for {waited:g} s"
    clock.now += waited - 0.01
    assert not breakers.allows(BOX)
    clock.now += 0.02
    assert breakers.allows(BOX)


def test_a_short_cool_down_does_not_cut_a_longer_one(breakers: Breakers, clock: Clock):
    fail(breakers, 1, Fault(kind=Kind.RATE_LIMITED, message="", retry_after_s=50))
    fail(breakers, 1, Fault(kind=Kind.RATE_LIMITED, message="", retry_after_s=2))
    clock.now += 40
    assert state(breakers) == "open"


def test_answers_under_way_when_it_opened_change_nothing(breakers: Breakers):
    fail(breakers, 5)
    breakers.succeeded(BOX)
    fail(breakers, 3)
    assert state(breakers) == "open"
    assert breakers.health()[BOX].reason.startswith("5 faults in a row")


def test_health_is_the_same_dict_until_something_changes(breakers: Breakers, clock: Clock):
    quiet = breakers.health()
    assert quiet == {}
    fail(breakers, 4)
    breakers.succeeded("box/b")
    assert breakers.health() is quiet
    fail(breakers, 5)
    opened = breakers.health()
    assert opened is not quiet
    clock.now += 1
    assert breakers.health() is opened
    clock.now += 5
    assert breakers.health() is not opened


def test_deployments_do_not_share_a_breaker(breakers: Breakers):
    fail(breakers, 5)
    assert breakers.allows("box/b")
    assert set(breakers.health()) == {BOX}
