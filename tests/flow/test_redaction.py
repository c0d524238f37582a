"""Redaction through the whole gateway: what leaves, what comes back, what is written down, and what is refused all the same."""

import json
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

SECRET = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
MARK = b"REDACTED_"
LABELS = '[labels]\nredact = ["secrets", "patterns"]\n[labels.paths]\n"vault/**" = "restricted"\n[labels.datasets]\nbooks = "restricted"\n'
STAY = '[[rules]]\nname = "stay"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'
YIELDS = STAY + "redact = true\n"
FORMATS = ["openai_chat", "anthropic_messages", "openai_responses", "ollama", "openai_completions"]
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
    "ollama": "/api/chat",
    "openai_completions": "/v1/completions",
}
TOOL = {"type": "object", "properties": {"key": {"type": "string"}}}


def body_of(client: str, text: str, *, stream: bool, tools: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = {"model": "m", "stream": stream}
    message = {"role": "user", "content": text}
    function = {"name": "save", "parameters": TOOL}
    match client:
        case "openai_chat":
            said["messages"] = [message]
            said |= {"tools": [{"type": "function", "function": function}]} if tools else {}
        case "ollama":
            said["messages"] = [message]
            said |= {"tools": [{"type": "function", "function": function}]} if tools else {}
        case "anthropic_messages":
            said |= {"messages": [message], "max_tokens": 500}
            said |= {"tools": [{"name": "save", "input_schema": TOOL}]} if tools else {}
        case "openai_responses":
            said["input"] = text
            said |= {"tools": [{"type": "function", **function}]} if tools else {}
        case _:
            said |= {"prompt": text, "max_tokens": 500}
    return said


def config(fake: FakeRuntime, *, speaks: str = "openai_chat", rules: str = YIELDS, labels: str = LABELS) -> str:
    return "\n".join(
        [
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(fake), formats=f'["{speaks}"]'),
            deployment_toml("cloud", "m", "fake-chat"),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }"),
            labels,
            rules,
        ]
    )


async def ask(served: Served, client: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers=headers or {}) as session:
        return await session.post(PATHS[client], json=body)


def streamed_text(client: str, text: str) -> str:
    """Every string that a client would put together, in order."""
    pieces: list[str] = []
    for line in text.splitlines():
        data = line.removeprefix("data: ")
        if not data.startswith("{"):
            continue
        event = json.loads(data)
        if client == "openai_chat":
            for choice in event.get("choices", []):
                delta = choice["delta"]
                pieces += [delta.get("reasoning_content") or "", delta.get("content") or ""]
                pieces += [call["function"].get("arguments") or "" for call in delta.get("tool_calls") or []]
        elif client == "openai_completions":
            pieces += [choice["text"] for choice in event.get("choices", [])]
        elif client == "anthropic_messages":
            delta = event.get("delta", {})
            pieces += [delta.get("thinking") or "", delta.get("text") or "", delta.get("partial_json") or ""]
        elif client == "openai_responses":
            pieces += [event["delta"]] if event.get("type", "").endswith(".delta") else []
        else:
            message = event.get("message", {})
            pieces += [message.get("thinking") or "", message.get("content") or ""]
            pieces += [json.dumps(call["function"]["arguments"]) for call in message.get("tool_calls") or []]
    return "".join(pieces)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("speaks", FORMATS[:4])
@pytest.mark.parametrize("client", FORMATS)
async def test_what_is_found_stays_and_the_answer_has_it_again(
    client: str, speaks: str, stream: bool, serve: Serve, fake: FakeRuntime
):
    if client == "openai_completions":
        speaks = "openai_completions"
    served = await serve(config(fake, speaks=speaks))
    think = f"[[fake: think=about {SECRET} I think]]" if client != "openai_completions" else ""
    said = f"{think}[[fake: say=you sent {SECRET}, and REDACTED_GITHUB_TOKEN_AAAA is not mine]]"
    answer = await ask(served, client, body_of(client, said, stream=stream))
    assert answer.status_code == 200, answer.text
    assert all(SECRET.encode() not in received.body for received in fake.journal)
    assert MARK in fake.journal[-1].body
    shown = streamed_text(client, answer.text) if stream else answer.text
    assert f"you sent {SECRET}, and REDACTED_GITHUB_TOKEN_AAAA is not mine" in shown
    detail = served.last()
    features = detail.decision.features
    assert [(one.kind, one.count) for one in features.redacted] == [("github-token", 2 if think else 1)]
    assert (features.label, features.label_before) == ("internal", "restricted")
    assert detail.decision.steps[0].redacted
    attempt = detail.attempts[0]
    assert attempt.mode == "translate"
    assert {"redacted", f"redacted {2 if think else 1} github-token"} <= set(attempt.edits)
    assert SECRET not in repr(detail)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", FORMATS[:4])
