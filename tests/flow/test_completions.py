"""Code completion through the whole gateway, with OpenAI's own client: relayed, translated, filled in, and from the engine."""

import asyncio
import json
from typing import Any

import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

RAW = '["openai_completions", "openai_chat"]'
BEFORE, BEHIND = "def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"
BAR = "\N{FULLWIDTH VERTICAL LINE}"
QWEN_PROMPT = f"<|fim_prefix|>{BEFORE}<|fim_suffix|>{BEHIND}<|fim_middle|>"


def one_runtime(fake: FakeRuntime, model: str = "coder", *, kind: str = "self_hosted", formats: str = RAW, more: str = "") -> str:
    runtime = runtime_toml("box", kind, base_url(fake), formats=formats)
    return NO_ENGINE + runtime + deployment_toml("box", model, "fake-chat") + more


def sent(fake: FakeRuntime) -> Any:
    return json.loads(fake.journal[-1].body)


async def collect(stream: Any) -> tuple[str, str | None, Any]:
    text, finish, usage = "", None, None
    async for chunk in stream:
        assert chunk.object == "text_completion"
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.text
            finish = choice.finish_reason or finish
    return text, finish, usage


async def ask(served: Served, streamed: bool, **fields: Any) -> tuple[str, str | None, Any]:
    create: Any = served.openai().completions.create
    if streamed:
        return await collect(await create(stream=True, stream_options={"include_usage": True}, **fields))
    reply = await create(**fields)
    assert reply.object == "text_completion"
    return reply.choices[0].text, reply.choices[0].finish_reason, reply.usage


# ---- relay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_completion_is_relayed_to_a_runtime_that_speaks_it(serve: Serve, fake: FakeRuntime, streamed: bool) -> None:
    served: Served = await serve(one_runtime(fake))
    text, finish, usage = await ask(served, streamed, model="coder", prompt="[[fake: say=a + b]]", max_tokens=50, seed=7)
    assert (text, finish) == ("a + b", "stop")
    assert usage.completion_tokens > 0
    assert fake.journal[-1].path.endswith("/v1/completions")
    assert sent(fake)["prompt"] == "[[fake: say=a + b]]"
    assert sent(fake)["seed"] == 7
    row = served.last()
    assert row.request.operation == "completion"
    assert row.request.task == "completion"
    assert row.attempts[0].mode == "relay"
    assert set(row.attempts[0].edits) == {"model", "reply_model"}


async def test_a_missing_limit_is_the_sixteen_tokens_the_format_documents(serve: Serve, fake: FakeRuntime) -> None:
    served: Served = await serve(one_runtime(fake))
    reply = await served.openai().completions.create(model="coder", prompt="one two three four " * 10)
    assert sent(fake)["max_tokens"] == 16
    assert reply.choices[0].finish_reason == "length"
    assert "max_tokens_clamped" in served.last().attempts[0].edits


async def test_prompts_token_ids_echo_and_log_probabilities_reach_a_runtime_that_speaks_it(
    serve: Serve, fake: FakeRuntime
) -> None:
    served: Served = await serve(one_runtime(fake))
    several = await served.openai().completions.create(model="coder", prompt=["a", "b", "c"], n=2, echo=True, max_tokens=20)
    assert [choice.index for choice in several.choices] == list(range(6))
    assert [choice.text[0] for choice in several.choices] == ["a", "a", "b", "b", "c", "c"]
    ids: Any = [[1, 2, 3], [4, 5]]
    assert len((await served.openai().completions.create(model="coder", prompt=ids, max_tokens=20)).choices) == 2
    likely = await served.openai().completions.create(model="coder", prompt="x", logprobs=2, max_tokens=20)
    assert likely.choices[0].logprobs is not None
    assert likely.choices[0].logprobs.tokens
    assert len((likely.choices[0].logprobs.top_logprobs or [])[0]) == 2


