"""What the attempts of a request cost: those turned down nothing, those that may have been charged are unknown."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from freehold.gateways.fake import Act, FakeRuntime
from freehold.server.budgeting import accounts_now
from freehold.server.clock import wall_ms
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.ports import held_port

ORDER = '[aliases]\nauto = ["first/m", "second/m"]\n[[rules]]\nname = "in order"\ntry = ["first/m", "second/m"]\n'
PRICE = "{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }"
Start = Callable[..., Awaitable[FakeRuntime]]


@pytest.fixture
async def failing() -> AsyncIterator[Start]:
    """A runtime that does what the test's acts say, one after the other."""
    started: list[FakeRuntime] = []

    async def start(*acts: Act) -> FakeRuntime:
        runtime = FakeRuntime(script=list(acts))
        await runtime.start()
        started.append(runtime)
        return runtime

    yield start
    for runtime in started:
        await runtime.stop()


def two(first: FakeRuntime, second: FakeRuntime, **timeouts: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("first", "vendor", base_url(first), **timeouts)
        + runtime_toml("second", "vendor", base_url(second))
        + deployment_toml("first", "m", "m-first", price=PRICE)
        + deployment_toml("second", "m", "m-second", price=PRICE)
        + ORDER
    )


async def ask(served: Any) -> Any:
    await served.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}], stream=False)
    return served.last()


async def test_a_call_that_was_turned_down_costs_nothing(serve: Serve, failing: Start, fake: FakeRuntime) -> None:
    detail = await ask(await serve(two(await failing(Act(status=429)), fake)))
    assert next((one.cost_nano_usd, one.cost_basis) for one in detail.attempts) == (0, "metered")
    assert detail.attempts[1].cost_nano_usd > 0
    assert detail.request.cost_nano_usd == detail.attempts[1].cost_nano_usd


async def test_a_call_that_never_arrived_costs_nothing(serve: Serve, fake: FakeRuntime) -> None:
    port, holding = held_port()
    detail = await ask(await serve(two(fake, fake).replace(base_url(fake), f"http://127.0.0.1:{port}/v1", 1)))
    assert detail.attempts[0].cost_nano_usd == 0
    assert detail.request.cost_nano_usd > 0
    holding.close()


async def test_a_call_that_ended_in_silence_may_have_been_charged(serve: Serve, failing: Start, fake: FakeRuntime) -> None:
    first = await failing(Act(stall="after-headers"))
    served = await serve(two(first, fake, total_timeout_s="0.2"))
    detail = await ask(served)
    assert (detail.attempts[0].cost_nano_usd, detail.attempts[0].cost_basis) == (None, "unknown")
    assert (detail.request.cost_nano_usd, detail.request.cost_basis) == (None, "unknown")


async def test_what_may_have_been_charged_costs_a_budget_what_was_reserved_and_its_row_says_the_same(
    serve: Serve, failing: Start, fake: FakeRuntime
) -> None:
    first = await failing(Act(stall="after-headers"))
    budget = '[[budgets]]\nname = "team"\nwindow = "total"\nusd = 1.0\ntokens = 1_000_000\n'
    served = await serve(two(first, fake, total_timeout_s="0.2") + budget)
    await served.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}], max_tokens=50)
    await served.app.budgets.idle()
    detail = served.last()
    silent, answered = detail.attempts
    assert (silent.cost_basis, silent.edits[-1], silent.usage.basis) == ("estimated", "settled_as_reserved", "estimated")
    assert silent.cost_nano_usd == silent.usage.input_tokens * 3_000 + 50 * 15_000
    assert (answered.cost_basis, answered.usage.basis) == ("metered", "reported")
    assert (detail.request.cost_nano_usd, detail.request.cost_basis) == (
        silent.cost_nano_usd + answered.cost_nano_usd,
        "estimated",
    )
    accounts = {one.unit: one for one in await accounts_now(served.app.config, served.app.budgets, wall_ms())}
    assert accounts["usd"].spent == pytest.approx(detail.request.cost_nano_usd / 1e9)
    assert accounts["tokens"].spent == sum(one.usage.input_tokens + one.usage.output_tokens for one in detail.attempts)


async def test_the_version_of_the_price_stands_on_the_attempt(serve: Serve, failing: Start, fake: FakeRuntime) -> None:
    detail = await ask(await serve(two(await failing(Act(status=503)), fake)))
    first, second = detail.attempts
    assert first.price_version == second.price_version
    assert first.price_version.startswith("config #")
