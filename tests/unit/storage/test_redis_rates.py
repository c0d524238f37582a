"""Rates in a real Redis: what every store of rates promises, over several processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import redis

from freehold.fault import FaultError
from freehold.limits.rates import Rates
from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.policy.rates import Rate
from freehold.storage import redis_rates
from freehold.storage.rates import RatesAwayError
from freehold.storage.redis_rates import RedisRates
from support.budget_servers import Servers
from support.rates import asked, lines
from support.servers import Redis

LONG_US = 10**10
"""Nothing of it comes back while a test runs."""
PATIENT_S = 60.0
"""What the server answers is looked at here, not how soon a machine that is busy lets it."""
MANY = """
import asyncio, sys
from freehold.policy.gcra import Charge, Hold, Taken
from freehold.storage import redis_rates
from freehold.storage.redis_rates import RedisRates

redis_rates.TIMEOUT_S = float(sys.argv[3])

async def go():
    rates, got = RedisRates(sys.argv[1]), 0
    for number in range(100):
        said = await rates.take([Charge("m", 10**10, 150 * 10**10)], [Hold("p", 150)], sys.argv[2] + str(number))
        got += isinstance(said, Taken)
    print(got, flush=True)
    sys.stdin.read()
asyncio.run(go())
"""


@pytest.fixture
def server(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Redis:
    monkeypatch.setattr(redis_rates, "TIMEOUT_S", PATIENT_S)
    return servers.redis()


@pytest.fixture
async def rates(server) -> AsyncIterator[RedisRates]:
    rates = RedisRates(server.url)
    yield rates
    await rates.close()


async def take(
    rates: RedisRates, *charges: tuple[str, int, int], places: tuple[Hold, ...] = (), holder: str = "h"
) -> Taken | Denied:
    return await rates.take([Charge(name, cost * LONG_US, slack * LONG_US) for name, cost, slack in charges], places, holder)


async def settled(rates: RedisRates) -> None:
    while rates._after_work:
        await asyncio.wait(rates._after_work)


def test_processes_are_counted_together(server, rates) -> None:
    words = [sys.executable, "-c", MANY, server.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*words, name, str(PATIENT_S)], **pipes) for name in ("a", "b")]
    counts = [int(worker.stdout.readline()) for worker in workers]
    for worker in workers:
        worker.communicate("")
    assert sum(counts) == 150


async def test_all_meters_are_charged_or_none(rates) -> None:
    assert isinstance(await take(rates, ("narrow", 1, 1), ("wide", 1, 3)), Taken)
    said = await take(rates, ("narrow", 1, 1), ("wide", 1, 3))
    assert isinstance(said, Denied)
    assert said.account == "narrow"
    assert 0 < said.wait_us <= LONG_US
    assert isinstance(await take(rates, ("wide", 2, 3)), Taken)
    assert isinstance(await take(rates, ("wide", 1, 3)), Denied)


async def test_a_request_that_finds_no_place_is_charged_nothing(rates) -> None:
    assert await take(rates, places=(Hold("p", 1),), holder="1") == Taken((), (1,))
    said = await take(rates, ("m", 1, 1), places=(Hold("p", 1),), holder="2")
    assert said == Denied("p", None, (0,))
    assert isinstance(await take(rates, ("m", 1, 1)), Taken)


async def test_what_was_not_used_comes_back_and_what_was_used_beyond_is_owed(rates) -> None:
    await take(rates, ("m", 3, 3), places=(Hold("p", 1),), holder="1")
    rates.settle([("m", -2 * LONG_US)], ["p"], "1")
    await settled(rates)
    assert isinstance(await take(rates, ("m", 2, 3), places=(Hold("p", 1),), holder="2"), Taken)
    rates.settle([("m", 2 * LONG_US)], ["p"], "2")
    await settled(rates)
    said = await take(rates, ("m", 1, 3))
    assert isinstance(said, Denied)
    assert said.wait_us > 2 * LONG_US


async def test_a_meter_that_is_full_again_leaves_nothing_behind(rates, server) -> None:
    await take(rates, ("m", 3, 3))
    rates.settle([("m", -3 * LONG_US)], (), "h")
    await settled(rates)
    await rates.take([Charge("quick", 1000, 5000)], (), "h")
    with redis.Redis.from_url(server.url) as client:
        assert not client.exists("{freehold}:rate:meter:m")
        assert client.pttl("{freehold}:rate:meter:quick") < 100


async def test_the_places_of_a_process_that_died_come_back(rates, server, monkeypatch) -> None:
    monkeypatch.setattr("freehold.storage.redis_rates._LEASE_US", 1)
    dead = RedisRates(server.url)
    await take(dead, places=(Hold("p", 1),), holder="dead")
    dead._held.clear()  # as a process that was killed would leave it
    await dead.close()
    assert isinstance(await take(rates, places=(Hold("p", 1),)), Taken)


async def test_places_are_renewed_and_given_back_at_the_end(rates, server, monkeypatch) -> None:
    other = RedisRates(server.url)
    await take(other, places=(Hold("p", 1),), holder="other")
    with redis.Redis.from_url(server.url) as client:
        before = client.zscore("{freehold}:rate:places:p", "other")
        renewed, work = asyncio.Event(), other._work_after
        monkeypatch.setattr(other, "_work_after", lambda one: (work(one), renewed.set()))
        monkeypatch.setattr("freehold.storage.redis_rates.LEASE_S", 0.03)
        other._renewing.cancel()
        other._renew_later(asyncio.get_running_loop())
        await renewed.wait()
        other._renewing.cancel()
        await settled(other)
        assert client.zscore("{freehold}:rate:places:p", "other") > before
    await other.close()
    assert isinstance(await take(rates, places=(Hold("p", 1),)), Taken)


async def test_a_server_that_is_not_there_is_away_and_rates_are_held_all_the_same() -> None:
    gone = RedisRates("unix:///nowhere/at/all")
    with pytest.raises(RatesAwayError) as caught:
        await take(gone, ("m", 1, 1))
    assert "nowhere" not in str(caught.value)
    told: list[str] = []
    rates = Rates(lambda: 1000.0, lambda event, **_facts: told.append(event), gone)
    held = lines(Rate(name="r", requests=2))
    for number in range(2):
        await rates.admit(held, asked(), str(number), is_background=False)
    with pytest.raises(FaultError):
        await rates.admit(held, asked(), "3", is_background=False)
    assert told == ["rates.alone"]
    await rates.close()
