"""The embedded model, for real: what a stranger gets from `make run`, with the official clients."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Serve, Served

pytestmark = pytest.mark.engine
on_the_modules_loop = pytest.mark.asyncio(loop_scope="module")

CAPITAL: Any = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
COLD = {"temperature": 0}
"""Anthropic's SDK no longer has the argument; the API still does."""
ENDLESS: Any = {"temperature": 0, "logit_bias": {"0": -100, "2": -100}}
"""The answer may not end: some are four tokens long, and over before anything can be done in the middle of them."""
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


@on_the_modules_loop
async def test_a_stranger_gets_real_answers_through_both_clients(embedded: Served) -> None:
    openai, anthropic = embedded.openai(), embedded.anthropic()
    whole = await openai.chat.completions.create(model="gpt-4o-mini", messages=CAPITAL, temperature=0, max_tokens=30)
    assert "Paris" in (whole.choices[0].message.content or "")
    assert whole.model == "gpt-4o-mini"
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    stream = await openai.chat.completions.create(model="auto", messages=CAPITAL, temperature=0, max_tokens=30, stream=True)
    assert "Paris" in "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    message = await anthropic.messages.create(model="claude-haiku", max_tokens=30, extra_body=COLD, messages=CAPITAL)
    assert "Paris" in message.content[0].text  # type: ignore[union-attr]
    async with anthropic.messages.stream(model="claude-haiku", max_tokens=30, extra_body=COLD, messages=CAPITAL) as events:
        assert "Paris" in "".join([text async for text in events.text_stream])
    rows = embedded.rows()[:4]
    assert {row.deployment for row in rows} == {"embedded/smollm2-135m-instruct"}
    assert {row.egress for row in rows} == {"local"}
    assert all(row.usage.output_tokens > 0 for row in rows)


@on_the_modules_loop
async def test_models_and_token_counts(embedded: Served) -> None:
    assert "auto" in [model.id async for model in embedded.openai().models.list()]
    assert any("claude" in model.id for model in (await embedded.anthropic().models.list()).data)


@on_the_modules_loop
@pytest.mark.parametrize(
    "more",
    [
        {"messages": CAPITAL},
        {"system": "Antworte höflich auf Japanisch: はい。", "messages": CAPITAL},
        {
            "tools": [{"name": "weather", "description": "The weather of a city", "input_schema": WEATHER}],
            "messages": [
                {"role": "user", "content": "Wie ist das Wetter in Köln?"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Köln"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "12 °C"}]},
            ],
        },
    ],
    ids=["a question", "a system prompt", "a tool's result"],
)
async def test_a_prompt_is_counted_as_the_engine_reads_it(embedded: Served, more: dict[str, Any]) -> None:
    client = embedded.anthropic()
    counted = await client.messages.with_raw_response.count_tokens(model="claude-x", **more)
    assert counted.headers["x-freehold-usage-basis"] == "measured"
    answer = await client.messages.create(model="claude-x", max_tokens=4, extra_body=COLD, **more)
    read = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    assert (await counted.parse()).input_tokens == read


@on_the_modules_loop
async def test_embeddings_are_near_for_near_meanings(embedded: Served) -> None:
    texts = ["The cat sat on the mat.", "A cat is sitting on a rug.", "Quarterly revenue rose by ten percent."]
    reply = await embedded.openai().embeddings.create(model="text-embedding-3-small", input=texts)
    vectors = [item.embedding for item in reply.data]
    assert len(vectors[0]) == 384
    near, far = dot(vectors[0], vectors[1]), dot(vectors[0], vectors[2])
    assert near > 0.6 > far
    assert embedded.last().request.deployment == "embedder/all-minilm-l6-v2"


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@on_the_modules_loop
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_call_is_made_through_a_schema_with_valid_arguments(embedded: Served, streamed: bool) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "get_weather", "description": "Weather of a city", "parameters": WEATHER},
    }
    ask: Any = {
        "model": "auto",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [tool],
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 200,
    }
    if streamed:
        async with embedded.openai().chat.completions.stream(**ask) as stream:
            reply: Any = await stream.get_final_completion()
    else:
        reply = await embedded.openai().chat.completions.create(**ask)
    calls = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls[0].function.name == "get_weather"
    arguments = json.loads(calls[0].function.arguments)
    assert set(arguments) == {"city"}
    assert isinstance(arguments["city"], str)