# ---- translation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("wire_format", ["openai_chat", "anthropic_messages"])
async def test_the_prompt_becomes_a_user_message_for_a_chat_runtime(
    serve: Serve, fake: FakeRuntime, wire_format: str, streamed: bool
) -> None:
    served: Served = await serve(one_runtime(fake, formats=f'["{wire_format}"]'))
    text, finish, usage = await ask(served, streamed, model="coder", prompt="[[fake: say=done]] go on", stop=["§"], max_tokens=9)
    assert (text, finish) == ("done", "stop")
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    messages = sent(fake)["messages"]
    assert [message["role"] for message in messages] == ["user"]
    assert "[[fake: say=done]] go on" in json.dumps(messages, ensure_ascii=False)
    assert sent(fake)["max_tokens"] == 9
    assert served.last().attempts[0].mode == "translate"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
        ({"prompt": "a", "logit_bias": {"50256": -100}}, "logit_bias"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
    ],
)
async def test_what_a_chat_cannot_say_is_refused_before_anything_is_sent(
    serve: Serve, fake: FakeRuntime, fields: dict[str, Any], named: str
) -> None:
    served: Served = await serve(one_runtime(fake, formats='["openai_chat"]'))
    with pytest.raises(openai.BadRequestError) as raised:
        await served.openai().completions.create(model="coder", **fields)
    assert raised.value.code == "unsupported_value"
    assert named in raised.value.message
    assert fake.journal == []


async def test_several_prompts_go_to_the_deployment_that_can_take_them(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    chat = runtime_toml("chatty", "local", base_url(fake)) + deployment_toml("chatty", "coder", "fake-chat")
    raw = runtime_toml("raw", "vendor", base_url(other_fake), formats=RAW) + deployment_toml("raw", "coder", "fake-chat")
    served: Served = await serve(NO_ENGINE + chat + raw)
    await served.openai().completions.create(model="coder", prompt=["a", "b"])
    assert (len(fake.journal), len(other_fake.journal)) == (0, 1)
    [rejected] = served.last().decision.rejected
    assert (rejected.deployment, rejected.reason) == ("chatty/coder", "cannot do raw prompts")


async def test_a_chat_never_goes_where_only_completions_are_spoken(serve: Serve, fake: FakeRuntime) -> None:
    served: Served = await serve(one_runtime(fake, formats='["openai_completions"]'))
    with pytest.raises(openai.BadRequestError) as raised:
        await served.openai().chat.completions.create(model="coder", messages=[{"role": "user", "content": "hello"}])
    assert "cannot do chat" in raised.value.message
    assert (await served.openai().completions.create(model="coder", prompt="hello")).choices
    assert len(fake.journal) == 1


@pytest.mark.parametrize("formats", [RAW, '["openai_completions", "anthropic_messages"]'])
async def test_a_runtime_that_prefers_completions_is_still_asked_to_chat_in_a_chat_format(
    serve: Serve, fake: FakeRuntime, formats: str
) -> None:
    served: Served = await serve(one_runtime(fake, formats=formats))
    message = await served.anthropic().messages.create(
        model="coder", max_tokens=50, messages=[{"role": "user", "content": "[[fake: say=hello]]"}]
    )
    assert message.content[0].type == "text"
    assert message.content[0].text == "hello"
    assert not fake.journal[-1].path.endswith("/v1/completions")


# ---- fill in the middle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["local", "self_hosted"])
async def test_a_suffix_becomes_the_prompt_the_models_family_was_trained_on(
    serve: Serve, fake: FakeRuntime, kind: str, streamed: bool
) -> None:
    served: Served = await serve(one_runtime(fake, "qwen2.5-coder-1.5b", kind=kind))
    await ask(served, streamed, model="qwen2.5-coder-1.5b", prompt=BEFORE, suffix=BEHIND, stop="\n\n", max_tokens=32)
    body = sent(fake)
    assert body["prompt"] == QWEN_PROMPT
    assert "suffix" not in body
    assert body["stop"][0] == "\n\n"
    assert "<|endoftext|>" in body["stop"]
    assert "fim_prompt" in served.last().attempts[0].edits


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("codellama:7b-code", f"<PRE> {BEFORE} <SUF>{BEHIND} <MID>"),
        ("deepseek-ai/deepseek-coder-6.7b-base", f"<{BAR}fim▁begin{BAR}>{BEFORE}<{BAR}fim▁hole{BAR}>{BEHIND}<{BAR}fim▁end{BAR}>"),
        ("codestral-22b-v0.1", f"[SUFFIX]{BEHIND}[PREFIX]{BEFORE}"),
    ],
)
async def test_every_family_has_its_own_marks_and_order(serve: Serve, fake: FakeRuntime, model: str, prompt: str) -> None:
    served: Served = await serve(one_runtime(fake, model))
    await served.openai().completions.create(model=model, prompt=BEFORE, suffix=BEHIND)
    assert sent(fake)["prompt"] == prompt


