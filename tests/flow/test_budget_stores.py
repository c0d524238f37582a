"""The life of a budget through the whole gateway, on each store: paid, settled, spent, kept over a restart, raised."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from freehold.config import Config, read_config
from freehold.gateways.fake import FakeRuntime
from freehold.limits.over_budget import moment
from freehold.storage.reservations import Balance
from support.budget_servers import Backing, Servers
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml
from support.paid import PRICE, billed, says

pytestmark = pytest.mark.usefixtures("far_from_midnight")
LOW_USD, HIGH_USD = 0.02, 1.0
KINDS = ("sqlite", "postgres", "redis")


@pytest.fixture
async def vendor() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(lambda _received: says(400))
    await runtime.start()
    yield runtime
    await runtime.stop()


def config(backing: Backing, vendor: FakeRuntime, usd: float) -> str:
    also = "" if backing.redis is None else f'redis = "{backing.redis}"\n'
    storage = f'[storage]\nurl = "{backing.url}"\n{also}'
    cloud = runtime_toml("cloud", "vendor", base_url(vendor)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
    budget = f'[[budgets]]\nname = "team"\nwindow = "month"\nusd = {usd}\nover = "refuse"\nwait_s = 0.0\n'
    return NO_ENGINE + "[discovery]\nlocal = false\n" + storage + cloud + budget


def read(text: str, home: Path) -> Config:
    return read_config(text, {"HOME": str(home), "FREEHOLD_HOME": str(home)}, None)


async def ask(served: Served) -> Any:
    asked: Any = {"model": "big", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 600}
    return await served.openai(max_retries=0).chat.completions.create(**asked)


async def balance(served: Served) -> Balance:
    await served.app.budgets.idle()
    account = f"team/month/{served.app.budgets.spans.now('month').name}/usd/"
    return (await (await served.app.budgets.store()).balances([account]))[account]


async def spend_all(served: Served) -> openai.APIStatusError:
    for _ in range(10):
        try:
            await ask(served)
        except openai.APIStatusError as error:
            return error
        await served.app.budgets.idle()
    raise AssertionError("the budget was never spent")


def judge(told: openai.APIStatusError, served: Served) -> None:
    """Which budget, when it is whole again, and what helps."""
    assert told.status_code == 402
    assert (told.type, told.code) == ("insufficient_quota", "budget_spent")
    assert "retry-after" not in told.response.headers
    resets_ms = served.app.budgets.spans.now("month").resets_ms
    assert resets_ms is not None
    for said in (
        "budget 'team'",
        f"it is whole again at {moment(resets_ms)}",
        "sk for less",
        "the operator can raise the budget",
    ):
        assert said in told.message


@pytest.mark.parametrize("kind", KINDS)
async def test_a_budget_is_settled_spent_kept_over_a_restart_and_opened_by_a_raised_limit(
    kind: str, tmp_path: Path, servers: Servers, vendor: FakeRuntime
) -> None:
    backing = Backing(kind, tmp_path, servers)
    low, high = config(backing, vendor, LOW_USD), config(backing, vendor, HIGH_USD)
    async with running(low, {}, tmp_path) as served:
        await ask(served)
        assert await balance(served) == Balance(billed(vendor), 0)
        judge(await spend_all(served), served)
        spent = await balance(served)
        assert spent == Balance(billed(vendor), 0)
        calls = len(vendor.journal)
        assert calls > 1
    async with running(low, {}, tmp_path) as served:
        judge(await spend_all(served), served)
        assert len(vendor.journal) == calls, "nothing was sent that the budget does not pay for"
        assert await balance(served) == spent
        served.app.rebase(read(high, tmp_path))
        await ask(served)
        assert await balance(served) == Balance(billed(vendor), 0)
        assert len(vendor.journal) == calls + 1
        served.app.rebase(read(low, tmp_path))
        judge(await spend_all(served), served)
    costs = [row[0] for row in backing.rows("SELECT cost_nano_usd FROM attempts WHERE cost_nano_usd <> 0")]
    assert len(costs) == calls + 1
    assert sum(costs) == billed(vendor)
    assert {row[0] for row in backing.rows("SELECT outcome FROM requests WHERE status = 402")} == {"refused"}
