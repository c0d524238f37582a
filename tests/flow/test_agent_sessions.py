"""An agent's session stays where it is, its side jobs go where rules say, and one that runs in circles is stopped."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from freehold.cli.logs import lines_of
from freehold.gateways.fake import Act, FakeRuntime, Received
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, cli)", "x-claude-code-session-id": "s1"}
READ: Any = {"name": "Read", "description": "reads a file", "input_schema": {"type": "object"}}
BILLING = "x-anthropic-billing-header: cc_version=2.1.329.c1d; cc_entrypoint=cli; cch={};"
RULES = """
[aliases]
auto = ["box/small", "cloud/big"]
[[rules]]
name = "titles stay here"
when = { auxiliary = ["title"] }
try = ["local"]
[[rules]]
name = "agents go to the frontier"
when = { agents = ["claude-code"] }
try = ["vendor", "local"]
"""


def two_places(local: FakeRuntime, vendor: FakeRuntime, formats: str = '["anthropic_messages"]') -> str:
    return (
        NO_ENGINE
        + runtime_toml("box", "local", base_url(local), formats=formats)
        + runtime_toml("cloud", "vendor", base_url(vendor), formats='["anthropic_messages"]')
        + deployment_toml("box", "small", "small-model")
        + deployment_toml("cloud", "big", "big-model", price="{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }")
    )


def said(*texts: str) -> Any:
    return [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(texts)]


async def main_turn(client: anthropic.AsyncAnthropic, messages: Any, **headers: str) -> None:
    await client.messages.create(model="auto", max_tokens=64, tools=[READ], messages=messages, extra_headers=CLAUDE | headers)


async def title(client: anthropic.AsyncAnthropic) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    await client.messages.create(
        model="auto",
        max_tokens=64,
        tools=[],
        messages=said("<session>fix the bug in main.py</session>"),
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        extra_headers=CLAUDE,
    )


async def test_a_title_is_made_here_while_the_main_loop_stays_where_it_must(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(two_places(fake, other_fake, '["openai_chat"]') + RULES)
    client = served.anthropic()
    await main_turn(client, said("fix the bug in main.py"))
    await title(client)
    titled = served.last()
    await main_turn(client, said("fix the bug in main.py", "I look.", "go on"))
    again = served.last()
    assert (titled.request.deployment, titled.decision.features.auxiliary) == ("box/small", "title")
    assert (again.request.deployment, again.request.reason) == ("cloud/big", "session stays where it is")


async def test_a_session_that_has_to_leave_says_why_in_the_ledger_and_stays_at_its_new_place(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(two_places(fake, other_fake, '["openai_chat"]') + RULES)
    client = served.anthropic()
    await main_turn(client, said("fix it"))
    assert served.last().request.deployment == "cloud/big"
    await main_turn(client, said("fix it", "I look.", "go on"), **{"x-freehold-ceiling": "local"})
    moved = served.last().request
    assert moved.deployment == "box/small"
    assert "the session leaves cloud/big: vendor is above the local ceiling" in moved.reason
    await main_turn(client, said("fix it", "I look.", "go on", "Done.", "thanks"))
    assert (served.last().request.deployment, served.last().request.reason) == ("box/small", "session stays where it is")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_session_that_runs_in_circles_is_stopped_in_its_client_s_own_words(
    serve: Serve, fake: FakeRuntime, streamed: bool
) -> None:
    served = await serve(
        "[sessions]\nsame_request_most = 5\n"
        + NO_ENGINE
        + runtime_toml("box", "local", base_url(fake), formats='["openai_chat"]')
        + deployment_toml("box", "small", "small-model")
    )
    chat, messages = served.openai(max_retries=2), served.anthropic(max_retries=2)

    async def ask_chat(session: str) -> None:
        ask: Any = {"model": "small", "messages": said("again"), "extra_headers": {"x-freehold-session": session}}
        reply = await chat.chat.completions.create(**ask, stream=streamed)
        if streamed:
            async for _ in reply:
                pass

    async def ask_messages(session: str) -> None:
        ask: Any = {
            "model": "small",
            "max_tokens": 9,
            "messages": said("again"),
            "extra_headers": {"x-freehold-session": session},
        }
        reply = await messages.messages.create(**ask, stream=streamed)
        if streamed:
            async for _ in reply:
                pass

    async def ask_responses(session: str) -> None:
        await chat.responses.create(model="small", input="again", extra_headers={"x-freehold-session": session})

    for ask, refused in (
        (ask_chat, openai.BadRequestError),
        (ask_messages, anthropic.BadRequestError),
        (ask_responses, openai.BadRequestError),
    ):
        before = len(fake.journal)
        with pytest.raises(refused, match="runs in circles"):
            for _ in range(40):
                await ask(ask.__name__)
        assert len(fake.journal) - before == 6  # nothing was asked again after it was stopped
        await ask("another session")
    detail = [row for row in served.rows() if row.fault == "loop_stopped"]
    assert [row.status for row in detail] == [400, 400, 400]


class Small:
    """A runtime that whatever says "long" does not fit, in llama.cpp's words."""

    def __call__(self, received: Received) -> Act:
        error = {
            "code": 400,
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 40960,
            "n_ctx": 32768,
            "message": "too large",
        }
        body = json.dumps({"error": error})
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return Act(raw=(head + body).encode()) if b"long" in received.body else Act(say="it fits")


