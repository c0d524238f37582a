"""Real clients, both wire formats, whole and streamed, in front of runtimes that speak either."""

import json
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
    "required": ["city"],
}
OPENAI_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}
ANTHROPIC_TOOL: Any = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER}
O200K, CL100K = 17, 18
"""Tokens of the text below, as tiktoken counts them."""
TWO_CALLS = '[[fake: tool=get_weather {"city": "Paris"}]] [[fake: tool=get_weather {"city": "Rome", "unit": "C"}]]'


def config(fake: FakeRuntime, speaks: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("lab", "self_hosted", base_url(fake), formats=f'["{speaks}"]')
        + deployment_toml("lab", "fake", "fake-chat", free="true")
    )


@pytest.fixture(params=["openai_chat", "anthropic_messages"])
def speaks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_openai_client_chats_whole(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    reply = await served.openai().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "[[fake: say=hello there]]"}]
    )
    assert reply.choices[0].message.content == "hello there"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "gpt-4o"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


async def test_openai_client_chats_streamed(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    stream = await served.openai().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "[[fake: say=hello streamed world]]"}], stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello streamed world"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}
    assert all(chunk.usage is None for chunk in chunks), "usage was asked for upstream, but not by the client"
    assert served.last().request.usage.output_tokens > 0


async def test_openai_client_sees_usage_when_it_asks(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    stream = await served.openai().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None


async def test_anthropic_client_chats_whole(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    reply = await served.anthropic().messages.create(
        model="claude-x", max_tokens=200, messages=[{"role": "user", "content": "[[fake: say=hello there]]"}]
    )
    assert reply.content[0].type == "text"
    assert reply.content[0].text == "hello there"
    assert reply.stop_reason == "end_turn"
    assert reply.model == "claude-x"
    assert reply.usage.output_tokens > 0


async def test_anthropic_client_chats_streamed(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    async with served.anthropic().messages.stream(
        model="claude-x[1m]",
        max_tokens=200,
        system="Be short.",
        messages=[{"role": "user", "content": "[[fake: say=hello streamed world]]"}],
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "hello streamed world"
    assert final.model == "claude-x[1m]"
    assert final.stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_client_gets_two_parallel_tool_calls(serve: Serve, fake: FakeRuntime, speaks: str, streamed: bool) -> None:
    served = await serve(config(fake, speaks))
    messages: Any = [{"role": "user", "content": TWO_CALLS}]
    if streamed:
        async with served.openai().chat.completions.stream(model="gpt-4o", messages=messages, tools=[OPENAI_TOOL]) as stream:
            reply: Any = await stream.get_final_completion()
    else:
        reply = await served.openai().chat.completions.create(model="gpt-4o", messages=messages, tools=[OPENAI_TOOL])
    calls = reply.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome", "unit": "C"}),
    ]
    assert len({call.id for call in calls}) == 2
    assert reply.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_client_gets_two_parallel_tool_calls_and_sends_results(
    serve: Serve, fake: FakeRuntime, speaks: str, streamed: bool
) -> None:
    served = await serve(config(fake, speaks))
    messages: Any = [{"role": "user", "content": TWO_CALLS}]
    client = served.anthropic()
    if streamed:
        async with client.messages.stream(model="claude-x", max_tokens=500, messages=messages, tools=[ANTHROPIC_TOOL]) as stream:
            reply: Any = await stream.get_final_message()
    else:
        reply = await client.messages.create(model="claude-x", max_tokens=500, messages=messages, tools=[ANTHROPIC_TOOL])
    calls = [block for block in reply.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome", "unit": "C"}]
    assert reply.stop_reason == "tool_use"
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "sunny"}, image]},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "rain", "is_error": True},
        {"type": "text", "text": "[[fake: say=done]]"},
    ]
    messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": results}]
    after = await client.messages.create(model="claude-x", max_tokens=500, messages=messages, tools=[ANTHROPIC_TOOL])
    assert after.content[0].text == "done"
    sent = json.loads(fake.journal[-1].body)
    flat = json.dumps(sent)
    assert "sunny" in flat
    assert "rain" in flat
    assert "iVBORw0KGgo=" in flat, "an image in a tool result arrives"


