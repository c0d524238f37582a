"""What an agent that speaks Messages or Responses sends, before a runtime that speaks Chat Completions and is strict about it."""

import json
from typing import Any

import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

READ: Any = {
    "name": "Read",
    "description": "reads a file",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
async def strict(serve: Serve, fake: FakeRuntime) -> Served:
    quirks = '["system_first", "alternating_roles", "string_content", "known_fields"]'
    served: Served = await serve(
        NO_ENGINE
        + runtime_toml("box", "local", base_url(fake), quirks=quirks)
        + deployment_toml("box", "small", "small-model", abilities="{ context = 16000, tools = true, images = true }")
        + '[aliases]\nauto = ["box/small"]\n"claude-*" = "auto"\n"gpt-*" = "auto"\n'
    )
    return served


async def asked(served: Served, fake: FakeRuntime, **body: Any) -> tuple[dict[str, Any], Any]:
    """What the runtime got, and the reply."""
    extra = {key: body.pop(key) for key in list(body) if key in {"context_management", "thinking", "output_config"}}
    body = {"model": "claude-opus-5", "max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]} | body
    reply = await served.anthropic().messages.create(**body, extra_body=extra)
    return json.loads(fake.journal[-1].body), reply


async def test_system_text_leads_wherever_it_stood_and_what_only_the_vendor_knows_is_left_out(
    strict: Served, fake: FakeRuntime
) -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    sent, _ = await asked(
        strict,
        fake,
        system=[{"type": "text", "text": "You are an agent.", **marked}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "fix it", **marked}]},
            {"role": "system", "content": [{"type": "text", "text": "The folder is /src.", **marked}]},
        ],
        tools=[READ],
        metadata={"user_id": '{"session_id":"s1"}'},
        thinking={"type": "adaptive", "display": "omitted"},
        context_management={"edits": [{"type": "clear_thinking_20251015"}]},
        output_config={"effort": "low"},
    )
    assert sent["messages"] == [
        {"role": "system", "content": "You are an agent.\n\nThe folder is /src."},
        {"role": "user", "content": "fix it"},
    ]
    assert sent["reasoning_effort"] == "low"
    known = {"model", "messages", "tools", "max_tokens", "reasoning_effort", "stream", "user"}
    assert set(sent) <= known
    assert b"cache_control" not in fake.journal[-1].body


async def test_results_follow_their_calls_with_images_and_words_behind_them(strict: Served, fake: FakeRuntime) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    sent, _ = await asked(
        strict,
        fake,
        tools=[READ],
        messages=[
            {"role": "user", "content": "look at both"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.png"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no such file", "is_error": True},
                    {"type": "text", "text": "and now?"},
                ],
            },
        ],
    )
    _user, assistant, first, second, *behind = sent["messages"]
    assert [call["function"]["arguments"] for call in assistant["tool_calls"]] == ['{"path":"a.png"}', "{}"]
    assert [(one["role"], one["tool_call_id"]) for one in (first, second)] == [("tool", "toolu_1"), ("tool", "toolu_2")]
    assert second["content"].startswith("Error")
    assert "hm" not in json.dumps(assistant)
    said = json.dumps(behind)
    assert "and now?" in said
    assert PNG in said


@pytest.mark.parametrize(("thinking", "thinks"), [("disabled", False), ("adaptive", True)])
async def test_thinking_is_switched_where_the_template_can(serve: Serve, fake: FakeRuntime, thinking: str, thinks: bool) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("box", "local", base_url(fake), quirks='["thinking_switch"]')
        + deployment_toml("box", "small", "small-model")
    )
    sent, _ = await asked(served, fake, model="small", thinking={"type": thinking})
    assert sent["chat_template_kwargs"] == {"enable_thinking": thinks, "thinking": thinks}