async def test_a_model_may_name_its_family_or_deny_it(serve: Serve, fake: FakeRuntime) -> None:
    ours = '[[models]]\nid = "our-coder"\nfim = "qwen-coder"\n[[models]]\nid = "qwen3-coder-chat"\nfim = "none"\n'
    more = deployment_toml("box", "qwen3-coder-chat", "fake-chat") + ours
    served: Served = await serve(one_runtime(fake, "our-coder", more=more))
    await served.openai().completions.create(model="our-coder", prompt=BEFORE, suffix=BEHIND)
    assert sent(fake)["prompt"] == QWEN_PROMPT
    with pytest.raises(openai.BadRequestError, match="fill-in-the-middle"):
        await served.openai().completions.create(model="qwen3-coder-chat", prompt=BEFORE, suffix=BEHIND)


async def test_a_runtime_that_takes_a_suffix_gets_it(serve: Serve, fake: FakeRuntime) -> None:
    runtime = runtime_toml("box", "vendor", base_url(fake), formats=RAW, quirks='["suffix"]')
    served: Served = await serve(NO_ENGINE + runtime + deployment_toml("box", "coder", "fake-chat"))
    await served.openai().completions.create(model="coder", prompt=BEFORE, suffix=BEHIND)
    assert (sent(fake)["prompt"], sent(fake)["suffix"]) == (BEFORE, BEHIND)


@pytest.mark.parametrize("streamed", [False, True])
async def test_mistrals_fill_in_endpoint_answers_as_completions(serve: Serve, fake: FakeRuntime, streamed: bool) -> None:
    runtime = runtime_toml(
        "mistral", "vendor", f"{base_url(fake)}/fim", formats='["openai_completions"]', quirks='["mistral_fim"]'
    )
    served: Served = await serve(NO_ENGINE + runtime + deployment_toml("mistral", "codestral-latest", "codestral-latest"))
    text, finish, usage = await ask(
        served, streamed, model="codestral-latest", prompt="[[fake: say=a + b]]", suffix=BEHIND, max_tokens=32
    )
    assert (text, finish) == ("a + b", "stop")
    assert usage.completion_tokens > 0
    assert fake.journal[-1].path == "/v1/fim/completions"
    assert sent(fake)["suffix"] == BEHIND
    assert "stream_options" not in sent(fake)


