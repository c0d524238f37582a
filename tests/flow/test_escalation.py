"""Poor answers move on where the plan says so, and are still better than none."""

import json
from typing import Any

import pytest

from freehold.gateways.fake import Act, Called, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "read_file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
}


def config(small: FakeRuntime, large: FakeRuntime, hold: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("small", "self_hosted", base_url(small))
        + runtime_toml("large", "vendor", base_url(large), formats='["anthropic_messages"]')
        + deployment_toml("small", "s", "small-model", free="true")
        + deployment_toml("large", "l", "large-model", price="{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }")
        + f"""
[aliases]
auto = ["small/s"]
[[rules]]
name = "small first"
try = ["self_hosted"]
escalate = {{ on = ["empty", "refusal", "truncated", "invalid_json", "invalid_tool_arguments", "repeats"], to = ["large/l"], at_most = 1, hold = "{hold}" }}
"""
    )


POOR = {
    "empty": (Act(empty=True), {}),
    "refusal": (Act(refuse=True), {}),
    "truncated": (Act(say="one two three four five six", truncate=True), {}),
    "repeats": (Act(repeat=True), {}),
    "invalid_json": (Act(say='{"n": "not a number"}', json=True), {"response_format": SCHEMA}),
    "invalid_tool_arguments": (Act(tools=(Called("read_file", '{"wrong": 1}'),)), {"tools": [TOOL]}),
}
GOOD = {
    "invalid_json": Act(say='{"n": 4}', json=True),
    "invalid_tool_arguments": Act(tools=(Called("read_file", '{"path": "a.py"}'),)),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("poor", POOR)
async def test_a_poor_answer_escalates(serve: Serve, poor: str, streamed: bool) -> None:
    act, options = POOR[poor]
    small, large = FakeRuntime([act]), FakeRuntime([GOOD.get(poor, Act(say="a good answer"))])
    await small.start()
    await large.start()
    served = await serve(config(small, large, "whole"))
    message: Any = [{"role": "user", "content": "please"}]
    if streamed:
        async with served.openai().chat.completions.stream(model="auto", messages=message, **_plain(options)) as stream:
            reply: Any = await stream.get_final_completion()
    else:
        reply = await served.openai().chat.completions.create(model="auto", messages=message, **options)
    said = reply.choices[0].message
    if poor == "invalid_json":
        assert json.loads(said.content) == {"n": 4}
    elif poor == "invalid_tool_arguments":
        assert json.loads(said.tool_calls[0].function.arguments) == {"path": "a.py"}
    else:
        assert said.content == "a good answer"
    detail = served.last()
    assert [(attempt.deployment, attempt.end) for attempt in detail.attempts] == [("small/s", "escalated"), ("large/l", "served")]
    assert poor in {verdict.check for verdict in detail.attempts[0].verdicts if verdict.poor}
    assert detail.request.deployment == "large/l"
    assert detail.request.cost_nano_usd > 0, "the escalation is paid for"
    await small.stop()
    await large.stop()


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """The SDK's stream helper refuses tools that are not strict; leave the judging to us."""
    return options


async def test_a_poor_answer_goes_out_when_the_escalation_fails(serve: Serve) -> None:
    small, large = FakeRuntime([Act(refuse=True)]), FakeRuntime([Act(status=500)])
    await small.start()
    await large.start()
    served = await serve(config(small, large, "none"))
    reply = await served.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "please"}])
    assert reply.choices[0].message.content or reply.choices[0].message.refusal
    detail = served.last()
    assert detail.request.outcome == "served"
    assert detail.request.deployment == "small/s"
    assert sorted(attempt.end for attempt in detail.attempts) == ["fault", "served"]
    await small.stop()
    await large.stop()


async def test_hold_tools_lets_text_stream_and_judges_calls(serve: Serve) -> None:
    small = FakeRuntime([Act(tools=(Called("read_file", "{broken"),)), Act(say="just some text here")])
    large = FakeRuntime([Act(tools=(Called("read_file", '{"path": "b.py"}'),))])
    await small.start()
    await large.start()
    served = await serve(config(small, large, "tools"))
    ask: Any = {"model": "auto", "messages": [{"role": "user", "content": "go"}], "tools": [TOOL]}
    chunks = [chunk async for chunk in await served.openai().chat.completions.create(stream=True, **ask)]
    arguments = "".join(
        call.function.arguments or "" for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []
    )
    assert json.loads(arguments) == {"path": "b.py"}
    text = [chunk async for chunk in await served.openai().chat.completions.create(stream=True, **ask)]
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in text) > 1, "text was not held back"
    assert len(large.journal) == 1
    await small.stop()
    await large.stop()


async def test_a_good_answer_stays(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake, "whole"))
    for stream in (False, True):
        await served.openai().chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "[[fake: say=fine]]"}], stream=stream
        )
    assert other_fake.journal == []


async def test_a_context_overflow_goes_only_to_a_larger_window(serve: Serve) -> None:
    overflow = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    body = b'{"error": {"message": "This model\'s maximum context length is 1000 tokens", "code": "context_length_exceeded"}}'
    small, larger = FakeRuntime([Act(raw=overflow % (len(body), body))]), FakeRuntime([Act(say="fits here")])
    await small.start()
    await larger.start()
    able = "{ context = %d }"
    served = await serve(
        NO_ENGINE
        + runtime_toml("a", "self_hosted", base_url(small))
        + runtime_toml("b", "self_hosted", base_url(larger))
        + deployment_toml("a", "m", "m", abilities=able % 1000, free="true")
        + deployment_toml("b", "same", "m", abilities=able % 900, free="true")
        + deployment_toml("b", "big", "m", abilities=able % 50_000, free="true")
        + '[aliases]\nauto = ["a/m", "b/same", "b/big"]\n'
    )
    reply = await served.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}])
    assert reply.choices[0].message.content == "fits here"
    assert [attempt.deployment for attempt in served.last().attempts] == ["a/m", "b/big"]
    await small.stop()
    await larger.stop()
