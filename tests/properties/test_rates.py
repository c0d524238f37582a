"""Meters: what they let in over any span, in every store alike."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.limits.rate_memory import MemoryRates
from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.policy.rates import WINDOW_US, Rate
from freehold.storage.host_rates import HostRates
from support.rates import lines

windows = st.sampled_from(["second", "minute", "hour", "day"])
steps = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 40), st.booleans()), max_size=60)


@given(st.integers(1, 5000), windows, st.floats(0.01, 1), st.floats(0, 0.9), steps)
def test_over_any_span_no_more_comes_than_the_burst_and_the_rate(limit, window, burst, share, steps) -> None:
    line = lines(Rate(name="r", tokens=limit, window=window, burst=burst, interactive_share=share))[0]
    now = [0]
    memory = MemoryRates(lambda: now[0])
    taken: list[tuple[int, int]] = []

    async def go() -> None:
        for pause_us, units, is_background in steps:
            now[0] += pause_us
            charge = line.charge("tokens", limit, units, "", is_background=is_background)
            said = await memory.take([charge], (), "h")
            if isinstance(said, Taken):
                taken.append((now[0], units))
            else:
                assert said.wait_us is not None
                assert said.wait_us > 0

    asyncio.run(go())
    at_once = line.at_once(limit, is_background=False)
    for first, (since, _) in enumerate(taken):
        total = 0
        for at, units in taken[first:]:
            total += units
            assert total <= at_once + (at - since) * limit / WINDOW_US[window] + 1e-6


@given(st.integers(1, 100), windows, st.integers(0, 10**7))
def test_who_waits_as_long_as_told_is_let_in(limit, window, since_us) -> None:
    line = lines(Rate(name="r", requests=limit, window=window))[0]
    now = [since_us]
    memory = MemoryRates(lambda: now[0])
    charge = line.charge("requests", limit, 1, "", is_background=False)

    async def go() -> None:
        while isinstance(said := await memory.take([charge], (), "h"), Taken):
            pass
        now[0] += said.wait_us - 1
        assert isinstance(await memory.take([charge], (), "h"), Denied)
        now[0] += 1
        assert isinstance(await memory.take([charge], (), "h"), Taken)

    asyncio.run(go())


accounts = st.sampled_from(["r/requests/a", "r/requests/b", "s/tokens/"])
does = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sets(accounts, min_size=1), st.integers(1, 400_000), st.sets(st.sampled_from("xy"))),
        st.tuples(st.just("end"), st.integers(0, 20), st.integers(-400_000, 400_000)),
        st.tuples(st.just("wait"), st.integers(0, 900_000)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(does)
def test_every_store_says_the_same(does) -> None:
    now = [1_000_000_000]

    async def go(folder: str) -> None:
        host, memory = HostRates(Path(folder) / "rates.db", lambda: now[0]), MemoryRates(lambda: now[0])
        under_way: list[tuple[str, list[str], list[str]]] = []
        for number, (what, *facts) in enumerate(does):
            if what == "wait":
                now[0] += facts[0]
            elif what == "take":
                charges = [Charge(account, facts[1], 1_000_000) for account in sorted(facts[0])]
                holds = [Hold(account, 2) for account in sorted(facts[2])]
                said = await memory.take(charges, holds, str(number))
                assert await host.take(charges, holds, str(number)) == said
                if isinstance(said, Taken):
                    under_way.append((str(number), sorted(facts[0]), sorted(facts[2])))
            elif under_way:
                holder, charged, places = under_way.pop(facts[0] % len(under_way))
                for store in (host, memory):
                    store.settle([(account, facts[1]) for account in charged], places, holder)
                await host.take([], [], "")  # the file's thread settles behind our back: let it do so before the clock moves
        await host.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(folder))