async def test_a_suffix_goes_past_a_model_that_cannot_fill_in_to_one_that_can(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    plain = runtime_toml("plain", "local", base_url(fake), formats=RAW) + deployment_toml("plain", "llama", "fake-chat")
    coder = runtime_toml("coder", "self_hosted", base_url(other_fake), formats=RAW)
    coder += deployment_toml("coder", "starcoder2-3b", "fake-chat")
    served: Served = await serve(NO_ENGINE + plain + coder + '[aliases]\ncode = ["plain/llama", "coder/starcoder2-3b"]\n')
    await served.openai().completions.create(model="code", prompt=BEFORE, suffix=BEHIND)
    assert fake.journal == []
    assert sent(other_fake)["prompt"] == f"<fim_prefix>{BEFORE}<fim_suffix>{BEHIND}<fim_middle>"
    await served.openai().completions.create(model="code", prompt=BEFORE)
    assert sent(fake)["prompt"] == BEFORE
    with pytest.raises(openai.BadRequestError) as raised:
        await served.openai().completions.create(model="llama", prompt=BEFORE, suffix=BEHIND)
    assert "leave `suffix` out" in raised.value.message
    assert raised.value.param == "suffix"


# ---- policy and faults ----------------------------------------------------------------------------------------------


async def test_rules_match_completions_by_task_and_by_operation(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    near = runtime_toml("near", "self_hosted", base_url(fake), formats=RAW) + deployment_toml("near", "coder", "fake-chat")
    far = runtime_toml("far", "vendor", base_url(other_fake), formats=RAW) + deployment_toml("far", "coder", "fake-chat")
    rules = '[[rules]]\nname = "typing stays here"\nwhen = { operations = ["completion"] }\nallow = { egress = "self_hosted" }\n'
    rules += '[[rules]]\nname = "the rest goes far"\ntry = ["vendor", "self_hosted"]\n'
    served: Served = await serve(NO_ENGINE + near + far + rules)
    await served.openai().completions.create(model="coder", prompt="x = ")
    await served.openai().chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}])
    assert (len(fake.journal), len(other_fake.journal)) == (1, 1)
    by_task = rules.replace('operations = ["completion"]', 'tasks = ["completion"]')
    served = await serve(NO_ENGINE + near + far + by_task)
    await served.openai().completions.create(model="coder", prompt="x = ")
    assert (len(fake.journal), len(other_fake.journal)) == (2, 1)


async def test_an_empty_completion_is_an_answer_and_is_not_asked_again_elsewhere(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    near = runtime_toml("near", "local", base_url(fake), formats=RAW) + deployment_toml("near", "coder", "fake-empty")
    far = runtime_toml("far", "vendor", base_url(other_fake), formats=RAW) + deployment_toml("far", "coder", "fake-chat")
    served: Served = await serve(NO_ENGINE + near + far)
    for streamed in (False, True):
        text, finish, _ = await ask(served, streamed, model="coder", prompt="x = 1\n")
        assert (text, finish) == ("", "stop")
    assert other_fake.journal == []


async def test_a_broken_stream_ends_with_an_error_and_a_failed_step_falls_back(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    near = runtime_toml("near", "local", base_url(fake), formats=RAW) + deployment_toml("near", "coder", "fake-break")
    served: Served = await serve(NO_ENGINE + near)
    with pytest.raises(openai.APIError):
        await ask(served, True, model="coder", prompt="one two three four five", max_tokens=100)
    down = runtime_toml("near", "local", base_url(fake), formats=RAW) + deployment_toml("near", "coder", "fake-down")
    far = runtime_toml("far", "vendor", base_url(other_fake)) + deployment_toml("far", "coder", "fake-chat")
    served = await serve(NO_ENGINE + down + far)
    text, _, _ = await ask(served, True, model="coder", prompt="[[fake: say=ok]]")
    assert text == "ok"
    assert other_fake.journal[-1].path.endswith("/chat/completions")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "a", "n": 0}, "n"),
        ({"prompt": "a", "max_tokens": -2}, "max_tokens"),
        ({"prompt": "a", "suffix": 1}, "suffix"),
        ({"prompt": "a", "stream": "yes"}, "stream"),
    ],
)
async def test_a_bad_request_names_the_field_in_openais_own_form(
    serve: Serve, fake: FakeRuntime, fields: dict[str, Any], param: str
) -> None:
    served: Served = await serve(one_runtime(fake))
    with pytest.raises(openai.BadRequestError) as raised:
        await served.openai().completions.create(model="coder", prompt="", extra_body=fields)
    assert raised.value.type == "invalid_request_error"
    assert raised.value.param == param


