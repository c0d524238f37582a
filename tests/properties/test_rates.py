"""Meters: what they let in over any span, in every store alike."""

import asyncio
import tempfile
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.limits.rate_memory import MemoryRates
from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.policy.rates import WINDOW_US, Rate
from freehold.storage import redis_rates
from freehold.storage.host_rates import HostRates
from support.budget_servers import Servers
from support.rates import lines
from support.servers import Redis

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


UNITS_US = (1_000_000, 86_400_000_000 // 7)
"""What the meters' slack is: a second, and a share of a day in microseconds that no fraction of a second divides.

Places lapse in a minute where nobody renews them, so they are looked at with the first alone."""


def on_our_clock(text: str) -> str:
    """A script of Redis on the clock of the test. That stands still meanwhile, so keys must outlive the real moments it takes."""
    assert text.count("redis.call('TIME')") == 1
    return text.replace("redis.call('TIME')", "redis.call('HMGET', '{freehold}:clock', 's', 'us')").replace(
        "/ 1000) + 1)", "/ 1000) + 3600000)"
    )


class Three:
    """The same steps on all stores: this process, a file, and Redis, on one clock. Whatever they answer must agree."""

    def __init__(self, folder: str, server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_us = 1_795_000_000_000_123
        """As large as the time of day: Redis reckons in doubles."""
        self.client = redis.Redis.from_url(server.url)
        with monkeypatch.context() as patch:
            for name in ("_TAKE", "_SETTLE", "_RENEW"):
                patch.setattr(redis_rates, name, on_our_clock(getattr(redis_rates, name)))
            patch.setattr(redis_rates, "TIMEOUT_S", 60.0)  # what it answers is looked at, not how soon
            self.remote = redis_rates.RedisRates(server.url)
        self.host = HostRates(Path(folder) / "rates.db", lambda: self.now_us)
        self.memory = MemoryRates(lambda: self.now_us)
        self.move(0)

    def move(self, us: int) -> None:
        self.now_us += us
        self.client.hset("{freehold}:clock", mapping={"s": self.now_us // 1_000_000, "us": self.now_us % 1_000_000})

    async def take(self, charges: list[Charge], holds: list[Hold], holder: str) -> Taken | Denied:
        said = await self.memory.take(charges, holds, holder)
        assert await self.host.take(charges, holds, holder) == said
        assert await self.remote.take(charges, holds, holder) == said
        return said

    async def settle(self, corrections: list[tuple[str, int]], places: list[str], holder: str) -> None:
        for store in (self.memory, self.host, self.remote):
            store.settle(corrections, places, holder)
        await self.host.take([], [], "")  # the file's thread settles behind our back: let it do so before the clock moves
        while self.remote._after_work:
            await asyncio.wait(self.remote._after_work)

    async def close(self) -> None:
        await self.host.close()
        await self.remote.close()
        self.client.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(does, st.sampled_from(UNITS_US))
def test_every_store_says_the_same(servers: Servers, monkeypatch: pytest.MonkeyPatch, does, unit_us) -> None:
    async def go(folder: str) -> None:
        stores = Three(folder, servers.redis(), monkeypatch)
        try:
            under_way: list[tuple[str, list[str], list[str]]] = []
            for number, (what, *facts) in enumerate(does):
                if what == "wait":
                    stores.move(facts[0] * unit_us // 1_000_000)
                elif what == "take":
                    places = sorted(facts[2]) if unit_us == UNITS_US[0] else []
                    charges = [Charge(account, facts[1] * unit_us // 1_000_000, unit_us) for account in sorted(facts[0])]
                    said = await stores.take(charges, [Hold(account, 2) for account in places], str(number))
                    if isinstance(said, Taken):
                        under_way.append((str(number), sorted(facts[0]), places))
                elif under_way:
                    holder, charged, places = under_way.pop(facts[0] % len(under_way))
                    await stores.settle([(account, facts[1] * unit_us // 1_000_000) for account in charged], places, holder)
        finally:
            await stores.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(folder))
