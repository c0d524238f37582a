"""Budgets in front of real clients: what is paid for is reserved first, and what is free is never held up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.budget_store import MemoryStore
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.place import Place

pytestmark = pytest.mark.usefixtures("far_from_midnight")
PRICE = "{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }"
HELLO: Any = [{"role": "user", "content": "hi"}]
Start = Callable[..., Awaitable[FakeRuntime]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """A runtime that does what the test's acts say, one after the other."""
    started: list[FakeRuntime] = []

    async def make(*acts: Act) -> FakeRuntime:
        runtime = FakeRuntime(script=list(acts) or None)
        await runtime.start()
        started.append(runtime)
        return runtime

    yield make
    for runtime in started:
        await runtime.stop()


def paid(runtime: FakeRuntime, **more: str) -> str:
    formats = {key: more.pop(key) for key in ("formats",) if key in more}
    return runtime_toml("cloud", "vendor", base_url(runtime), **formats) + deployment_toml(
        "cloud", "big", "big-model", **({"price": PRICE} | more)
    )


def free(runtime: FakeRuntime) -> str:
    return runtime_toml("box", "local", base_url(runtime)) + deployment_toml("box", "small", "small-model")


def budget(**fields: Any) -> str:
    said = {"name": "team", "window": "day", "usd": 1.0} | fields
    return "[[budgets]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items() if value is not None)


AUTO = '[aliases]\nauto = ["cloud/big", "box/small"]\n[[rules]]\nname = "best first"\ntry = ["vendor", "local"]\n'


async def ask(served: Served, **options: Any) -> Any:
    asked = {"model": "auto", "messages": HELLO, "max_tokens": 1000} | options
    return await served.openai().chat.completions.create(**asked)


async def settled(served: Served) -> None:
    """Until every reservation is settled."""
    while served.app.budgets.under_way or served.app.budgets._tasks:
        await asyncio.wait(served.app.budgets._tasks) if served.app.budgets._tasks else await asyncio.sleep(0)


async def last(served: Served) -> Any:
    """The newest request, once its attempts are settled: their rows are written with that."""
    await settled(served)
    return served.last()


async def spent(served: Served, *accounts: str) -> int:
    await settled(served)
    store = await served.app.budgets.store()
    if not accounts:
        accounts = tuple({item.account for held in served.app.budgets._held.values() for item in held.asking.items})
    return sum(one.spent for one in (await store.balances(accounts)).values())


def today(served: Served, name: str = "team", unit: str = "usd") -> str:
    return f"{name}/day/{served.app.budgets.spans.now('day').name}/{unit}/"


async def test_what_was_paid_is_what_the_ledger_says_and_no_more_is_reserved(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + paid(fake) + budget())
    await ask(served, model="big")
    assert await spent(served, today(served)) == (await last(served)).request.cost_nano_usd > 0
    store = await served.app.budgets.store()
    assert (await store.balances([today(served)]))[today(served)].reserved == 0


async def test_a_spent_budget_degrades_to_what_is_free_and_the_plan_says_why(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
):
    served = await serve(NO_ENGINE + paid(fake) + free(other_fake) + AUTO + budget(usd=0.000001))
    for _ in range(2):
        await ask(served)
    assert fake.journal == []
    assert len(other_fake.journal) == 2
    detail = await last(served)
    assert detail.request.deployment == "box/small"
    assert [one.deployment for one in detail.decision.rejected] == ["cloud/big"]
    assert "budget 'team' does not pay for it" in detail.decision.rejected[0].reason


async def test_an_empty_purse_never_stands_in_the_way_of_free_work(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + free(fake) + budget(usd=0.0, over="refuse"))
    memory = await instead(served)
    await ask(served, model="small")
    assert (await last(served)).request.outcome == "served"
    assert memory.log == []


async def instead(served: Served) -> MemoryStore:
    """A store in memory in place of the one in the file."""
    await (await served.app.budgets.store()).close()
    served.app.budgets._store = memory = MemoryStore()
    return memory


