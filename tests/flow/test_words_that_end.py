"""Words that end an answer: asked for in one format, met by a runtime that speaks another, told in the client's own."""

import json
from typing import Any

import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml


def of_vllm(choice: str, *, streamed: bool) -> Act:
    """An answer that names the words it ended at, as vLLM does."""
    kind = "text/event-stream" if streamed else "application/json"
    named = '"finish_reason":"stop","stop_reason":"END"'
    frame = '{"id":"c","object":"chat.completion","created":1,"model":"small-model","choices":[{"index":0,%s}]}'
    body = frame % f'"message":{choice},{named}'
    if streamed:
        ended = frame % f'"delta":{{}},{named}'
        body = "".join(f"data: {data}\n\n" for data in (frame % f'"delta":{choice}', ended, "[DONE]"))
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return Act(raw=(head + body).encode())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("names_it", [False, True])
async def test_words_that_end_an_answer_go_there_and_come_back_where_the_runtime_names_them(
    serve: Serve, streamed: bool, names_it: bool
) -> None:
    choice = '{"role":"assistant","content":"one two "}'
    runtime = FakeRuntime([of_vllm(choice, streamed=streamed) if names_it else Act(say="one two END three")])
    await runtime.start()
    served = await serve(
        NO_ENGINE + runtime_toml("box", "local", base_url(runtime)) + deployment_toml("box", "small", "small-model")
    )
    ask: Any = {"model": "small", "max_tokens": 90, "messages": [{"role": "user", "content": "count"}], "stop_sequences": ["END"]}
    messages = served.anthropic().messages
    if streamed:
        async with messages.stream(**ask) as stream:
            reply = await stream.get_final_message()
    else:
        reply = await messages.create(**ask)
    assert json.loads(runtime.journal[-1].body)["stop"] == ["END"]
    (block,) = reply.content
    assert block.text == "one two "
    # Chat Completions has one word for both ends: who does not say more, is not known to have met the sequence.
    assert (reply.stop_reason, reply.stop_sequence) == (("stop_sequence", "END") if names_it else ("end_turn", None))
    await runtime.stop()


@pytest.mark.parametrize("streamed", [False, True])
async def test_words_that_end_an_answer_reach_a_runtime_of_messages_and_end_it_as_chat_clients_know(
    serve: Serve, streamed: bool
) -> None:
    runtime = FakeRuntime([Act(say="one two END three")])
    await runtime.start()
    served = await serve(
        NO_ENGINE
        + runtime_toml("box", "local", base_url(runtime), formats='["anthropic_messages"]')
        + deployment_toml("box", "small", "small-model")
    )
    ask: Any = {"model": "small", "messages": [{"role": "user", "content": "count"}], "stop": "END"}
    chat = served.openai().chat.completions
    if streamed:
        chunks = [chunk async for chunk in await chat.create(**ask, stream=True)]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        finish = next(chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices)
    else:
        (choice,) = (await chat.create(**ask)).choices
        text, finish = choice.message.content, choice.finish_reason
    assert json.loads(runtime.journal[-1].body)["stop_sequences"] == ["END"]
    assert (text, finish) == ("one two ", "stop")
    await runtime.stop()