@pytest.fixture
async def small() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(script=Small())
    await runtime.start()
    yield runtime
    await runtime.stop()


async def ask_in(form: str, served: Served, text: str, *, streamed: bool) -> None:
    """By the form's own client, all of the answer."""
    headers = {"x-freehold-session": "s1"}
    ask: Any = {"model": "small", "stream": streamed, "extra_headers": headers}
    if form == "messages":
        reply: Any = await served.anthropic(max_retries=2).messages.create(**ask, max_tokens=9, messages=said(text))
    elif form == "chat":
        reply = await served.openai(max_retries=2).chat.completions.create(**ask, messages=said(text))
    else:
        reply = await served.openai(max_retries=2).responses.create(**ask, input=text)
    assert not streamed or [event async for event in reply]


@pytest.mark.parametrize(
    ("form", "words", "streamed"),
    [
        ("chat", "maximum context length", False),
        ("responses", "maximum context length", True),
        ("messages", "prompt is too long: 40960 tokens > 32768 maximum", True),
    ],
)
async def test_a_conversation_that_shortening_does_not_help_is_stopped_and_goes_on_when_it_fits(
    serve: Serve, small: FakeRuntime, form: str, words: str, streamed: bool
) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("box", "local", base_url(small), formats='["openai_chat"]')
        + deployment_toml("box", "small", "small-model")
    )
    for told in [*[words] * 3, *["runs in circles"] * 2, "it fits", words]:
        if told == "it fits":
            last = served.last()
            assert (last.request.fault, last.attempts[0].fault) == ("loop_stopped", "context_overflow")
            await ask_in(form, served, "short", streamed=streamed)
            continue
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match=told):
            await ask_in(form, served, "long", streamed=streamed)


CODEX = {"originator": "codex_exec", "user-agent": "codex_exec/0.169.0 (Linux)"}
REFUSALS: dict[str, tuple[dict[str, str], str, int]] = {
    "refused_by_policy": ({"x-freehold-label": "restricted"}, "small", 403),
    "budget_spent": ({}, "dear", 402),
    "unknown_model": ({}, "none", 404),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_codex_which_repeats_every_other_status_is_refused_by_a_400_and_all_others_as_ever(
    serve: Serve, fake: FakeRuntime, kind: str
) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("cloud", "vendor", base_url(fake))
        + deployment_toml("cloud", "small", "small-model", price="{ input_usd_per_mtok = 0.0, output_usd_per_mtok = 0.0 }")
        + deployment_toml("cloud", "dear", "big-model", price="{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }")
        + '[[budgets]]\nname = "nearly-nothing"\nwindow = "day"\nusd = 0.000001\nover = "refuse"\n'
        + '[[rules]]\nname = "restricted stays"\nwhen = { labels = ["restricted"] }\nallow = { egress = "local" }\n'
    )
    headers, model, usual = REFUSALS[kind]
    for client, status in ((CODEX, 400), ({}, usual)):
        with pytest.raises(openai.APIStatusError) as refused:
            await served.openai().responses.create(model=model, input="hello", extra_headers=headers | client)
        assert (refused.value.status_code, refused.value.code) == (
            status,
            "model_not_found" if kind == "unknown_model" else kind,
        )
        assert (served.last().request.status, served.last().request.fault) == (status, kind)
    with pytest.raises(anthropic.APIStatusError) as told:
        await served.anthropic().messages.create(model=model, max_tokens=9, messages=said("hello"), extra_headers=headers)
    assert told.value.status_code == usual
    assert not fake.journal


