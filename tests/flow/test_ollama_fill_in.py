"""Ollama's clients fill in code (`/api/generate` with `suffix`) by whatever runtime can: by its own field, or by the model's marks."""

import json
from collections.abc import AsyncIterator
from typing import Any

import ollama
import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

BEFORE, BEHIND = "def add(a, b):\n    return [[fake: say=a + b]]", "\n\nprint(add(1, 2))\n"
MARKED = f"<|fim_prefix|>{BEFORE}<|fim_suffix|>{BEHIND}<|fim_middle|>"
CODER = "qwen2.5-coder-1.5b"
RAW = '["openai_chat", "openai_completions"]'


def config(fake: FakeRuntime, formats: str, model: str = CODER, **more: str) -> str:
    return NO_ENGINE + runtime_toml("box", "local", base_url(fake), formats=formats, **more) + deployment_toml("box", model, "m")


def sent(fake: FakeRuntime) -> Any:
    return json.loads(fake.journal[-1].body)


@pytest.fixture
async def clients() -> AsyncIterator[list[ollama.AsyncClient]]:
    made: list[ollama.AsyncClient] = []
    yield made
    for client in made:
        await client._client.aclose()


async def fill(clients: list[ollama.AsyncClient], served: Served, *, stream: bool, model: str = CODER, **fields: Any) -> Any:
    client = ollama.AsyncClient(host=served.url)
    clients.append(client)
    if not stream:
        return await client.generate(model, BEFORE, suffix=BEHIND, **fields)
    pieces = [piece async for piece in await client.generate(model, BEFORE, suffix=BEHIND, stream=True, **fields)]
    pieces[-1].response = "".join(piece.response or "" for piece in pieces)
    return pieces[-1]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_gap_becomes_the_prompt_the_models_family_was_trained_on(
    serve: Serve, fake: FakeRuntime, clients: list[ollama.AsyncClient], stream: bool
) -> None:
    served = await serve(config(fake, RAW))
    reply = await fill(
        clients, served, stream=stream, options={"num_predict": 32, "stop": ["\n\n"], "temperature": 0.1, "seed": 7}
    )
    assert (reply.response, reply.done, reply.done_reason, reply.model) == ("a + b", True, "stop", CODER)
    assert reply.eval_count
    body = sent(fake)
    assert fake.journal[-1].path == "/v1/completions"
    assert (body["prompt"], body["max_tokens"], body["temperature"], body["seed"]) == (MARKED, 32, 0.1, 7)
    assert body["stop"][0] == "\n\n"
    assert "<|endoftext|>" in body["stop"]
    row = served.last()
    assert (row.request.wire_format, row.request.task, row.attempts[0].mode) == ("ollama", "completion", "translate")
    assert row.request.usage.output_tokens == reply.eval_count


async def test_a_runtime_that_takes_a_suffix_gets_it_and_one_that_speaks_ollama_the_clients_own_bytes(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime, clients: list[ollama.AsyncClient]
) -> None:
    served = await serve(config(fake, RAW, "coder", quirks='["suffix"]'))
    assert (await fill(clients, served, stream=False, model="coder")).response == "a + b"
    assert (sent(fake)["prompt"], sent(fake)["suffix"], sent(fake)["max_tokens"]) == (BEFORE, BEHIND, 1024)
    served = await serve(config(other_fake, '["ollama"]', "anything"))
    assert (await fill(clients, served, stream=False, model="anything")).response == "a + b"
    assert (sent(other_fake)["prompt"], sent(other_fake)["suffix"]) == (BEFORE, BEHIND)
    assert other_fake.journal[-1].path == "/api/generate"
    assert served.last().attempts[0].mode == "relay"


@pytest.mark.parametrize(
    ("formats", "model"), [('["openai_chat"]', CODER), ('["anthropic_messages"]', CODER), (RAW, "plain-llama")]
)
async def test_who_cannot_fill_in_is_not_asked(
    serve: Serve, fake: FakeRuntime, clients: list[ollama.AsyncClient], formats: str, model: str
) -> None:
    served = await serve(config(fake, formats, model))
    with pytest.raises(ollama.ResponseError, match="leave `suffix` out") as refused:
        await fill(clients, served, stream=False, model=model)
    assert refused.value.status_code == 400
    assert fake.journal == []


async def test_what_a_gap_cannot_have_beside_it_is_refused_by_name(
    serve: Serve, fake: FakeRuntime, clients: list[ollama.AsyncClient]
) -> None:
    served = await serve(config(fake, RAW))
    for fields in ({"system": "be terse"}, {"format": "json"}, {"raw": True}, {"template": "{{ .Prompt }}"}):
        with pytest.raises(ollama.ResponseError, match=next(iter(fields))) as refused:
            await fill(clients, served, stream=False, **fields)
        assert refused.value.status_code == 400
    assert fake.journal == []