async def test_betas_of_a_vendor_stay_here(strict: Served, fake: FakeRuntime) -> None:
    betas = {"anthropic-beta": "interleaved-thinking-2025-05-14,effort-2025-11-24"}
    client = strict.anthropic(default_headers=betas)
    await client.messages.create(model="auto", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    assert not {"anthropic-beta", "anthropic-version"} & {name.lower() for name in dict(fake.journal[-1].headers)}


async def test_what_codex_says_in_two_developer_messages_leads_as_one(strict: Served, fake: FakeRuntime) -> None:
    def item(role: str, text: str, number: int) -> Any:
        return {"type": "message", "role": role, "id": f"msg_{number}", "content": [{"type": "input_text", "text": text}]}

    said = [("developer", "You are an agent."), ("developer", "The folder is /src."), ("user", "environment"), ("user", "fix it")]
    reply = await strict.openai().responses.create(
        model="gpt-6",
        input=[item(role, text, number) for number, (role, text) in enumerate(said)],
        tools=[{"type": "web_search"}, {"type": "function", "name": "shell", "parameters": {"type": "object"}, "strict": False}],
        parallel_tool_calls=True,
        reasoning={"summary": "auto"},
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="s1",
        extra_body={"client_metadata": {"a": "b"}},
    )
    sent = json.loads(fake.journal[-1].body)
    assert sent["messages"][0] == {"role": "system", "content": "You are an agent.\n\nThe folder is /src."}
    assert [message["role"] for message in sent["messages"][1:]] == ["user"]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["shell"]
    assert not {"client_metadata", "include", "input"} & set(sent)
    assert reply.model == "gpt-6"


ENDS = {
    "end_turn": ("[[fake: say=done]]", {}),
    "max_tokens": ("[[fake: say=one two three four]] [[fake: truncate]]", {}),
    "tool_use": ('[[fake: tool=Read {"path": "a"}]] go', {"tools": [READ]}),
    "refusal": ("[[fake: refuse]]", {}),
}


@pytest.mark.parametrize("reason", ENDS)
async def test_an_answer_ends_for_a_reason_that_the_client_knows(strict: Served, reason: str) -> None:
    prompt, more = ENDS[reason]
    ask: Any = {"model": "auto", "max_tokens": 90, "messages": [{"role": "user", "content": prompt}], **more}
    client = strict.anthropic()
    assert (await client.messages.create(**ask)).stop_reason == reason
    async with client.messages.stream(**ask) as stream:
        assert (await stream.get_final_message()).stop_reason == reason


async def test_thinking_of_a_local_model_has_a_signature_that_is_empty(strict: Served) -> None:
    ask: Any = {
        "model": "auto",
        "max_tokens": 90,
        "messages": [{"role": "user", "content": "[[fake: think=hm]] [[fake: say=so]]"}],
    }
    client = strict.anthropic()
    whole = await client.messages.create(**ask)
    async with client.messages.stream(**ask) as stream:
        streamed = await stream.get_final_message()
    for reply in (whole, streamed):
        assert [block.type for block in reply.content] == ["thinking", "text"]
        assert reply.content[0].signature == ""


@pytest.mark.parametrize("tools", [[], None])
async def test_an_empty_list_of_tools_is_not_sent(strict: Served, fake: FakeRuntime, tools: Any) -> None:
    sent, _ = await asked(strict, fake, **({} if tools is None else {"tools": tools}))
    assert "tools" not in sent
    assert "tool_choice" not in sent


async def test_a_search_that_only_a_vendor_runs_is_refused_in_words_that_say_what_helps(
    strict: Served, fake: FakeRuntime
) -> None:
    with pytest.raises(Exception, match="web_search") as told:
        await asked(
            strict, fake,
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "tool", "name": "web_search"},
        )  # fmt: skip
    assert told.value.status_code == 403  # type: ignore[attr-defined]
    assert "leave that tool out, or let a vendor serve it" in str(told.value)
    assert not fake.journal


async def test_a_streamed_answer_is_blocks_one_at_a_time_thinking_first_with_usage_at_both_ends(
    strict: Served, fake: FakeRuntime
) -> None:
    events = [
        event
        async for event in await strict.anthropic().messages.create(
            model="claude-opus-5[1m]",
            max_tokens=500,
            tools=[READ],
            messages=[
                {
                    "role": "user",
                    "content": '[[fake: think=let me see]] [[fake: tool=Read {"path": "a"}]] [[fake: tool=Read {"path": "b"}]] go',
                }
            ],
            stream=True,
        )
    ]
    assert events[0].type == "message_start"
    assert events[0].message.model == "claude-opus-5[1m]"
    assert events[0].message.usage.input_tokens > 0
    open_block: int | None = None
    kinds: list[str] = []
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None
            assert event.index == len(kinds)
            open_block = event.index
            kinds.append(event.content_block.type)
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None
    assert open_block is None
    assert kinds[0] == "thinking"
    assert kinds.count("tool_use") == 2
    ids = [
        event.content_block.id
        for event in events
        if event.type == "content_block_start" and event.content_block.type == "tool_use"
    ]
    assert len(set(ids)) == len(ids)
    (last,) = [event for event in events if event.type == "message_delta"]
    assert last.delta.stop_reason == "tool_use"
    assert last.usage.output_tokens > 0
    assert last.usage.cache_creation_input_tokens == 0
    assert json.loads(fake.journal[-1].body)["stream_options"] == {"include_usage": True}


async def test_a_burst_of_token_counts_is_answered_here(strict: Served, fake: FakeRuntime) -> None:
    client = strict.anthropic()
    for number in range(36):
        counted = await client.messages.count_tokens(
            model="claude-opus-5", messages=[{"role": "user", "content": "word " * (number + 1)}], tools=[READ]
        )
        assert counted.input_tokens > number
    hello: Any = [{"role": "user", "content": "hello"}]
    assert (await client.messages.count_tokens(model="claude-of-next-year", messages=hello)).input_tokens > 0
    assert not fake.journal