async def test_over_budget_is_402_in_each_clients_format_with_the_reset_and_is_not_tried_again(serve: Serve, fake: FakeRuntime):
    served = await serve(
        NO_ENGINE + paid(fake, formats='["openai_chat", "anthropic_messages"]') + budget(usd=0.000001, over="refuse")
    )
    with pytest.raises(openai.APIStatusError) as told:
        await served.openai(max_retries=2).chat.completions.create(model="big", messages=HELLO, max_tokens=1000)
    assert told.value.status_code == 402
    assert "retry-after" not in told.value.response.headers
    assert told.value.body["type"] == "insufficient_quota"  # type: ignore[index]
    assert told.value.body["code"] == "budget_spent"  # type: ignore[index]
    assert "is whole again at 20" in told.value.message
    with pytest.raises(anthropic.APIStatusError) as said:
        await served.anthropic(max_retries=2).messages.create(model="big", messages=HELLO, max_tokens=1000)
    assert said.value.status_code == 402
    assert said.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
    assert said.value.body["error"]["details"]["budget"] == "team"  # type: ignore[index]
    assert fake.journal == []
    assert len(served.rows()) == 2


async def test_a_budget_that_refuses_lets_nothing_free_take_the_place_of_what_was_asked(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
):
    served = await serve(NO_ENGINE + paid(fake) + free(other_fake) + AUTO + budget(usd=0.000001, over="refuse"))
    for _ in range(2):  # told by the store first, and by the plan from then on
        with pytest.raises(openai.APIStatusError) as told:
            await ask(served)
        assert told.value.status_code == 402
    assert fake.journal == other_fake.journal == []


