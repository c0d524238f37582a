"""Many at once against one budget, on every store: the vendor's own journal shows no more than the budget, and most of it used."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.budget_servers import Backing, Servers
from support.paid import says
from support.paying_gateways import Crowd, PayingGateways, judge, told

CROWD = 120
USD = 0.06
KILLED_AT = 10
WORKERS = {"sqlite": 1, "postgres": 2, "redis": 2}
"""Processes, by the kind of `Backing`. `make proof` has more of them."""


@pytest.fixture
async def vendor() -> Any:
    runtime = FakeRuntime(lambda _received: says(40, slow_s=0.002))
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture(params=WORKERS)
async def gateway(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers, vendor: FakeRuntime) -> AsyncIterator[Any]:
    backing = Backing(request.param, tmp_path, servers)
    made = PayingGateways(tmp_path, backing, vendor, {"calm": USD, "storm": USD}, workers=WORKERS[request.param])
    try:
        await made.start()
        yield made
    finally:
        made.kill()


async def test_a_crowd_spends_no_more_than_the_budget_and_most_of_it_also_with_the_store_killed_midway(
    gateway: PayingGateways,
) -> None:
    is_server = gateway.backing.server is not None
    calm = Crowd()
    if not is_server:
        calm = await gateway.crowd("calm", CROWD)
        judge(calm, is_killed=False, is_server=is_server)
    # What a killed process had reserved counts as spent: so few at once that it leaves some to be spent by the next.
    few: dict[str, int] = {} if is_server else {"at_once": 3, "max_tokens": 200}
    storm = await gateway.crowd("storm", CROWD, killed_at=KILLED_AT, **few)
    judge(storm, is_killed=True, is_server=is_server)
    assert storm.admitted > 2 * KILLED_AT, "it went on"
    await gateway.finished()
    assert gateway.charged() == sum(gateway.account(name)[0] for name in (["storm"] if is_server else ["calm", "storm"]))
    await gateway.stop()
    finals = gateway.final_rows()
    asked = [one for crowd in (calm, storm) for one in (*crowd.answers, *crowd.turned_away)]
    # What cost nothing and was queued when its own process was killed has no row; what cost something always has.
    kept = {one.request_id for one in asked if is_server or told(one) is None}
    assert set(finals.values()) == {1}
    assert kept <= set(finals), "whatever became of the store"
    assert gateway.charged() == sum(gateway.account(name)[0] for name in (("storm",) if is_server else ("calm", "storm")))