async def test_a_long_limit_is_clamped_to_the_window_and_a_long_prompt_refused_in_words_that_clients_compact_on(
    strict: Served, fake: FakeRuntime
) -> None:
    sent, _ = await asked(strict, fake, max_tokens=128_000)
    assert sent["max_tokens"] < 16_000
    with pytest.raises(Exception, match=r"prompt is too long: \d+ tokens > 16000 maximum") as told:
        await asked(strict, fake, messages=[{"role": "user", "content": "word " * 20_000}])
    assert told.value.status_code == 400  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["claude-opus-5", "claude-opus-5-20260301", "claude-opus-5[1m]", "gpt-6", "auto"])
async def test_every_name_a_client_asks_by_finds_the_model_and_comes_back(strict: Served, fake: FakeRuntime, name: str) -> None:
    sent, reply = await asked(strict, fake, model=name)
    assert sent["model"] == "small-model"
    assert reply.model == name


async def test_what_clients_probe_is_answered(strict: Served) -> None:
    http = strict.anthropic()._client
    assert (await http.head(f"{strict.url}/api/hello")).status_code == 200
    assert (await http.get(f"{strict.url}/")).status_code == 200
    version = (await http.get(f"{strict.url}/api/version")).json()["version"]
    assert tuple(map(int, version.split(".")[:3])) >= (0, 13, 4)
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "x"}
    assert (await http.get(f"{strict.url}/v1/responses", headers=upgrade)).status_code == 426
    openai_form = (await http.get(f"{strict.url}/v1/models")).json()
    anthropic_form = (await http.get(f"{strict.url}/v1/models?limit=1000", headers={"anthropic-version": "2023-06-01"})).json()
    assert openai_form["object"] == "list"
    assert "has_more" in anthropic_form
    assert any("claude" in one["id"] for one in anthropic_form["data"])


async def test_a_key_that_a_runtime_refuses_is_never_the_client_s_401(serve: Serve) -> None:
    runtime = FakeRuntime(api_key="the right one")
    await runtime.start()
    served = await serve(
        NO_ENGINE + runtime_toml("box", "local", base_url(runtime)) + deployment_toml("box", "small", "small-model")
    )
    with pytest.raises(Exception, match="refused our credentials") as told:
        await asked(served, runtime, model="small")
    assert told.value.status_code == 502  # type: ignore[attr-defined]
    for ask in (
        served.openai(max_retries=3).chat.completions.create(model="small", messages=[{"role": "user", "content": "hi"}]),
        served.openai(max_retries=3).responses.create(model="small", input="hi"),
    ):
        before = len(runtime.journal)
        with pytest.raises(openai.BadRequestError, match="refused our credentials") as refused:
            await ask
        assert (refused.value.type, refused.value.code) == ("configuration_error", "upstream_auth")
        assert b"server_error" not in refused.value.response.content
        assert len(runtime.journal) == before + 1
        assert (served.last().request.status, served.last().attempts[0].status) == (400, 401)
    await runtime.stop()


@pytest.mark.parametrize(("kind", "is_for_a_template"), [("local", True), ("self_hosted", True), ("vendor", False)])
async def test_a_runtime_of_ours_that_nobody_described_gets_system_text_as_templates_take_it(
    serve: Serve, fake: FakeRuntime, kind: str, is_for_a_template: bool
) -> None:
    served = await serve(NO_ENGINE + runtime_toml("box", kind, base_url(fake)) + deployment_toml("box", "small", "small-model"))
    late: Any = [{"role": "user", "content": "fix it"}, {"role": "system", "content": "The folder is /src."}]
    sent, _ = await asked(served, fake, model="small", system="You are an agent.", messages=late)
    gathered = [{"role": "system", "content": "You are an agent.\n\nThe folder is /src."}, late[0]]
    assert sent["messages"] == (gathered if is_for_a_template else [{"role": "system", "content": "You are an agent."}, *late])

    items: Any = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are Codex."}]},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Ask nobody."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "The shell is zsh."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
    ]
    await served.openai().responses.create(model="small", input=items)
    messages = json.loads(fake.journal[-1].body)["messages"]
    roles = [message["role"] for message in messages]
    assert roles == (["system", "user"] if is_for_a_template else ["system", "system", "user"])
    if is_for_a_template:
        assert messages[0]["content"] == "You are Codex.\n\nAsk nobody."
    assert [part["text"] for part in messages[-1]["content"]] == ["The shell is zsh.", "fix it"]

    own: Any = [{"role": "user", "content": "fix it"}, {"role": "system", "content": "The folder is /src."}]
    await served.openai().chat.completions.create(model="small", messages=own)
    assert json.loads(fake.journal[-1].body)["messages"] == own  # a relay keeps the client's order
