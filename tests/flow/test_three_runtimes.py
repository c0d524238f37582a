"""The runtime axis for real: the embedded engine (local), a stand-alone llama-server (self-hosted), a fake vendor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from freehold.gateways.fake import FakeRuntime
from freehold.local import weights
from support.gateway import Served, base_url, deployment_toml, running, runtime_toml
from support.llama_server import running_llama_server

pytestmark = [pytest.mark.engine, pytest.mark.llama_server]
on_the_modules_loop = pytest.mark.asyncio(loop_scope="module")
CAPITAL: Any = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


@asynccontextmanager
async def gateway(home: Path, server_url: str, fake: FakeRuntime) -> AsyncIterator[Served]:
    """In front of all three, its engine ready."""
    config = (
        runtime_toml("team", "self_hosted", server_url, quirks='["system_first"]')
        + runtime_toml("cloud", "vendor", base_url(fake), formats='["anthropic_messages"]')
        + deployment_toml(
            "team",
            "smollm2-135m-instruct",
            "smollm2",
            abilities="{ context = 4096, json_schema = true }",
            free="true",
            quirks='["always_stream"]',
        )
        + deployment_toml("cloud", "frontier", "frontier-1", price="{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }")
    )
    async with running(config, {}, home) as served:
        await asyncio.wait_for(served.app.engines.ready(), 60)
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(engine_home: Path, llama_server_binary: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """For those who leave the runtimes as they are."""
    home = tmp_path_factory.mktemp("three")
    (home / "weights").symlink_to(engine_home / "weights", target_is_directory=True)
    fake = FakeRuntime()
    await fake.start()
    model = weights.find("smollm2-135m-instruct", engine_home)
    async with running_llama_server(llama_server_binary, model) as (url, _), gateway(home, url, fake) as served:
        yield served
    await fake.stop()


@on_the_modules_loop
async def test_routine_work_is_served_locally_and_hard_reasoning_by_the_frontier(served: Served) -> None:
    # Cold: what happens to be no answer or a refusal would be asked of a better model, as it should.
    await served.openai().chat.completions.create(model="auto", messages=CAPITAL, max_tokens=20, temperature=0)
    assert served.last().request.egress == "local"
    hard = "Do a threat model of our login service: attackers, trust boundaries, abuse cases. [[fake: say=STRIDE]]"
    reply = await served.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": hard}])
    assert reply.choices[0].message.content == "STRIDE"
    detail = served.last()
    assert detail.request.egress == "vendor"
    assert detail.request.task == "threat-model"
    assert detail.request.cost_nano_usd > 0
    assert detail.request.cost_basis == "metered"


async def test_when_one_after_the_other_is_gone_the_next_answers_and_restricted_work_stays(
    home_with_weights: Path, llama_server: tuple[str, asyncio.subprocess.Process], fake: FakeRuntime
) -> None:
    url, process = llama_server
    async with gateway(home_with_weights, url, fake) as served:
        await served.app.engines.stop()
        # Restricted work never leaves, even when the engine is gone.
        client = served.openai(default_headers={"x-freehold-label": "restricted"})
        with pytest.raises(Exception, match="embedded|local|engine") as told:
            await client.chat.completions.create(model="auto", messages=CAPITAL)
        assert told.value.status_code in {403, 503}  # type: ignore[attr-defined]
        assert fake.journal == []
        # The team's server answers for the engine.
        reply = await served.openai().chat.completions.create(model="auto", messages=CAPITAL, temperature=0, max_tokens=20)
        assert reply.choices[0].message.content
        assert served.last().request.deployment == "team/smollm2-135m-instruct"
        assert fake.journal == []
        # The vendor answers for both.
        process.kill()
        await process.wait()
        reply = await served.openai().chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "[[fake: say=from the vendor]]"}]
        )
        assert reply.choices[0].message.content == "from the vendor"
        assert [attempt.end for attempt in served.last().attempts] == ["fault", "served"]


async def until_busy(served: Served, *, busy: bool) -> None:
    """Until the llama-server works on something, or on nothing any more."""
    base_url = served.app.config.runtimes["team"].base_url
    assert base_url is not None
    async with asyncio.timeout(30), httpx.AsyncClient(timeout=30, trust_env=False) as client:
        while any(slot["is_processing"] for slot in (await client.get(base_url.replace("/v1", "/slots"))).json()) is not busy:
            pass


@on_the_modules_loop
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_frees_the_llama_server(served: Served, streamed: bool) -> None:
    ask: Any = {
        "model": "team/smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Tell a very long story."}],
        "max_tokens": 3000,
        "logit_bias": {"0": -100, "2": -100},  # it may not end
    }
    before = len(served.rows())
    asking = asyncio.ensure_future(served.openai().chat.completions.create(stream=streamed, **ask))
    if streamed:
        stream: Any = await asking
        await anext(aiter(stream))
        await stream.close()
    else:
        await until_busy(served, busy=True)
        asking.cancel()
    async with asyncio.timeout(30):
        while len(served.rows()) == before:
            await asyncio.wait([asyncio.ensure_future(asyncio.to_thread(served.app.writer.flush, 1))])
    assert served.last().request.outcome == "cancelled"
    await until_busy(served, busy=False)
    reply = await served.openai().chat.completions.create(
        model="team/smollm2-135m-instruct", messages=CAPITAL, max_tokens=5, temperature=0
    )
    assert reply.choices


@on_the_modules_loop
async def test_both_formats_reach_the_llama_server(served: Served) -> None:
    message = await served.anthropic().messages.create(
        model="team/smollm2-135m-instruct",
        max_tokens=20,
        extra_body={"temperature": 0},
        system="Answer in one word.",
        messages=CAPITAL,
    )
    assert message.content[0].text  # type: ignore[union-attr]
    assert message.usage.input_tokens > 0