async def test_the_upstream_is_cancelled_when_the_client_leaves(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = [Act(say="a b c", stall="mid")]
    served: Served = await serve(one_runtime(fake))
    stream = await served.openai().completions.create(model="coder", prompt="x", stream=True)
    async for _ in stream:
        break
    await stream.close()
    await fake.closed()


# ---- the embedded engine --------------------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_engine_goes_on_with_a_text(embedded: Served, streamed: bool) -> None:
    prompt = "One, two, three, four,"
    text, finish, usage = await ask(embedded, streamed, model="auto", prompt=prompt, max_tokens=6, temperature=0)
    assert "five" in text
    assert (finish, usage.completion_tokens) == ("length", 6)
    assert usage.prompt_tokens < 15
    assert embedded.last().attempts[0].deployment == "embedded/smollm2-135m-instruct"


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
async def test_the_engine_answers_several_prompts_token_ids_and_log_probabilities(embedded: Served) -> None:
    create: Any = embedded.openai().completions.create
    prompts: Any = ["One, two, three, four,", "The capital of France is"]
    for streamed in (False, True):
        said: dict[int, str] = {0: "", 1: ""}
        usage: Any = None
        if streamed:
            options = {"include_usage": True}
            async for chunk in await create(
                model="auto", prompt=prompts, max_tokens=5, temperature=0, stream=True, stream_options=options
            ):
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    said[choice.index] += choice.text
        else:
            reply = await create(model="auto", prompt=prompts, max_tokens=5, temperature=0)
            usage = reply.usage
            said = {choice.index: choice.text for choice in reply.choices}
        assert "five" in said[0]
        assert "Paris" in said[1]
        assert usage.completion_tokens == 10
    ids = await create(model="auto", prompt=[504, 3575, 282], max_tokens=3, temperature=0)
    assert ids.usage.prompt_tokens == 3
    likely = await create(model="auto", prompt=prompts[0], max_tokens=3, temperature=0, logprobs=2)
    logprobs = likely.choices[0].logprobs
    assert "".join(logprobs.tokens) == likely.choices[0].text
    assert logprobs.text_offset == [0, len(logprobs.tokens[0]), len(logprobs.tokens[0]) + len(logprobs.tokens[1])]
    assert all(len(top) == 2 for top in logprobs.top_logprobs)


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
async def test_the_engine_stops_at_the_documented_limit_and_remembers_a_prompt(embedded: Served) -> None:
    create: Any = embedded.openai().completions.create
    prompt = "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + " * 4
    first = await create(model="auto", prompt=prompt, temperature=0)
    assert first.usage.completion_tokens <= 16
    again = await create(model="auto", prompt=prompt + "fibonacci(", temperature=0)
    assert again.usage.prompt_tokens_details.cached_tokens > 50
    with pytest.raises(openai.BadRequestError, match="echo and best_of"):
        await create(model="auto", prompt="x", echo=True)
    with pytest.raises(openai.BadRequestError, match="fill-in-the-middle"):
        await create(model="auto", prompt="x", suffix="y")


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
async def test_the_engine_is_free_again_when_the_client_leaves(embedded: Served) -> None:
    create: Any = embedded.openai().completions.create
    endless: Any = {"prompt": "Count: one, two,", "max_tokens": 6000, "logit_bias": {"0": -100, "2": -100}}  # it may not end
    with pytest.raises(openai.APITimeoutError):
        await embedded.openai(timeout=0.5).completions.create(model="auto", **endless)
    began = asyncio.get_running_loop().time()
    await create(model="auto", prompt="Hello", max_tokens=2)
    assert asyncio.get_running_loop().time() - began < 20, "the endless answer would have taken a minute"
    assert embedded.last(2).request.outcome == "cancelled"
