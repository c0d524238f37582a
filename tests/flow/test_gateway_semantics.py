"""What people expect of a gateway: request ids, waits passed on, several choices, seeds, stream options."""

import json
from typing import Any

import anthropic
import httpx
import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def config(fake: FakeRuntime, speaks: str = "openai_chat") -> str:
    return (
        NO_ENGINE
        + runtime_toml("lab", "local", base_url(fake), formats=f'["{speaks}"]')
        + deployment_toml("lab", "fake", "fake-chat", free="true")
    )


async def test_both_official_clients_know_the_id_the_ledger_has(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    said = await served.openai().chat.completions.create(**ASK)
    assert said._request_id == served.last().request.request_id
    told = await served.anthropic().messages.create(model="claude-x", max_tokens=5, messages=ASK["messages"])
    assert told._request_id == served.last().request.request_id
    async with served.openai().chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
        await response.read()
        assert response.headers["x-request-id"] == served.last().request.request_id


async def test_a_fault_carries_the_id_too(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(status=400)
    served = await serve(config(fake))
    with pytest.raises(openai.BadRequestError) as error:
        await served.openai().chat.completions.create(**ASK)
    assert error.value.request_id == served.last().request.request_id


async def test_every_other_answer_carries_an_id_under_the_names_clients_know(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    assert (await served.openai().models.list())._request_id
    upload = {"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": "batch"}}
    body: dict[str, Any] = {"json": {"model": "gpt-4o", "messages": []}}
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        kept = await client.post("/v1/files", **upload)
        content = f"/v1/files/{kept.json()['id']}/content"
        answers = [kept, *[await client.get(path) for path in (content, "/v1/files", "/v1/batches", "/v1/models/gpt-4o")]]
        answers += [await client.get(path) for path in ("/api/tags", "/api/ps", "/api/version", "/v1/responses")]
        answers += [await client.post("/api/show", **body), await client.post("/api/chat", **body)]
        counted = {"json": ASK}
        answers += [
            await client.post("/v1/messages/count_tokens", **counted),
            await client.delete(content.removesuffix("/content")),
        ]
        assert [answer.status_code for answer in answers] == [200] * 8 + [405] + [200] * 4
        answers += [
            await client.get(path)
            for path in ("/nothing", "/v1/messages", "/admin/budgets", "/admin/keys", "/api/nothing", "/v1/files/nothing")
        ]
        answers += [await client.post(path, **body) for path in ("/v1/chat/completions", "/v1/messages", "/v1/embeddings")]
    for answer in answers:
        ids = {answer.headers.get(name) for name in ("x-freehold-request-id", "x-request-id", "request-id")}
        assert len(ids) == 1, (answer.url, answer.headers)
        assert str(ids.pop()).startswith("req_"), answer.url


@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_an_upstream_asks_for_is_passed_on_and_holds_for_the_next(
    serve: Serve, fake: FakeRuntime, status: int
) -> None:
    fake._script = lambda _received: Act(status=status, retry_after="7")
    served = await serve(config(fake))
    with pytest.raises(openai.APIStatusError) as error:
        await served.openai().chat.completions.create(**ASK)
    assert error.value.status_code == status
    assert int(error.value.response.headers["retry-after"]) == 7
    with pytest.raises(anthropic.APIStatusError) as told:
        await served.anthropic().messages.create(model="claude-x", max_tokens=5, messages=ASK["messages"])
    assert told.value.status_code in {status, 503}
    assert 1 <= int(told.value.response.headers["retry-after"]) <= 7


async def test_a_plan_whose_every_step_rests_says_when_to_come_back(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(status=503)
    served = await serve(config(fake))
    client = served.openai()
    for _ in range(20):
        with pytest.raises(openai.APIStatusError) as error:
            await client.chat.completions.create(**ASK)
        if error.value.response.headers.get("retry-after") is not None:
            break
    assert error.value.status_code == 503
    assert int(error.value.response.headers["retry-after"]) >= 1
    assert len(fake.journal) < 20, "a deployment that rests is not called"


async def test_several_choices_are_relayed_and_refused_where_the_format_has_none(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake))
    await served.openai().chat.completions.create(**ASK, n=3, seed=7)
    assert json.loads(fake.journal[0].body)["n"] == 3
    assert json.loads(fake.journal[0].body)["seed"] == 7
    served = await serve(config(other_fake, "anthropic_messages"))
    with pytest.raises(openai.BadRequestError) as error:
        await served.openai().chat.completions.create(**ASK, n=3)
    assert "n" in error.value.message
    assert not other_fake.journal


async def test_a_seed_no_format_upstream_knows_is_dropped_as_documented(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "anthropic_messages"))
    reply = await served.openai().chat.completions.create(**ASK, seed=7)
    assert reply.choices[0].message.content
    assert "seed" not in json.loads(fake.journal[0].body)


async def test_stream_options_without_a_stream_do_no_harm(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    reply = await served.openai().chat.completions.create(**ASK, stream_options={"include_usage": True})
    assert reply.usage is not None