async def test_a_call_gets_the_text_itself(client: str, stream: bool, serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake, speaks=client))
    said = f'save it [[fake: tool=save {{"key": "{SECRET}"}}]]'
    answer = await ask(served, client, body_of(client, said, stream=stream, tools=True))
    assert answer.status_code == 200, answer.text
    assert SECRET.encode() not in fake.journal[-1].body
    shown = streamed_text(client, answer.text) if stream else answer.text
    assert SECRET in shown
    assert MARK.decode() not in shown


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-freehold-label": "restricted"}, "the header's label"),
        ({"x-freehold-dataset": "books"}, "the dataset's label"),
        ({}, "the path's label, vault/db.txt"),
    ],
)
async def test_redaction_never_clears_what_others_said(headers: dict[str, str], said: str, serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    answer = await ask(served, "openai_chat", body_of("openai_chat", f"{said}: {SECRET}", stream=False), headers)
    assert answer.status_code == 403, answer.text
    assert "stay" in answer.text
    assert not fake.journal


async def test_what_may_not_be_replaced_keeps_its_label_where_it_went_with_what_may(serve: Serve, fake: FakeRuntime):
    labels = '[labels]\nredact = ["secrets"]\n[labels.detectors]\ncards = "confidential"\n'
    served = await serve(config(fake, labels=labels))
    for text, label in (("postgres://ann:4111111111111111@db.example/x", "confidential"), (SECRET, "internal")):
        answer = await ask(served, "openai_chat", body_of("openai_chat", f"why {text} ?", stream=False))
        assert answer.status_code == 200, answer.text
        assert text.encode() not in fake.journal[-1].body
        features = served.last().decision.features
        assert (features.label, features.label_before) == (label, "restricted")


@pytest.mark.parametrize(
    ("labels", "rules"),
    [(LABELS, STAY), ("", YIELDS), ('[labels]\nredact = ["cards"]\n', YIELDS)],
)
async def test_it_is_off_unless_both_the_labels_and_the_rule_say_so(labels: str, rules: str, serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake, labels=labels, rules=rules))
    answer = await ask(served, "openai_chat", body_of("openai_chat", f"why {SECRET}?", stream=False))
    assert answer.status_code == 403
    assert not fake.journal


async def test_a_gate_that_does_not_yield_holds_for_the_text_before(serve: Serve, fake: FakeRuntime):
    other = '[[rules]]\nname = "also"\nwhen = { label = "confidential" }\ndeny = { egress = "vendor" }\n'
    served = await serve(config(fake, rules=YIELDS + other))
    answer = await ask(served, "openai_chat", body_of("openai_chat", f"why {SECRET}?", stream=False))
    assert answer.status_code == 403
    assert not fake.journal


@pytest.mark.parametrize(
    "more",
    [
        {"logprobs": True},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": SECRET[:12]}, {"type": "text", "text": SECRET[12:]}]}
            ]
        },
    ],
)
async def test_what_cannot_be_put_back_is_refused(more: dict[str, Any], serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    answer = await ask(served, "openai_chat", body_of("openai_chat", f"why {SECRET}?", stream=False) | more)
    assert answer.status_code == 403
    assert not fake.journal


async def test_embeddings_are_refused_as_before(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as session:
        answer = await session.post("/v1/embeddings", json={"model": "embed", "input": f"x {SECRET}"})
    assert answer.status_code == 403
    assert "stay" in answer.text
    assert not fake.journal


async def test_placeholders_stay_the_same_for_a_caller_and_after_a_restart(serve: Serve, fake: FakeRuntime):
    for _ in range(2):
        served = await serve(config(fake))
        for words in ("why", "once more:"):
            await ask(served, "openai_chat", body_of("openai_chat", f"{words} {SECRET}", stream=False))
    made = {received.body[received.body.index(MARK) :].split(b'"')[0] for received in fake.journal}
    assert len(fake.journal) == 4
    assert len(made) == 1


async def test_a_pattern_of_ones_own_is_redacted_too(serve: Serve, fake: FakeRuntime):
    pattern = '[[labels.patterns]]\nname = "code"\nstarts = ["ORION-"]\nthen = "[0-9]{4}"\nlabel = "restricted"\n'
    served = await serve(config(fake, labels=LABELS + pattern))
    answer = await ask(served, "openai_chat", body_of("openai_chat", "[[fake: say=ORION-4711 it is]]", stream=False))
    assert answer.json()["choices"][0]["message"]["content"] == "ORION-4711 it is"
    assert b"ORION" not in fake.journal[-1].body
