"""Many at once against one budget: the vendor's own journal shows no more than the budget, and most of what it pays for."""

import asyncio
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.paid import PRICE, ask, billed, body, nano_usd, says

CROWD = 200
USD = 0.05


@pytest.fixture
async def vendor() -> Any:
    runtime = FakeRuntime(lambda _received: says(40, slow_s=0.002))
    await runtime.start()
    yield runtime
    await runtime.stop()


async def test_a_crowd_spends_no_more_than_the_budget_and_most_of_what_it_pays_for(serve: Serve, vendor: FakeRuntime) -> None:
    budget = f'[[budgets]]\nname = "team"\nwindow = "month"\nusd = {USD}\nwait_s = 60.0\n'
    config = runtime_toml("cloud", "vendor", base_url(vendor)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
    served = await serve(NO_ENGINE + config + budget)
    port = int(served.url.rpartition(":")[2])
    answers = await asyncio.gather(*(ask(port, body(number)) for number in range(CROWD)))
    each = nano_usd(vendor.journal[0])
    affordable = round(USD * 1e9) // each
    assert billed(vendor) <= round(USD * 1e9)
    assert 0.9 * affordable <= sum(one.status == 200 for one in answers) <= affordable < CROWD
    assert {one.status for one in answers} == {200, 402}