@on_the_modules_loop
async def test_an_anthropic_tool_call_too(embedded: Served) -> None:
    message = await embedded.anthropic().messages.create(
        model="claude-x",
        max_tokens=200,
        extra_body=COLD,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[{"name": "get_weather", "description": "Weather of a city", "input_schema": WEATHER}],
        tool_choice={"type": "tool", "name": "get_weather"},
    )
    block: Any = next(block for block in message.content if block.type == "tool_use")
    assert block.name == "get_weather"
    assert set(block.input) == {"city"}
    assert message.stop_reason == "tool_use"


@on_the_modules_loop
async def test_structured_output_conforms(embedded: Served) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    reply = await embedded.openai().chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Give me a number."}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
        max_tokens=50,
        temperature=0,
    )
    assert isinstance(json.loads(reply.choices[0].message.content or "")["n"], int)


@on_the_modules_loop
async def test_a_prompt_longer_than_the_window_is_refused_before_it_is_sent(embedded: Served) -> None:
    long = "word " * 12_000
    with pytest.raises(Exception, match=r"context|window|long") as told:
        await embedded.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": long}])
    assert told.value.body["code"] == "context_length_exceeded"  # type: ignore[attr-defined]
    with pytest.raises(Exception, match=r"prompt is too long: \d+ tokens > 8192 maximum"):
        await embedded.anthropic().messages.create(model="claude-x", max_tokens=10, messages=[{"role": "user", "content": long}])
    assert embedded.last().attempts == ()


@on_the_modules_loop
async def test_a_client_that_leaves_is_charged_the_prompt_as_the_engine_counted_it(embedded: Served) -> None:
    ask: Any = {"model": "auto", "messages": [{"role": "user", "content": "Zähle auf: 日本語, naïveté, 12345."}], **ENDLESS}
    client = embedded.openai()
    whole = await client.chat.completions.create(**ask, max_tokens=4)
    assert whole.usage is not None
    async with await client.chat.completions.create(**ask, max_tokens=400, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    while embedded.rows()[0].outcome != "cancelled":  # noqa: ASYNC110 - the ledger has no event for a row
        await asyncio.sleep(0.01)
    [attempt] = embedded.last().attempts
    assert attempt.usage is not None
    assert attempt.usage.basis == "estimated"
    assert attempt.usage.input_tokens == whole.usage.prompt_tokens
    assert attempt.usage.output_tokens >= 1


async def test_kill_9_of_the_engine_is_a_clear_fault_and_it_comes_back(serve: Serve, home_with_weights: Path) -> None:
    served = await serve("", home=home_with_weights)
    await asyncio.wait_for(served.app.engines.ready(), 60)
    engines = served.app.engines
    pid = engines.state("embedded").pid
    assert pid is not None
    changed = asyncio.Event()
    engines.on_change(lambda name, state: changed.set() if name == "embedded" and state.status == "ready" else None)
    stream = await served.openai().chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Count to one thousand."}], stream=True, max_tokens=2000, **ENDLESS
    )
    with pytest.raises(Exception, match="closed|reset|ended") as told:
        async for _ in stream:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                pid = None
    assert type(told.value).__name__ == "APIError"
    assert served.last().request.outcome == "cut"
    await asyncio.wait_for(changed.wait(), 60)
    again = await served.openai().chat.completions.create(model="auto", messages=CAPITAL, temperature=0, max_tokens=30)
    assert "Paris" in (again.choices[0].message.content or "")
    assert engines.state("embedded").restarts == 1


async def test_missing_weights_are_a_clear_fault(serve: Serve, tmp_path: Path) -> None:
    served = await serve("", home=tmp_path)
    await asyncio.wait_for(served.app.engines.ready(), 60)
    with pytest.raises(Exception, match="freehold pull") as told:
        await served.openai().chat.completions.create(model="auto", messages=CAPITAL)
    assert told.value.status_code == 503  # type: ignore[attr-defined]
