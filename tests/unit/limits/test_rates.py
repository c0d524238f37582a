import pytest

from freehold.fault import FaultError, Kind
from freehold.limits.rate_memory import MemoryRates
from freehold.limits.rates import Rates, Standing
from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.policy.rates import Rate, check_rates
from freehold.policy.rules import Callers, Match
from freehold.storage.rates import RatesAwayError
from support.rates import asked, lines


class Clock:
    s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def rates(clock, told) -> Rates:
    return Rates(clock, lambda event, **_facts: told.append(event))


async def admitted(rates: Rates, held, features=None, *, times: int = 1, background: bool = False) -> int:
    """How many of so many are let in."""
    count = 0
    for number in range(times):
        try:
            await rates.admit(held, features or asked(), f"r{number}", is_background=background)
        except FaultError:
            break
        count += 1
    return count


async def refusal(rates: Rates, held, features=None, *, background: bool = False):
    with pytest.raises(FaultError) as caught:
        await rates.admit(held, features or asked(), "r", is_background=background)
    assert caught.value.fault.kind is Kind.RATE_EXCEEDED
    return caught.value.fault


async def test_as_many_requests_come_at_once_as_the_burst_says_and_then_one_by_one(rates, clock) -> None:
    held = lines(Rate(name="r", requests=60, window="minute", burst=0.1))
    assert await admitted(rates, held, times=60) == 6
    fault = await refusal(rates, held)
    assert fault.retry_after_s == pytest.approx(1.0)
    clock.s += 1.0
    assert await admitted(rates, held, times=60) == 1
    clock.s += 3.5
    assert await admitted(rates, held, times=60) == 3


@pytest.mark.parametrize("limit", [1, 3, 7, 13, 999, 1_000_000])
async def test_no_rounding_takes_one_from_the_burst(rates, limit) -> None:
    held = lines(Rate(name="r", requests=limit, window="second"))
    assert await admitted(rates, held, times=min(limit, 1000) + 1) == min(limit, 1001)


async def test_each_key_user_team_dataset_and_project_has_a_count_of_its_own(rates) -> None:
    for per in ("key", "user", "team", "dataset", "project"):
        held = lines(Rate(name=per, requests=1, per=per))
        assert await admitted(rates, held, asked(**{per: "a"}), times=2) == 1
        assert await admitted(rates, held, asked(**{per: "b"}), times=2) == 1
        assert await admitted(rates, held, asked(**{per: "a"})) == 0


async def test_those_who_leave_out_their_dataset_share_one_count(rates) -> None:
    held = lines(Rate(name="ingest", requests=1, per="dataset"))
    assert await admitted(rates, held, asked(user="a")) == 1
    assert await admitted(rates, held, asked(user="b")) == 0


async def test_all_rates_are_charged_or_none(rates, clock) -> None:
    wide, narrow = Rate(name="wide", requests=10), Rate(name="narrow", requests=1, per="user")
    both = lines(wide, narrow)
    assert await admitted(rates, both, times=5) == 1
    for _ in range(20):
        assert (await refusal(rates, both)).details["rate"] == "narrow"
    assert await admitted(rates, lines(wide), times=20) == 9


async def test_a_rate_holds_only_for_what_it_is_about(rates) -> None:
    held = lines(Rate(name="bots", requests=1, when=Match(callers=Callers(users=("bot-*",)), operations=("embeddings",))))
    assert await rates.admit(held, asked(user="ann"), "1", is_background=False) is None
    assert await rates.admit(held, asked(user="bot-1", operation="chat"), "2", is_background=False) is None
    assert await admitted(rates, held, asked(user="bot-1"), times=2) == 1


async def test_tokens_are_charged_at_an_estimate_and_corrected_by_what_was_used(rates, clock) -> None:
    held = lines(Rate(name="t", tokens=6000, window="minute"))
    question = asked(2000, operation="chat", max_tokens=64_000)  # estimated at 3000
    first = await rates.admit(held, question, "1", is_background=False)
    assert first is not None
    assert first.standings == (Standing("tokens", 6000, 3000, 30.0),)
    second = await rates.admit(held, question, "2", is_background=False)
    await refusal(rates, held, question)
    first.end(500)
    first.end(0)
    third = await rates.admit(held, asked(2500), "3", is_background=False)
    assert third is not None
    await refusal(rates, held, asked(1))
    second.end(9000)  # 6000 more than was estimated: owed for a minute
    assert (await refusal(rates, held, asked(1))).retry_after_s == pytest.approx(60.0, abs=0.1)
    third.end(None)
    clock.s += 60.1
    assert await admitted(rates, held, asked(1)) == 1


async def test_a_request_that_can_never_fit_is_told_so(rates) -> None:
    held = lines(Rate(name="t", tokens=1000, window="minute"))
    fault = await refusal(rates, held, asked(1001))
    assert fault.retry_after_s is None
    assert "make it smaller" in fault.message
    assert await admitted(rates, held, asked(1000)) == 1