async def test_reasoning_is_carried(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    reply = await served.anthropic().messages.create(
        model="claude-x", max_tokens=500, messages=[{"role": "user", "content": "[[fake: think=let me see]] [[fake: say=four]]"}]
    )
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.content[0].thinking == "let me see"
    chat = await served.openai().chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "[[fake: think=let me see]] [[fake: say=four]]"}]
    )
    message: Any = chat.choices[0].message
    assert message.content == "four"
    assert message.reasoning_content == "let me see"


async def test_headers_and_ledger_say_where_and_why(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    raw = await served.openai().chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
    )
    assert raw.headers["x-freehold-runtime"] == "lab"
    assert raw.headers["x-freehold-deployment"] == "lab/fake"
    detail = served.last()
    assert detail.request.request_id == raw.headers["x-freehold-request-id"]
    assert detail.request.reason == raw.headers["x-freehold-reason"]
    assert detail.request.outcome == "served"
    assert [attempt.end for attempt in detail.attempts] == ["served"]
    assert detail.attempts[0].mode == "relay"
    assert detail.decision.features.caller.user == "local"
    assert detail.request.cost_nano_usd == 0
    assert detail.request.cost_basis == "free"


async def test_unknown_model_is_refused_in_the_callers_format(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    with pytest.raises(Exception, match="nothing-like-it") as told:
        await served.openai().chat.completions.create(model="nothing-like-it", messages=[{"role": "user", "content": "hi"}])
    assert told.value.status_code == 404  # type: ignore[attr-defined]
    assert told.value.body["code"] == "model_not_found"  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="nothing-like-it") as told:
        await served.anthropic().messages.create(
            model="nothing-like-it", max_tokens=10, messages=[{"role": "user", "content": "hi"}]
        )
    assert told.value.body["error"]["type"] == "not_found_error"  # type: ignore[attr-defined]


async def test_models_are_listed_for_both_clients(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    ids = [model.id async for model in served.openai().models.list()]
    assert {"auto", "fake"} <= set(ids)
    names = [model.id async for model in served.anthropic().models.list()]
    assert any("claude" in name for name in names)
    assert (await served.openai().models.retrieve("lab/fake")).id == "lab/fake"


async def test_prompts_of_models_with_a_public_vocabulary_are_counted_exactly(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("lab", "vendor", base_url(fake))
        + deployment_toml("lab", "gpt-4o", "gpt-4o", free="true")
        + deployment_toml("lab", "gpt-4", "gpt-4", free="true")
        + deployment_toml("lab", "mystery", "mystery", free="true")
    )
    text = "antidisestablishmentarianism, señor: 12345 + 67890!"
    counted = {}
    for model in ("gpt-4o", "gpt-4", "mystery"):
        await served.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
        features = served.last().decision.features
        counted[model] = (features.prompt_tokens, features.prompt_tokens_exact)
    overhead = 3 + 4  # OpenAI's cookbook: what primes the answer, and what stands around one message
    assert counted == {
        "gpt-4o": (O200K + overhead, True),
        "gpt-4": (CL100K + overhead, True),
        "mystery": (O200K + overhead, False),
    }


@pytest.mark.parametrize("signature", ["", "signed-by-the-vendor"])
async def test_thinking_that_a_vendor_did_not_sign_is_never_sent_to_it(serve: Serve, fake: FakeRuntime, signature: str) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("cloud", "vendor", base_url(fake), formats='["anthropic_messages"]')
        + deployment_toml("cloud", "m", "m", free="true")
    )
    thinking: Any = {"type": "thinking", "thinking": "I wonder", "signature": signature}
    await served.anthropic().messages.create(
        model="claude-x",
        max_tokens=100,
        messages=[
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [thinking, {"type": "text", "text": "two"}]},
            {"role": "user", "content": "three"},
        ],
    )
    assert (b"I wonder" in fake.journal[-1].body) == bool(signature)
    assert served.last().attempts[0].mode == ("relay" if signature else "translate")


async def test_a_message_thread_is_refused_so_that_the_sdk_sends_whole_histories(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "anthropic_messages"))
    with pytest.raises(Exception, match="thread") as told:
        await served.anthropic().messages.create(
            model="claude-x",
            max_tokens=100,
            messages=[{"role": "user", "content": "one"}],
            extra_body={"thread": {"type": "create"}},
        )
    assert told.value.body["error"]["details"]["error_code"] == "thread_unsupported_request"  # type: ignore[attr-defined]
    assert fake.journal == []
