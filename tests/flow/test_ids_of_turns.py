"""Ids of answers and calls tell the turns of a conversation apart, whatever the runtime calls them.

Some runtimes begin anew with every answer: a call's id is `0` each time, an answer's one of a thousand numbers. Claude Code drops
the result of a call whose id it has seen, and asks on for ever; two messages of one id it takes for one.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from freehold.gateways.fake import Act, FakeRuntime, Received
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

TURNS = 3
SCHEMA: Any = {"type": "object", "properties": {"path": {"type": "string"}}}
Take = Callable[[Served, bool], Any]


def forgetful(given: str | None) -> Callable[[Received], Act]:
    """A runtime of Chat Completions that calls once a turn and says the same ids each time; None: none for the call."""

    def answer(received: Received) -> Act:
        asked = json.loads(received.body)
        calls = sum(message["role"] == "tool" for message in asked["messages"])
        said: dict[str, Any] = {"role": "assistant", "content": "done"}
        if calls < TURNS:
            call = {"index": 0, "type": "function", "function": {"name": "read", "arguments": '{"path": "/a"}'}}
            said = {"role": "assistant", "content": None, "tool_calls": [call if given is None else call | {"id": given}]}
        finish = "tool_calls" if calls < TURNS else "stop"
        head = {"id": "chatcmpl-7", "created": 1, "model": "m"}
        if asked.get("stream"):
            chunks = [{"index": 0, "delta": said, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": finish}]
            chunk = head | {"object": "chat.completion.chunk"}
            body = "".join(f"data: {json.dumps(chunk | {'choices': [one]})}\n\n" for one in chunks) + "data: [DONE]\n\n"
            return Act(raw=f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}".encode())
        body = json.dumps(
            head | {"object": "chat.completion", "choices": [{"index": 0, "message": said, "finish_reason": finish}]}
        )
        return Act(raw=f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())

    return answer


async def take_messages(served: Served, streamed: bool) -> tuple[list[str], list[str]]:
    """The ids of a conversation's answers and calls."""
    client, answers, calls = served.anthropic(), list[str](), list[str]()
    messages: list[Any] = [{"role": "user", "content": "read"}]
    ask: Any = {"model": "m", "max_tokens": 100, "tools": [{"name": "read", "input_schema": SCHEMA}]}
    for _ in range(TURNS + 1):
        if streamed:
            async with client.messages.stream(messages=messages, **ask) as stream:
                reply = await stream.get_final_message()
        else:
            reply = await client.messages.create(messages=messages, **ask)
        answers.append(reply.id)
        uses = [block for block in reply.content if block.type == "tool_use"]
        calls += [use.id for use in uses]
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": "7"} for use in uses]
        messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": results}]
    return answers, calls


async def take_responses(served: Served, streamed: bool) -> tuple[list[str], list[str]]:
    """As `take_messages`."""
    client, answers, calls = served.openai(), list[str](), list[str]()
    items: list[Any] = [{"role": "user", "content": "read"}]
    tools: Any = [{"type": "function", "name": "read", "parameters": SCHEMA, "strict": False}]
    for _ in range(TURNS + 1):
        if streamed:
            async with client.responses.stream(model="m", input=items, tools=tools) as stream:
                reply: Any = await stream.get_final_response()
        else:
            reply = await client.responses.create(model="m", input=items, tools=tools)
        answers.append(reply.id)
        made = [item for item in reply.output if item.type == "function_call"]
        calls += [call.call_id for call in made]
        for call in made:
            items.append({"type": "function_call", "call_id": call.call_id, "name": "read", "arguments": call.arguments})
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": "7"})
    return answers, calls


async def take_chat(served: Served, streamed: bool) -> tuple[list[str], list[str]]:
    """As `take_messages`; ids of answers are the runtime's own between equal formats."""
    client, calls = served.openai(), list[str]()
    messages: list[Any] = [{"role": "user", "content": "read"}]
    tools: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}]
    for _ in range(TURNS + 1):
        if streamed:
            async with client.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
                said = (await stream.get_final_completion()).choices[0].message
        else:
            said = (await client.chat.completions.create(model="m", messages=messages, tools=tools)).choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        calls += [call.id for call in said.tool_calls or ()]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "7"} for call in said.tool_calls or ()]
    return [], calls


CLIENTS: dict[str, Take] = {"messages": take_messages, "responses": take_responses, "chat": take_chat}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("kind", "client"),
    [("local", "messages"), ("vendor", "messages"), ("local", "responses"), ("vendor", "responses"), ("local", "chat")],
)
@pytest.mark.parametrize("given", ["0", "functions.read:0", None], ids=["number", "name", "none"])
async def test_no_call_and_no_answer_has_the_id_of_an_earlier_one(
    serve: Serve, kind: str, client: str, streamed: bool, given: str | None
) -> None:
    runtime = FakeRuntime(script=forgetful(given))
    await runtime.start()
    served = await serve(NO_ENGINE + runtime_toml("box", kind, base_url(runtime)) + deployment_toml("box", "m", "m"))
    try:
        answers, calls = await CLIENTS[client](served, streamed)
    finally:
        await runtime.stop()
    assert len(calls) == TURNS
    assert len(set(calls)) == TURNS
    assert len(set(answers)) == len(answers)
    history = json.loads(runtime.journal[-1].body)["messages"]
    made = [call["id"] for message in history for call in message.get("tool_calls") or ()]
    assert made == calls  # each result stands behind the call it belongs to
    assert [message["tool_call_id"] for message in history if message["role"] == "tool"] == calls
