"""Local models that print their calls as text, or get them wrong: clients of every format get calls they can run."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from typer.testing import CliRunner

from freehold.cli import app as cli
from freehold.gateways.fake import Act, Called, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.printed_calls import BARE, MARKED, ONE_ONLY, TOOLS, speak

CALLS = [("get_weather", {"city": "Rome", "days": 3}), ("search_code", {"query": "main", "paths": ["src"]})]
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": tool.name, "parameters": tool.parameters}} for tool in TOOLS]
ANTHROPIC_TOOLS: Any = [{"name": tool.name, "input_schema": tool.parameters} for tool in TOOLS]
ASK: Any = {"model": "auto", "messages": [{"role": "user", "content": "go"}]}
FAMILIES = [
    "hermes",
    "qwen3-coder",
    "llama python tag",
    "mistral",
    "deepseek",
    "claude",
    "gpt-oss",
    "llama json",
    "fenced",
    "gemma",
]
SCHEMALESS = "{ context = 100000, tools = true }"


Start = Callable[[list[Act]], Awaitable[FakeRuntime]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(acts: list[Act]) -> FakeRuntime:
            runtime = FakeRuntime(acts)
            await runtime.start()
            stack.push_async_callback(runtime.stop)
            return runtime

        yield started


def config(
    small: FakeRuntime, *, kind: str = "local", formats: str = '["openai_chat"]', more: str = "", **deployment: str
) -> str:
    return (
        NO_ENGINE
        + runtime_toml("small", kind, base_url(small), formats=formats)
        + deployment_toml("small", "s", "small-model", free="true", **({"abilities": SCHEMALESS} | deployment))
        + '[aliases]\nauto = ["small/s"]\n'
        + more
    )


async def openai_calls(served: Any, *, stream: bool, **options: Any) -> tuple[str, list[tuple[str, Any]], str | None]:
    """What a client of OpenAI gets: words, calls, and why it finished."""
    client = served.openai()
    if not stream:
        choice = (await client.chat.completions.create(tools=OPENAI_TOOLS, **ASK, **options)).choices[0]
        calls = choice.message.tool_calls or []
        assert len({call.id for call in calls}) == len(calls)
        return (
            choice.message.content or "",
            [(call.function.name, call.function.arguments) for call in calls],
            choice.finish_reason,
        )
    words, names, arguments, finish = "", {}, {}, None
    async for chunk in await client.chat.completions.create(tools=OPENAI_TOOLS, stream=True, **ASK, **options):
        for choice in chunk.choices:
            words += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                if call.function.name:
                    names[call.index] = call.function.name
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    return words, [(names[at], arguments[at]) for at in sorted(names)], finish


async def anthropic_calls(served: Any, *, stream: bool) -> tuple[str, list[tuple[str, Any]], str | None]:
    client = served.anthropic()
    ask = {**ASK, "max_tokens": 500, "tools": ANTHROPIC_TOOLS}
    if stream:
        async with client.messages.stream(**ask) as streamed:
            message = await streamed.get_final_message()
    else:
        message = await client.messages.create(**ask)
    words = "".join(block.text for block in message.content if block.type == "text")
    return words, [(block.name, block.input) for block in message.content if block.type == "tool_use"], message.stop_reason


@pytest.mark.parametrize("family", FAMILIES)
async def test_calls_printed_as_text_reach_clients_as_calls(serve: Serve, start: Start, family: str) -> None:
    calls = CALLS[:1] if family in ONE_ONLY else CALLS
    text = speak(random.Random(1), family, calls)
    small = await start([Act(say=text)] * 4)
    served = await serve(config(small))
    for stream in (False, True):
        words, found, finish = await openai_calls(served, stream=stream)
        assert (words.strip(), [(name, json.loads(said)) for name, said in found], finish) == ("", calls, "tool_calls")
        assert await anthropic_calls(served, stream=stream) == ("", calls, "tool_use")
    attempt = served.last().attempts[0]
    assert "call_from_text" in attempt.edits


@pytest.mark.parametrize("formats", ['["openai_chat"]', '["ollama"]', '["openai_responses"]', '["anthropic_messages"]'])
async def test_any_local_format_is_read_where_its_quirk_says_so(serve: Serve, start: Start, formats: str) -> None:
    small = await start([Act(say=speak(random.Random(1), "hermes", CALLS))])
    served = await serve(config(small, formats=formats, quirks='["text_tool_calls"]'))
    _, found, finish = await openai_calls(served, stream=True)
    assert ([(name, json.loads(said)) for name, said in found], finish) == (CALLS, "tool_calls")


async def test_words_before_a_call_stream_and_the_call_follows(serve: Serve, start: Start) -> None:
    small = await start([Act(say="Let me look at that. " + speak(random.Random(1), "hermes", CALLS[:1]))])
    served = await serve(config(small))
    words, found, finish = await openai_calls(served, stream=True)
    assert words.strip() == "Let me look at that."
    assert [name for name, _ in found] == ["get_weather"]
    assert finish == "tool_calls"


async def test_prose_about_calls_stays_prose_to_the_letter(serve: Serve, start: Start) -> None:
    text = 'Write it as `<tool_call>{"name": "get_weather"}</tool_call>`:\n```json\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n```\nThat is all.'
    small = await start([Act(say=text)] * 2)
    served = await serve(config(small))
    for stream in (False, True):
        assert await openai_calls(served, stream=stream) == (text, [], "stop")
    assert not [edit for edit in served.last().attempts[0].edits if edit.startswith("call_")]


async def test_calls_sent_as_calls_are_fitted_to_their_schema(serve: Serve, start: Start) -> None:
    wrong = (Called("getWeather", "{'city': 'Rome', 'days': '3',}"), Called("search_code", '{"query": "main", "paths": "src"}'))
    small = await start([Act(tools=wrong)] * 2)
    served = await serve(config(small))
    for stream in (False, True):
        _, found, _ = await openai_calls(served, stream=stream)
        assert [(name, json.loads(said)) for name, said in found] == CALLS
    assert {"call_name", "call_json", "call_arguments"} <= set(served.last().attempts[0].edits)


async def test_right_calls_keep_their_bytes(serve: Serve, start: Start) -> None:
    odd = '{ "city" :"Rome",\n "days": 3 }'
    small = await start([Act(tools=(Called("get_weather", odd),))])
    served = await serve(config(small))
    assert (await openai_calls(served, stream=True))[1] == [("get_weather", odd)]
    assert not [edit for edit in served.last().attempts[0].edits if edit.startswith("call_")]


@pytest.mark.parametrize(("kind", "quirks"), [("vendor", "[]"), ("local", '["sound_tool_calls"]')])
async def test_who_is_trusted_is_relayed(serve: Serve, start: Start, kind: str, quirks: str) -> None:
    text = speak(random.Random(1), "hermes", CALLS[:1])
    small = await start([Act(say=text)])
    served = await serve(config(small, kind=kind, quirks=quirks))
    assert (await openai_calls(served, stream=False))[:2] == (text, [])
    assert served.last().attempts[0].mode == "relay"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_beyond_repair_is_asked_for_again_under_the_schema(serve: Serve, start: Start, stream: bool) -> None:
    broken = '<tool_call>\n{"name": "get_weather", "arguments": {"town": 7}}\n</tool_call>'
    held = json.dumps({"calls": [{"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}]})
    small = await start([Act(say=broken), Act(say=held, json=True)])
    served = await serve(config(small, abilities="{ context = 100000, tools = true, json_schema = true }"))
    words, found, finish = await openai_calls(served, stream=stream)
    assert ([(name, json.loads(said)) for name, said in found], finish, words) == (CALLS[:1], "tool_calls", "")
    first, second = served.last().attempts
    assert (first.end, second.end) == ("escalated", "served")
    assert "call_left" in first.edits
    assert "call_by_schema" in second.edits
    assert json.loads(small.journal[1].body)["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_beyond_repair_escalates_where_a_rule_says_so(serve: Serve, start: Start, stream: bool) -> None:
    broken = '<tool_call>\n{"name": "get_weather", "arguments": {"town": 7}}\n</tool_call>'
    small = await start([Act(say=broken)])
    large = await start([Act(tools=(Called("get_weather", '{"city": "Rome"}'),))])
    more = (
        runtime_toml("large", "vendor", base_url(large))
        + deployment_toml("large", "l", "large-model", free="true")
        + '[[rules]]\nname = "small first"\ntry = ["local"]\n'
        + 'escalate = { on = ["invalid_tool_arguments"], to = ["large/l"], at_most = 1, hold = "whole" }\n'
    )
    served = await serve(config(small, more=more))
    _, found, _ = await openai_calls(served, stream=stream)
    assert found == [("get_weather", '{"city": "Rome"}')]
    assert [attempt.deployment for attempt in served.last().attempts] == ["small/s", "large/l"]


async def test_a_call_beyond_repair_goes_out_as_it_was_written_where_nothing_else_is_left(serve: Serve, start: Start) -> None:
    broken = '<tool_call>\n{"name": "get_weather", "arguments": {"town": 7}}\n</tool_call>'
    small = await start([Act(say=broken)])
    served = await serve(config(small))
    assert await openai_calls(served, stream=True) == (broken, [], "stop")
    assert "call_left" in served.last().attempts[0].edits


async def test_explain_says_what_was_repaired(serve: Serve, start: Start, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = await start([Act(say=speak(random.Random(1), "hermes", [("getWeather", {"city": "Rome", "days": "3"})]))])
    served = await serve(config(small))
    await openai_calls(served, stream=True)
    served.last()
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    told = CliRunner().invoke(cli, ["explain"])
    assert told.exit_code == 0, told.output
    for said in ("read from text", "a name in near spelling", "arguments fitted to the schema"):
        assert said in told.output


def test_every_family_is_among_the_forms() -> None:
    assert set(FAMILIES) <= {*MARKED, *BARE}
