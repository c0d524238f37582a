"""The official `openai` client on the Responses API: translated, relayed, and what is refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
    "required": ["city"],
}
TOOL: Any = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": WEATHER, "strict": False}
TWO_CALLS = '[[fake: tool=get_weather {"city": "Paris"}]] [[fake: tool=get_weather {"city": "Rome", "unit": "C"}]]'
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
SPACE: Any = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files",
    "tools": [{"type": "function", "name": "read", "description": "Read", "parameters": WEATHER, "strict": False}],
}


class City(pydantic.BaseModel):
    city: str


def config(fake: FakeRuntime, speaks: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("lab", "self_hosted", base_url(fake), formats=f'["{speaks}"]')
        + deployment_toml("lab", "fake", "fake-chat", free="true")
    )


@pytest.fixture(params=["openai_chat", "anthropic_messages", "openai_responses"])
def speaks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_whole_response(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    reply = await served.openai().responses.create(
        model="gpt-5",
        instructions="Be short.",
        input="[[fake: think=let me see]] [[fake: say=hello there]]",
        max_output_tokens=50,
    )
    assert reply.output_text == "hello there"
    assert [item.type for item in reply.output] == ["reasoning", "message"]
    assert reply.status == "completed"
    assert reply.model == "gpt-5"
    assert reply.instructions == "Be short."
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    detail = served.last()
    assert detail.request.outcome == "served"
    assert detail.request.wire_format == "openai_responses"
    assert detail.attempts[0].mode == ("relay" if speaks == "openai_responses" else "translate")


async def test_a_streamed_response(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    stream = await served.openai().responses.create(model="gpt-5", input="[[fake: say=hello streamed world]]", stream=True)
    events: list[Any] = [event async for event in stream]
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "hello streamed world"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {event.response.id for event in events if hasattr(event, "response")} == {events[0].response.id}
    assert {event.response.model for event in events if hasattr(event, "response")} == {"gpt-5"}
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.output_tokens > 0
    assert served.last().request.usage.output_tokens == events[-1].response.usage.output_tokens


@pytest.mark.parametrize("streamed", [False, True])
async def test_two_parallel_calls_and_their_results_with_an_image(
    serve: Serve, fake: FakeRuntime, speaks: str, streamed: bool
) -> None:
    served = await serve(config(fake, speaks))
    client = served.openai()
    asked: Any = [{"role": "user", "content": TWO_CALLS}]
    if streamed:
        async with client.responses.stream(model="gpt-5", input=asked, tools=[TOOL]) as stream:
            reply: Any = await stream.get_final_response()
    else:
        reply = await client.responses.create(model="gpt-5", input=asked, tools=[TOOL])
    calls = [item for item in reply.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome", "unit": "C"}]
    assert len({call.call_id for call in calls}) == 2
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}
    results: Any = [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": [{"type": "input_text", "text": "sunny"}, image]},
        {"type": "function_call_output", "call_id": calls[1].call_id, "output": "rain"},
        {"role": "user", "content": "[[fake: say=done]]"},
    ]
    said = [item.model_dump(exclude_none=True, exclude={"parsed_arguments", "status"}) for item in reply.output]
    after = await client.responses.create(model="gpt-5", input=[*asked, *said, *results], tools=[TOOL], store=False)
    assert after.output_text == "done"
    sent = json.dumps(json.loads(fake.journal[-1].body))
    assert all(word in sent for word in ("sunny", "rain", "iVBORw0KGgo="))


async def test_structured_output_is_parsed(serve: Serve, fake: FakeRuntime, speaks: str) -> None:
    served = await serve(config(fake, speaks))
    client = served.openai()
    parsed = await client.responses.parse(model="gpt-5", input="where?", text_format=City)
    assert isinstance(parsed.output_parsed, City)
    async with client.responses.stream(model="gpt-5", input="where?", text_format=City) as stream:
        final = await stream.get_final_response()
    assert isinstance(final.output_parsed, City)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_cut_at_its_length_is_incomplete(serve: Serve, fake: FakeRuntime, speaks: str, streamed: bool) -> None:
    served = await serve(config(fake, speaks))
    client = served.openai()
    if streamed:
        stream = await client.responses.create(
            model="gpt-5", input="[[fake: say=one two three four]] [[fake: truncate]]", stream=True
        )
        events: list[Any] = [event async for event in stream]
        assert events[-1].type == "response.incomplete"
        reply: Any = events[-1].response
    else:
        reply = await client.responses.create(model="gpt-5", input="[[fake: say=one two three four]] [[fake: truncate]]")
    assert reply.status == "incomplete"
    assert reply.incomplete_details.reason == "max_output_tokens"
    assert reply.output_text.startswith("one")


async def test_the_tools_of_codex_reach_a_model_that_knows_functions_only(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    text = '[[fake: tool=apply_patch {"input": "*** Begin Patch\\n"}]] [[fake: tool=mcp__files__read {"city": "x"}]]'
    stream = await served.openai().responses.create(
        model="gpt-5", input=text, tools=[PATCH, SPACE, {"type": "web_search"}], stream=True, parallel_tool_calls=True
    )
    events: list[Any] = [event async for event in stream]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.type for item in done] == ["custom_tool_call", "function_call"]
    assert (done[0].name, done[0].input) == ("apply_patch", "*** Begin Patch\n")
    assert (done[1].name, done[1].namespace) == ("read", "mcp__files")
    sent = json.loads(fake.journal[-1].body)
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["apply_patch", "mcp__files__read"]
    assert "lark" in sent["tools"][0]["function"]["description"]
    history: Any = [{"role": "user", "content": "[[fake: say=done]]"}]
    history += [item.model_dump(exclude_none=True, exclude={"status"}) for item in done]
    history += [
        {"type": "custom_tool_call_output", "call_id": done[0].call_id, "output": "patched"},
        {"type": "function_call_output", "call_id": done[1].call_id, "output": "read it"},
    ]
    await served.openai().responses.create(model="gpt-5", input=history, tools=[PATCH, SPACE])
    messages = json.loads(fake.journal[-1].body)["messages"]
    assert [call["function"]["name"] for call in messages[1]["tool_calls"]] == ["apply_patch", "mcp__files__read"]
    assert [message["content"] for message in messages[2:]] == ["patched", "read it"]


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("previous_response_id", "resp_1", "whole conversation"),
        ("conversation", "conv_1", "whole conversation"),
        ("background", True, "ask without it"),
        ("prompt", {"id": "pmpt_1"}, "instructions"),
    ],
)
async def test_what_must_be_kept_by_a_vendor_is_refused_with_a_remedy_and_relayed_where_it_can_be(
    serve: Serve, fake: FakeRuntime, field: str, value: Any, remedy: str
) -> None:
    served = await serve(config(fake, "openai_chat"))
    with pytest.raises(openai.BadRequestError, match=remedy) as told:
        await served.openai().responses.create(model="gpt-5", input="hi", extra_body={field: value})
    assert told.value.param == field
    assert fake.journal == []
    relaying = await serve(config(fake, "openai_responses"))
    await relaying.openai().responses.create(model="gpt-5", input="hi", extra_body={field: value})
    assert json.loads(fake.journal[-1].body)[field] == value


async def test_a_vendors_own_tool_is_refused_where_nobody_runs_it(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    with pytest.raises(openai.BadRequestError, match="file_search"):
        await served.openai().responses.create(
            model="gpt-5", input="hi", tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}]
        )
    with pytest.raises(openai.BadRequestError, match="item_reference|nothing is stored"):
        await served.openai().responses.create(model="gpt-5", input=[{"type": "item_reference", "id": "msg_1"}])
    assert fake.journal == []


async def test_a_break_amid_a_stream_is_a_failed_response_of_the_same_id_and_an_error(
    serve: Serve, fake: FakeRuntime, speaks: str
) -> None:
    served = await serve(config(fake, speaks))
    stream = await served.openai().responses.create(
        model="gpt-5", input="[[fake: say=one two three four]] [[fake: break=mid]]", stream=True
    )
    events: list[Any] = []
    with pytest.raises(openai.APIError, match="ended|closed|reset"):
        async for event in stream:
            events.append(event)
    assert events[0].type == "response.created"
    assert events[-1].type == "response.failed"
    assert events[-1].response.id == events[0].response.id
    assert events[-1].response.error.code == "server_error"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert served.last().request.outcome == "cut"


@pytest.mark.parametrize("act", [Act(error_event="first"), Act(cut="before-content"), Act(html=True), Act(status=503)])
async def test_a_failure_before_content_falls_back(serve: Serve, other_fake: FakeRuntime, act: Act) -> None:
    first = FakeRuntime([act])
    await first.start()
    try:
        served = await serve(
            NO_ENGINE
            + runtime_toml("first", "self_hosted", base_url(first), formats='["openai_responses"]')
            + runtime_toml("second", "self_hosted", base_url(other_fake), formats='["openai_chat"]')
            + deployment_toml("first", "a", "fake-chat", free="true")
            + deployment_toml("second", "a", "fake-chat", free="true")
            + '[aliases]\nboth = ["first/a", "second/a"]\n'
        )
        stream = await served.openai().responses.create(model="both", input="[[fake: say=fine]]", stream=True)
        events: list[Any] = [event async for event in stream]
    finally:
        await first.stop()
    assert events[-1].response.output_text == "fine"
    assert [event.type for event in events].count("response.created") == 1, "what the first one began was held back"
    assert [(attempt.deployment, attempt.end) for attempt in served.last().attempts] == [
        ("first/a", "fault"),
        ("second/a", "served"),
    ]


@pytest.mark.parametrize(("upgrade", "status"), [("connection: upgrade\r\nupgrade: websocket\r\n", 426), ("", 405)])
async def test_a_websocket_is_sent_to_http_at_once(serve: Serve, fake: FakeRuntime, upgrade: str, status: int) -> None:
    served = await serve(config(fake, "openai_chat"))
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /v1/responses HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{upgrade}\r\n".encode())
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())


async def test_reasoning_is_told_as_a_summary_to_who_asks_for_one(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    reply: Any = await served.openai().responses.create(
        model="gpt-5", input="[[fake: think=let me see]] [[fake: say=four]]", reasoning={"summary": "auto", "effort": "low"}
    )
    assert reply.output[0].summary[0].text == "let me see"
    assert json.loads(fake.journal[-1].body)["reasoning_effort"] == "low"
    reply = await served.openai().responses.create(model="gpt-5", input="[[fake: think=let me see]] [[fake: say=four]]")
    assert reply.output[0].content[0].text == "let me see"


async def test_nothing_is_stored(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    client = served.openai()
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="nothing is stored here"):
            await ask("resp_123")
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_items.list("resp_123")
    with pytest.raises(openai.NotFoundError, match="count_tokens"):
        await client.responses.input_tokens.count(model="gpt-5", input="hi")
    with pytest.raises(openai.NotFoundError, match="not compacted here"):
        await client.responses.compact(model="gpt-5", input="hi")


async def test_unknown_models_and_wrong_fields_are_named_in_openais_form(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    with pytest.raises(openai.NotFoundError, match="nothing-like-it"):
        await served.openai().responses.create(model="nothing-like-it", input="hi")
    with pytest.raises(openai.BadRequestError) as told:
        await served.openai().responses.create(model="gpt-5", input=[{"role": "robot", "content": "hi"}])  # type: ignore[list-item]
    assert told.value.param is not None
    assert "role" in told.value.param


async def test_other_clients_reach_a_runtime_that_speaks_responses(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_responses"))
    chat = await served.openai().chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": "[[fake: think=hm]] [[fake: say=hello]]"}]
    )
    assert chat.choices[0].message.content == "hello"
    message = await served.anthropic().messages.create(
        model="claude-x", max_tokens=100, messages=[{"role": "user", "content": "[[fake: think=hm]] [[fake: say=hello]]"}]
    )
    assert [block.type for block in message.content] == ["thinking", "text"]
    sent = json.loads(fake.journal[-1].body)
    assert sent["store"] is False, "who never asked for storing gets nothing stored"
    assert sent["max_output_tokens"] == 100


@pytest.mark.engine
async def test_the_embedded_model_answers_calls_a_tool_and_holds_to_a_schema(serve: Serve, home_with_weights: Path) -> None:
    served = await serve("", home=home_with_weights)
    await asyncio.wait_for(served.app.engines.ready(), 60)
    client = served.openai()
    capital: Any = "What is the capital of France? Answer in one word."
    whole = await client.responses.create(model="auto", input=capital, temperature=0, max_output_tokens=30)
    assert "Paris" in whole.output_text
    async with client.responses.stream(model="auto", input=capital, temperature=0, max_output_tokens=30) as stream:
        final: Any = await stream.get_final_response()
    assert "Paris" in final.output_text
    assert final.usage.output_tokens > 0
    called = await client.responses.create(
        model="auto",
        input="What is the weather in Paris?",
        tools=[TOOL],
        tool_choice="required",
        temperature=0,
        max_output_tokens=200,
    )
    call: Any = next(item for item in called.output if item.type == "function_call")
    assert isinstance(json.loads(call.arguments)["city"], str)
    parsed = await client.responses.parse(
        model="auto", input="Name a city.", text_format=City, temperature=0, max_output_tokens=60
    )
    assert isinstance(parsed.output_parsed, City)
    assert {row.egress for row in served.rows()} == {"local"}