async def test_a_local_engine_is_spared_the_billing_line_and_its_vendor_gets_it_as_it_is(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(two_places(fake, other_fake))
    client = served.anthropic()
    systems: dict[str, list[Any]] = {"small": [], "big": []}
    for cch in ("fa690", "0aaa9"):
        for model, runtime in (("small", fake), ("big", other_fake)):
            await client.messages.create(
                model=model,
                max_tokens=9,
                system=[{"type": "text", "text": BILLING.format(cch)}, {"type": "text", "text": "You are Claude Code."}],
                messages=said("hello"),
                extra_headers=CLAUDE,
            )
            systems[model].append(json.loads(runtime.journal[-1].body)["system"])
            assert ("steady_prefix" in served.last().attempts[0].edits) is (model == "small")
    assert systems["small"] == [[{"type": "text", "text": "You are Claude Code."}]] * 2
    assert [one[0]["text"] for one in systems["big"]] == [BILLING.format("fa690"), BILLING.format("0aaa9")]


CUT = 'escalate = { on = ["prompt_cut"], to = ["cloud/big"] }'


@pytest.mark.parametrize(("rule", "served_by"), [("", "box/small"), (CUT, "cloud/big")])
async def test_a_prompt_that_was_cut_without_a_word_is_told_and_moves_on_where_a_rule_says_so(
    serve: Serve, other_fake: FakeRuntime, rule: str, served_by: str
) -> None:
    fake = FakeRuntime([Act(say="half an answer", usage="lie")])
    await fake.start()
    served = await serve(
        two_places(fake, other_fake, '["openai_chat"]')
        + f'[aliases]\nauto = ["box/small"]\n[[rules]]\nname = "here"\ntry = ["local"]\n{rule}\n'
    )
    long = " ".join(f"line {number} of the file" for number in range(400))
    raw = await served.openai().chat.completions.with_raw_response.create(model="auto", messages=said(long))
    detail = served.last()
    assert detail.request.deployment == served_by
    was_cut = served_by == "box/small"
    assert raw.headers.get("x-freehold-warning", "").startswith("prompt_cut: of about") is was_cut
    assert ("; prompt_cut: of about" in detail.request.reason) is was_cut
    assert ("prompt_cut" in " ".join(lines_of(detail.request).split())) is was_cut
    (verdict,) = detail.attempts[0].verdicts
    assert (verdict.check, verdict.poor) == ("prompt_cut", True)
    assert "the runtime read 1;" in verdict.detail
    await fake.stop()


async def test_a_stream_whose_prompt_was_cut_is_told_in_the_log(serve: Serve, other_fake: FakeRuntime) -> None:
    fake = FakeRuntime([Act(say="half an answer", usage="lie")])
    await fake.start()
    served = await serve(two_places(fake, other_fake, '["openai_chat"]'))
    long = " ".join(f"line {number} of the file" for number in range(400))
    stream = await served.openai().chat.completions.create(model="small", messages=said(long), stream=True)
    assert [chunk async for chunk in stream]
    detail = served.last()
    assert [one.check for one in detail.attempts[0].verdicts] == ["prompt_cut"]
    assert "; prompt_cut: of about" in detail.request.reason
    await fake.stop()
