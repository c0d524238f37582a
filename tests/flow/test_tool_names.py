"""Names of tools that a runtime's format does not take reach it as legal ones, and the client never sees them."""

import json
from typing import Any

import anthropic
import pytest

from freehold.gateways.fake import Act, Called, FakeRuntime, Received
from freehold.wire.formats import CODECS
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.strict_chat import refusals

LONG = "mcp__" + "a_server_with_a_very_long_name" * 3 + "__read"
ODD = ["files.read", "files/read", "datei_lesen_für_mich", "読む", LONG, "mcp__files__read"]
TEXT = "the file says 7"


def tools_of(names: list[str]) -> Any:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return [{"name": name, "description": f"reads by way {at}", "input_schema": schema} for at, name in enumerate(names)]


class Caller:
    """A strict model of Chat Completions: calls every tool it is offered, each with its place, and answers from the results."""

    def __init__(self, *, prints: bool = False) -> None:
        self.refused: list[str] = []
        self.offered: list[list[str]] = []
        self.called: list[str] = []
        self._prints = prints

    def __call__(self, received: Received) -> Act:
        body = json.loads(received.body)
        self.refused += refusals(body, 200_000)
        self.offered.append([tool["function"]["name"] for tool in body["tools"]])
        self.called += [call["function"]["name"] for one in body["messages"] for call in one.get("tool_calls") or ()]
        codec = CODECS[received.format]
        assert codec.peek(received.body).tools == len(ODD)
        if body["messages"][-1]["role"] == "tool":
            return Act(say=TEXT)
        calls = [Called(name, json.dumps({"path": f"/{at}"})) for at, name in enumerate(self.offered[-1])]
        if not self._prints:
            return Act(tools=tuple(calls))
        printed = [f'<tool_call>{{"name": "{one.name}", "arguments": {one.arguments}}}</tool_call>' for one in calls]
        return Act(say="\n".join(printed))


async def reply_of(client: anthropic.AsyncAnthropic, streamed: bool, messages: Any) -> Any:
    ask: Any = {"model": "m", "max_tokens": 500, "tools": tools_of(ODD), "messages": messages}
    if not streamed:
        return await client.messages.create(**ask)
    async with client.messages.stream(**ask) as stream:
        return await stream.get_final_message()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("kind", "prints"), [("vendor", False), ("local", False), ("local", True)])
async def test_odd_names_go_out_legal_and_come_back_as_they_were(serve: Serve, kind: str, prints: bool, streamed: bool) -> None:
    model = Caller(prints=prints)
    runtime = FakeRuntime(script=model)
    await runtime.start()
    served = await serve(
        NO_ENGINE + runtime_toml("box", kind, base_url(runtime), quirks='["string_content"]') + deployment_toml("box", "m", "m")
    )
    client = served.anthropic()
    messages: list[Any] = [{"role": "user", "content": "read it every way"}]
    first = await reply_of(client, streamed, messages)
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [(use.name, use.input) for use in uses] == [(name, {"path": f"/{at}"}) for at, name in enumerate(ODD)]
    assert first.stop_reason == "tool_use"
    messages.append({"role": "assistant", "content": [use.model_dump() for use in uses]})
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "7"} for use in uses]
    messages.append({"role": "user", "content": results})
    second = await reply_of(client, streamed, messages)
    assert second.content[0].text == TEXT
    assert model.refused == []
    assert model.offered[0] == model.offered[1] == model.called  # the same names in every turn
    assert model.offered[0][-1] == "mcp__files__read"
    assert len(set(model.offered[0])) == len(ODD)
    attempt = served.last().attempts[0]
    assert "tool_names" in attempt.edits
    assert "call_name" not in attempt.edits
    await runtime.stop()


async def test_a_tool_that_must_be_called_is_named_as_it_is_offered(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(NO_ENGINE + runtime_toml("box", "local", base_url(fake)) + deployment_toml("box", "m", "m"))
    wanted: Any = {"type": "tool", "name": "files.read"}
    await served.anthropic().messages.create(
        model="m", max_tokens=50, tools=tools_of(["files.read"]), tool_choice=wanted,
        messages=[{"role": "user", "content": "read [[fake: say=hm]]"}],
    )  # fmt: skip
    sent = json.loads(fake.journal[-1].body)
    assert sent["tool_choice"]["function"]["name"] == sent["tools"][0]["function"]["name"]
    assert sent["tools"][0]["function"]["name"].startswith("files_read_")
