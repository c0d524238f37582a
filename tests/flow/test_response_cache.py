"""The response cache, through real clients: a rule opts in, the very same request is answered again without a call."""

from contextlib import suppress
from typing import Any

import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "what is new?"}], "temperature": 0}
ASK_CLAUDE: dict[str, Any] = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "what is new?"}]}


def config(fake: FakeRuntime, cache: str = "{ ttl_s = 60 }", more: str = "", speaks: str = "openai_chat") -> str:
    return (
        NO_ENGINE
        + runtime_toml("lab", "local", base_url(fake), formats=f'["{speaks}"]')
        + deployment_toml("lab", "fake", "fake-chat", free="true")
        + f'[[rules]]\nname = "again"\ntry = ["local"]\ncache = {cache}\n'
        + more
    )


def numbered(fake: FakeRuntime) -> None:
    """Each call upstream is answered differently, so that an answer given again shows."""
    fake._script = lambda received: Act(say=f"answer {received.number}")


async def said(
    served: Served, *, stream: bool = False, headers: dict[str, str] | None = None, **more: Any
) -> tuple[str, str | None]:
    """The answer's text, and what the cache header says."""
    chat = served.openai().chat.completions
    if not stream:
        raw = await chat.with_raw_response.create(**ASK, **more, extra_headers=headers or {})
        return raw.parse().choices[0].message.content or "", raw.headers.get("x-freehold-cache")
    async with chat.with_streaming_response.create(**ASK, **more, stream=True, extra_headers=headers or {}) as response:
        chunks = [chunk async for chunk in await response.parse()]
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        return text, response.headers.get("x-freehold-cache")


@pytest.mark.parametrize("speaks", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize("first_streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("then_streams", [False, True], ids=["then whole", "then streamed"])
async def test_the_same_request_is_answered_again_whole_or_streamed(
    serve: Serve, fake: FakeRuntime, speaks: str, *, first_streams: bool, then_streams: bool
) -> None:
    numbered(fake)
    served = await serve(config(fake, speaks=speaks))
    assert await said(served, stream=first_streams) == ("answer 1", None)
    assert await said(served, stream=then_streams) == ("answer 1", "hit")
    assert len(fake.journal) == 1


async def test_an_anthropic_client_reads_an_answer_given_again(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(config(fake))
    first = await served.anthropic().messages.create(**ASK_CLAUDE)
    async with served.anthropic().messages.stream(**ASK_CLAUDE) as stream:
        again = await stream.get_final_message()
    assert [block.text for block in again.content] == [block.text for block in first.content] == ["answer 1"]
    assert again.stop_reason == "end_turn"
    assert again.usage.output_tokens == first.usage.output_tokens > 0
    assert len(fake.journal) == 1


async def test_usage_is_there_for_who_asks_for_it(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    await said(served, stream=True)
    stream = await served.openai().chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert len(fake.journal) == 1


async def test_the_ledger_says_that_nobody_was_called(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    await said(served)
    first = served.last().request
    await said(served)
    row = served.last().request
    assert (row.outcome, row.status, row.attempts, row.cost_nano_usd, row.cost_basis) == ("served", 200, 0, 0, "free")
    assert row.deployment is None
    assert row.egress is None
    assert row.reason == f"rule 'again': from the response cache, as answered to {first.request_id}"


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.1},
        {"seed": 1},
        {"messages": [{"role": "user", "content": "what is new? "}]},
        {"model": "gpt-4o-mini"},
        {"extra_body": {"odd": 1}},
        {"headers": {"x-freehold-label": "confidential"}},
        {"headers": {"x-freehold-ceiling": "local"}},
        {"headers": {"openai-beta": "x"}},
        {"headers": {"cache-control": "no-cache"}},
        {"headers": {"cache-control": "No-Store, max-age=0"}},
    ],
    ids=str,
)
async def test_another_request_is_not_answered_by_it(serve: Serve, fake: FakeRuntime, change: dict[str, Any]) -> None:
    numbered(fake)
    served = await serve(config(fake, more='[egress]\nceiling = "vendor"\n'))
    await said(served)
    asked = {**ASK, **{key: value for key, value in change.items() if key != "headers"}}
    reply = await served.openai().chat.completions.create(**asked, extra_headers=change.get("headers", {}))
    assert reply.choices[0].message.content == "answer 2"


async def test_no_store_is_not_kept_and_no_cache_is_kept_anew(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(config(fake))
    await said(served, headers={"cache-control": "no-store"})
    assert await said(served) == ("answer 2", None)
    assert await said(served, headers={"cache-control": "no-cache"}) == ("answer 3", None)
    assert await said(served) == ("answer 3", "hit")


async def test_nothing_is_kept_unless_a_rule_says_so(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(config(fake).replace("cache = { ttl_s = 60 }", ""))
    assert [await said(served), await said(served)] == [("answer 1", None), ("answer 2", None)]


@pytest.mark.parametrize(
    "act",
    [
        Act(status=503),
        Act(cut="mid"),
        Act(error_event="mid"),
        Act(refuse=True),
        Act(empty=True),
        Act(truncate=True),
        Act(repeat=True),
    ],
    ids=["fault", "cut", "error event", "refused", "empty", "truncated", "repeats"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_is_no_good_answer_is_not_kept(serve: Serve, fake: FakeRuntime, act: Act, *, stream: bool) -> None:
    fake._script = lambda received: act if received.number == 1 else Act(say="good")
    served = await serve(config(fake))
    with suppress(openai.APIError, AssertionError):  # a fault, or an end that is not `stop`
        await said(served, stream=stream)
    text, hit = await said(served, stream=stream)
    assert (text, hit) == ("good", None)


async def test_restricted_answers_are_kept_only_where_the_rule_says_so(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    label = {"x-freehold-label": "restricted"}
    served = await serve(config(fake))
    assert [(await said(served, headers=label))[0], (await said(served, headers=label))[0]] == ["answer 1", "answer 2"]
    served = await serve(config(fake, cache="{ ttl_s = 60, restricted = true }"))
    assert [(await said(served, headers=label))[0], (await said(served, headers=label))[0]] == ["answer 3", "answer 3"]
