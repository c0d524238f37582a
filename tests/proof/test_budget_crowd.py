"""A thousand at once against one budget: what the vendor's own journal says was spent, and how much of the budget was used."""

import asyncio
from pathlib import Path

import pytest

from proof.conftest import Found, StartFake
from support.gateway import NO_ENGINE, base_url, deployment_toml, running, runtime_toml
from support.paid import PRICE, ask, billed, body, nano_usd, says

CROWD = 1000
USD = 0.3


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_a_thousand_at_once_spend_no_more_than_the_budget(tmp_path: Path, start_fake: StartFake, found: Found) -> None:
    vendor = await start_fake(lambda _received: says(40, slow_s=0.005))
    budget = f'[[budgets]]\nname = "team"\nwindow = "month"\nusd = {USD}\nwait_s = 120.0\n'
    config = runtime_toml("cloud", "vendor", base_url(vendor)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
    async with running(NO_ENGINE + config + budget, {}, tmp_path) as served:
        port = int(served.url.rpartition(":")[2])
        answers = await asyncio.gather(*(ask(port, body(number, stream=number % 3 == 0)) for number in range(CROWD)))
    spent, limit = billed(vendor), round(USD * 1e9)
    affordable = limit // max(map(nano_usd, vendor.journal))
    admitted = sum(one.status == 200 for one in answers)
    assert spent <= limit
    assert affordable < CROWD
    assert admitted >= 0.9 * affordable
    assert {one.status for one in answers} == {200, 402}
    found(
        f"{CROWD} requests at once against one budget on SQLite: the vendor's journal shows no more than the budget, and at least "
        "90 % of what was affordable is admitted",
        budget_usd=USD,
        spent_usd=round(spent / 1e9, 6),
        affordable=affordable,
        admitted=admitted,
        refused=CROWD - admitted,
    )