@pytest.mark.parametrize("limited", [{"requests": 10}, {"concurrent": 10}, {"requests": 10, "concurrent": 10}])
async def test_background_work_leaves_a_share_for_those_who_wait(limited: dict[str, int], rates) -> None:
    held = lines(Rate(name="r", interactive_share=0.3, **limited))
    assert await admitted(rates, held, times=20, background=True) == 7
    assert await admitted(rates, held, times=20) == 3


async def test_a_rate_of_background_work_says_nothing_to_those_who_wait(rates) -> None:
    held = lines(Rate(name="ingest", tokens=100, window="day", per="dataset", work="background"))
    assert await admitted(rates, held, asked(100, dataset="a"), times=9, background=True) == 1
    assert await rates.admit(held, asked(100, dataset="a"), "q", is_background=False) is None
    assert await admitted(rates, held, asked(100, dataset="b"), background=True) == 1


async def test_requests_under_way_are_limited_until_they_end(rates) -> None:
    held = lines(Rate(name="c", concurrent=2, per="user"))
    one, two = [await rates.admit(held, asked(user="a"), str(number), is_background=False) for number in range(2)]
    fault = await refusal(rates, held, asked(user="a"))
    assert fault.retry_after_s
    assert fault.details == {"rate": "c", "unit": "concurrent", "limit": 2}
    assert await admitted(rates, held, asked(user="b")) == 1
    one.end(None)
    one.end(None)
    assert await admitted(rates, held, asked(user="a"), times=2) == 1
    two.end(5)


async def test_a_refused_request_takes_no_place(rates) -> None:
    held = lines(Rate(name="c", requests=1, concurrent=5))
    assert await admitted(rates, held, times=2) == 1
    assert rates._own._held == {"c/concurrent/": 1}


async def test_what_is_full_again_takes_no_memory(clock) -> None:
    memory = MemoryRates(lambda: int(clock() * 1e6))
    for number in range(20_000):
        clock.s += 0.01
        await memory.take([Charge(f"r/requests/{number}", 1_000_000, 1_000_000)], (), "h")
    assert len(memory) < 3000


async def test_callers_without_end_share_a_meter_and_are_never_let_in_more(clock) -> None:
    memory = MemoryRates(lambda: int(clock() * 1e6), most_meters=100)
    let_in = 0
    for number in range(1000):
        said = await memory.take([Charge(f"r/requests/{number}", 1_000_000, 5_000_000)], (), "h")
        let_in += isinstance(said, Taken)
    assert let_in == 100 + 5
    assert len(memory) <= 101


class Away:
    async def take(self, charges, holds, holder) -> Taken | Denied:
        raise RatesAwayError(f"refused {len(charges)} charges and {len(holds)} holds of {holder}")

    def settle(self, corrections, places, holder) -> None:
        raise AssertionError(f"{holder} took nothing there: {corrections}, {places}")

    async def close(self) -> None:
        """Nothing is held."""


async def test_while_the_shared_store_is_away_this_process_holds_the_rates_and_says_so_once(clock, told) -> None:
    rates = Rates(clock, lambda event, **_facts: told.append(event), Away())
    held = lines(Rate(name="r", requests=3, tokens=100, concurrent=9))
    admission = await rates.admit(held, asked(10), "1", is_background=False)
    admission.end(1)
    assert await admitted(rates, held, times=9) == 2
    assert told == ["rates.alone"]


async def test_places_are_given_back_where_they_were_taken(clock) -> None:
    memory = MemoryRates(lambda: int(clock() * 1e6))
    await memory.take((), [Hold("a", 3)], "1")
    await memory.take((), [Hold("a", 3)], "2")
    memory.settle((), ["a"], "1")
    memory.settle((), ["a"], "2")
    assert len(memory) == 0


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate(name=""), ["rates[0].name", "rates[0]"]),
        (Rate(name="a/b", requests=1), ["rates[0].name"]),
        (Rate(name="a"), ["rates[0]"]),
        (Rate(name="a", requests=1, when=Match(stream=True)), ["rates[0].when.stream"]),
        (Rate(name="a", requests=1, when=Match(hints={"x": "y"})), ["rates[0].when.hints"]),
        (Rate(name="a", requests=1, when=Match(models=("gpt-*",))), ["rates[0].when.models"]),
        (Rate(name="a", requests=1, per="runtime", when=Match(models=("gpt-*",))), []),
    ],
)
def test_a_rate_that_cannot_be_held_is_found_when_it_is_read(rate, said) -> None:
    assert [problem.path for problem in check_rates([(rate, "rates[0]")])] == said


def test_two_rates_of_one_name_are_found() -> None:
    rate = Rate(name="a", requests=1)
    assert [problem.path for problem in check_rates([(rate, "rates[0]"), (rate, "rates[1]")])] == ["rates[1].name"]