async def test_no_other_name_of_the_limit_lets_an_answer_be_longer_than_what_was_reserved(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + paid(fake, formats='["openai_chat", "openai_completions"]') + budget(usd=0.05))
    chat, text = ("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "hi"})
    others = ("n_predict", "max_new_tokens", "max_output_tokens")
    asked = [(chat, {"max_tokens": 100_000, "max_completion_tokens": 9})]
    asked += [(route, {"max_tokens": 9, name: 100_000}) for route in (chat, text) for name in others]
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        for (path, said), limits in asked:
            answer = await client.post(path, json={"model": "big", **said, **limits})
            assert answer.status_code == 200, answer.text
            sent = json.loads(fake.journal[-1].body)
            assert {key: sent[key] for key in limits} == dict.fromkeys(limits, 9), path


def queued(**usage: Any) -> Act:
    reply = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "queued",
        "background": True,
        "model": "big",
        "output": [],
    }
    body = json.dumps(reply | {"usage": usage or None}).encode()
    return Act(raw=b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def test_what_a_vendor_goes_on_with_in_the_background_is_charged_as_reserved(serve: Serve, start: Start):
    vendor = await start(queued(), queued())
    config = NO_ENGINE + paid(vendor, formats='["openai_responses"]') + budget()
    served = await serve(config)
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        for waits in ({"background": True}, {"background": True, "stream": False}):
            asked = {"model": "big", "input": "hi", "max_output_tokens": 10_000, **waits}
            answer = await client.post("/v1/responses", json=asked)
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    (attempt,) = (await last(served)).attempts
    assert attempt.cost_nano_usd >= 10_000 * 15_000
    assert attempt.cost_basis == "estimated"
    assert "settled_as_reserved" in attempt.edits


DEARER = [
    ("/v1/chat/completions", {"messages": HELLO, "service_tier": "priority"}),
    ("/v1/chat/completions", {"messages": HELLO, "service_tier": ["a new one"]}),
    ("/v1/responses", {"input": "hi", "service_tier": "Fast"}),
    ("/v1/messages", {"messages": HELLO, "max_tokens": 9, "speed": "fast"}),
    ("/v1/messages", {"messages": HELLO, "max_tokens": 9, "inference_geo": "us"}),
    ("/v1/embeddings", {"model": "embed", "input": "hi", "service_tier": "priority"}),
    ("/v1/images/generations", {"model": "media", "prompt": "a hat", "service_tier": "priority"}),
]


async def test_what_asks_a_vendor_for_dearer_rates_is_not_paid_from_a_budget_by_the_ordinary_ones(
    serve: Serve, fake: FakeRuntime, tmp_path: Any
):
    formats = '["openai_chat", "openai_responses", "anthropic_messages"]'
    config = paid(fake, formats=formats) + "".join(
        deployment_toml("cloud", name, f"fake-{name}", abilities=abilities, price=PRICE)
        for name, abilities in (
            ("embed", "{ embeddings = true, chat = false }"),
            ("media", "{ chat = false, image_generation = true }"),
        )
    )
    config += '[[rules]]\nname = "anywhere"\ntry = ["vendor"]\n'  # rules of one's own stand in place of those that come along
    held = await serve(NO_ENGINE + config + budget(), home=tmp_path / "held")
    free_hand = await serve(NO_ENGINE + config, home=tmp_path / "free")
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        for path, body in DEARER:
            (field,) = {"service_tier", "speed", "inference_geo"} & body.keys()
            refused = await client.post(held.url + path, json={"model": "big", **body})
            assert refused.status_code == 402, f"{path}: {refused.text}"
            assert field in refused.text
            assert not fake.journal
        for value in ("auto", "default", "flex", None):
            asked = {"model": "big", "messages": HELLO, "max_tokens": 9, "service_tier": value}
            assert (await client.post(f"{held.url}/v1/chat/completions", json=asked)).status_code == 200
        asked = {"model": "big", "messages": HELLO, "max_tokens": 9, "service_tier": "priority"}
        assert (await client.post(f"{free_hand.url}/v1/chat/completions", json=asked)).status_code == 200
    (attempt,) = free_hand.last().attempts
    assert (attempt.cost_nano_usd, attempt.cost_basis) == (None, "unknown")


async def test_a_short_budget_sends_a_lower_max_tokens_and_the_attempt_says_so(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + paid(fake) + budget(usd=0.02))
    await ask(served, model="big", max_tokens=50_000)
    sent = json.loads(fake.journal[0].body)["max_tokens"]
    assert 256 <= sent < 1400  # 0.02 USD pay for 1,333 tokens of answer
    assert "max_tokens_for_budget" in (await last(served)).attempts[0].edits


async def test_without_a_limit_of_the_client_one_is_sent_where_nothing_else_bounds_the_answer(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + paid(fake, abilities="{ tools = true }") + budget(usd=100.0))
    await served.openai().chat.completions.create(model="big", messages=HELLO)
    assert json.loads(fake.journal[0].body)["max_tokens"] == 32_768


async def test_every_attempt_reserves_for_itself_and_one_that_was_turned_down_costs_nothing(
    serve: Serve, start: Start, fake: FakeRuntime
):
    first = await start(Act(status=503))
    config = (
        runtime_toml("a", "vendor", base_url(first)) + deployment_toml("a", "m", "m1", price=PRICE)
        + runtime_toml("b", "vendor", base_url(fake)) + deployment_toml("b", "m", "m2", price=PRICE)
    )  # fmt: skip
    served = await serve(NO_ENGINE + config + '[aliases]\nauto = ["a/m", "b/m"]\n' + budget())
    await ask(served)
    detail = await last(served)
    await settled(served)
    assert [one.end for one in detail.attempts] == ["fault", "served"]
    assert await spent(served, today(served)) == detail.attempts[1].cost_nano_usd


async def test_a_stream_that_breaks_is_charged_what_was_measured_of_it(serve: Serve, start: Start):
    broken = await start(Act(say="one two three four five six seven eight", cut="mid"))
    served = await serve(NO_ENGINE + paid(broken) + budget())
    stream = await ask(served, model="big", stream=True, max_tokens=10_000)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    total = await spent(served, today(served))
    attempt = (await last(served)).attempts[0]
    assert attempt.end == "cut"
    assert total == attempt.cost_nano_usd
    assert 0 < total < 10_000 * 15_000


async def test_a_client_that_leaves_frees_what_it_will_not_use(serve: Serve, start: Start):
    slow = await start(Act(say="one two three four five six seven eight", stall="mid"))
    served = await serve(NO_ENGINE + paid(slow) + budget())
    stream = await ask(served, model="big", stream=True, max_tokens=10_000)
    async for _ in stream:
        break
    await stream.close()
    await slow.closed()
    total = await spent(served, today(served))
    assert 0 < total < 1000 * 15_000
    store = await served.app.budgets.store()
    assert (await store.balances([today(served)]))[today(served)].reserved == 0


async def test_tokens_of_a_local_model_count_where_the_budget_says_so(serve: Serve, fake: FakeRuntime):
    served = await serve(NO_ENGINE + free(fake) + budget(usd=None, tokens=100_000, local_tokens=True))
    await ask(served, model="small")
    usage = (await last(served)).request.usage
    assert await spent(served, today(served, unit="tokens")) == usage.input_tokens + usage.output_tokens


async def test_embeddings_images_audio_moderations_and_ranks_are_reserved_too(serve: Serve, fake: FakeRuntime):
    able = "{ embeddings = true, image_generation = true, speech = true, moderation = true, rerank = true, chat = false }"
    price = "{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 0.0, request_usd = 0.01 }"
    no_rules = NO_ENGINE + "rules = false\n"
    served = await serve(no_rules + paid(fake, abilities=able, price=price) + budget(usd=10.0))
    client = served.openai()
    await client.embeddings.create(model="big", input="a text")
    await client.images.generate(model="big", prompt="a house")
    await client.audio.speech.create(model="big", input="say it", voice="alloy")
    await client.moderations.create(model="big", input="a text")
    await client.post("/rerank", body={"model": "big", "query": "q", "documents": ["a", "b"]}, cast_to=object)
    await settled(served)
    store = served.app.budgets._store
    assert store is not None
    assert await spent(served, today(served)) >= 5 * 10_000_000
    assert served.app.budgets.under_way == 0
    tight = await serve(no_rules + paid(fake, abilities=able, price=price) + budget(usd=0.009, name="tight"))
    before = len(fake.journal)
    for call in (
        tight.openai().embeddings.create(model="big", input="a text"),
        tight.openai().images.generate(model="big", prompt="a house"),
        tight.openai().moderations.create(model="big", input="a text"),
    ):
        with pytest.raises(openai.APIStatusError) as told:
            await call
        assert told.value.status_code == 402
    assert len(fake.journal) == before


async def test_while_the_store_is_away_free_work_goes_on_and_paid_work_does_not(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
):
    served = await serve(NO_ENGINE + paid(fake) + free(other_fake) + AUTO + budget())
    memory = await instead(served)
    memory.is_away = True
    await ask(served)
    assert (await last(served)).request.deployment == "box/small"
    with pytest.raises(openai.APIStatusError) as told:
        await ask(served, model="big")
    assert told.value.status_code == 503
    assert fake.journal == []


TAKEN = Act(raw=b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")


async def test_an_alert_reaches_the_webhook_once_with_its_key(serve: Serve, fake: FakeRuntime, start: Start):
    hook = await start(TAKEN, TAKEN, TAKEN)
    alerts = f'[alerts]\nwebhook = "{base_url(hook)}"\negress = "local"\napi_key = "env:HOOK"\n'
    served = await serve(NO_ENGINE + paid(fake) + budget(alerts=[0.00001]) + alerts, environ={"HOOK": "a-bearer-token"})
    for _ in range(2):
        await ask(served, model="big")
        await settled(served)
    await hook.received(1)
    assert hook.journal[0].headers["authorization"] == "Bearer a-bearer-token"
    told = json.loads(hook.journal[0].body)
    assert (told["budget"], told["share"], told["unit"]) == ("team", 0.00001, "usd")
    assert len(hook.journal) == 1


async def test_no_alert_leaves_above_the_ceiling(serve: Serve, fake: FakeRuntime, start: Start):
    hook = await start(TAKEN)
    alerts = f'[alerts]\nwebhook = "{base_url(hook)}"\negress = "vendor"\n[egress]\nceiling = "local"\n'
    served = await serve(NO_ENGINE + free(fake) + budget(usd=None, tokens=1000, local_tokens=True, alerts=[0.001]) + alerts)
    await ask(served, model="small", max_tokens=10)
    await settled(served)
    assert hook.journal == []


async def test_the_command_shows_how_each_account_stands(serve: Serve, fake: FakeRuntime, tmp_path: Any, far_from_midnight: int):
    text = NO_ENGINE + paid(fake) + budget(per="user", tokens=1000) + budget(name="images", window="total", usd=3.0)
    served = await serve(text, home=tmp_path / "data")
    await ask(served, model="big", max_tokens=100)
    await settled(served)
    place = Place(tmp_path, text)
    place.moved_ms = far_from_midnight
    rows = await asyncio.to_thread(place.json, "budget", "list")
    by_name = {(row["budget"], row["unit"]): row for row in rows}
    usage = (await last(served)).request.usage
    assert by_name["team", "tokens"]["whose"] == "local"
    assert by_name["team", "tokens"]["spent"] == usage.input_tokens + usage.output_tokens
    assert by_name["team", "usd"]["reserved"] == 0
    assert by_name["images", "usd"]["resets_at"] is None
    printed = await asyncio.to_thread(place.run, "budget", "list", "team")
    assert "whole again" in printed
    assert "images" not in printed
    assert "no budget 'gone'" in await asyncio.to_thread(lambda: place.run("budget", "list", "gone", code=2))
