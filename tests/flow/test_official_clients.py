"""The vendors' own clients ask for everything that is served here, of a real llama-server, the embedded engine and the fake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import ollama
import pytest
import pytest_asyncio

from freehold.gateways.fake import FakeRuntime
from freehold.local import weights
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml
from support.llama_server import running_llama_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "What is the capital of France? Answer in one word."
CHAT: Any = [{"role": "user", "content": QUESTION}]
COLD = {"temperature": 0}
"""So that no answer is empty by chance. Anthropic's SDK has no argument for it any more; the API has."""
PLACES = [
    "fake",
    pytest.param("llama_server", marks=pytest.mark.llama_server),
    pytest.param("embedded", marks=pytest.mark.engine),
]


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Which one, and what it needs."""
    if request.param == "llama_server":
        home = request.getfixturevalue("engine_home")
        return request.param, (request.getfixturevalue("llama_server_binary"), weights.find("smollm2-135m-instruct", home))
    return request.param, request.getfixturevalue("engine_home") if request.param == "embedded" else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(place: tuple[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A gateway in front of the one place, which speaks OpenAI's forms."""
    name, needs = place
    home = tmp_path_factory.mktemp(name)
    async with AsyncExitStack() as stack:
        if name == "embedded":
            (home / "weights").symlink_to(needs / "weights", target_is_directory=True)
            here = await stack.enter_async_context(running("", {}, home))
            await asyncio.wait_for(here.app.engines.ready(), 60)
            yield here
            return
        if name == "fake":
            fake = FakeRuntime()
            await fake.start()
            stack.push_async_callback(fake.stop)
            url = base_url(fake)
        else:
            url = (await stack.enter_async_context(running_llama_server(*needs)))[0]
        text = runtime_toml("team", "local", url, formats='["openai_chat", "openai_completions"]', quirks='["system_first"]')
        able = f"{{ context = 4096, json_schema = true, embeddings = {'true' if name == 'fake' else 'false'} }}"
        text += deployment_toml("team", "small", "smollm2", abilities=able, free="true")
        yield await stack.enter_async_context(running(NO_ENGINE + text, {}, home))


@pytest.fixture
def before(served: Served) -> int:
    """How many requests there were."""
    return len(served.rows())


def rows_since(served: Served, before: int) -> list[Any]:
    """What the ledger says of the requests since then."""
    rows = served.rows()
    return rows[: len(rows) - before]


def embedder_of(served: Served) -> str | None:
    """The model that makes vectors there; llama-server does so only when started for nothing else."""
    for placed in served.app.config.policy.placed.values():
        if placed.deployment.abilities.embeddings:
            return placed.model.id
    return None


async def test_openais_client(served: Served, before: int) -> None:
    client = served.openai()
    names = [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(names[0])).id == names[0]
    whole = await client.chat.completions.create(model="auto", messages=CHAT, max_tokens=16, temperature=0)
    assert whole.choices[0].message.content
    assert whole.usage is not None
    pieces = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="auto", messages=CHAT, max_tokens=16, temperature=0, stream=True
        )
    ]
    assert any(chunk.choices[0].delta.content for chunk in pieces)
    assert pieces[-1].choices[0].finish_reason
    completed = await client.completions.create(model="auto", prompt="The capital of France is", max_tokens=8, temperature=0)
    assert completed.choices[0].finish_reason
    texts = [
        piece
        async for piece in await client.completions.create(
            model="auto", prompt="One, two,", max_tokens=8, temperature=0, stream=True
        )
    ]
    assert texts[-1].choices[0].finish_reason
    response = await client.responses.create(model="auto", input=QUESTION, max_output_tokens=16, temperature=0)
    assert response.output_text
    kinds = [
        event.type
        async for event in await client.responses.create(
            model="auto", input=QUESTION, stream=True, max_output_tokens=16, temperature=0
        )
    ]
    assert kinds[0] == "response.created"
    assert kinds[-1] in {"response.completed", "response.incomplete"}
    if embedder := embedder_of(served):
        vectors = await client.embeddings.create(model=embedder, input=["a", "b"])
        assert len(vectors.data) == 2
    assert {row.outcome for row in rows_since(served, before)} == {"served"}


async def test_anthropics_client(served: Served, before: int) -> None:
    client = served.anthropic()
    names = [model.id async for model in client.models.list(limit=1)]
    assert len(names) == len(set(names)) >= 1
    assert (await client.models.retrieve(names[0])).id == names[0]
    counted = await client.messages.count_tokens(model="auto", messages=CHAT)
    assert 5 < counted.input_tokens < 50
    whole = await client.messages.create(model="auto", messages=CHAT, max_tokens=16, extra_body=COLD)
    assert whole.content[0].type == "text"
    assert whole.usage.output_tokens
    async with client.messages.stream(model="auto", messages=CHAT, max_tokens=16, extra_body=COLD) as stream:
        assert [text async for text in stream.text_stream]
        assert (await stream.get_final_message()).stop_reason in {"end_turn", "max_tokens"}
    assert {(row.operation, row.outcome) for row in rows_since(served, before)} == {
        ("chat", "served"),
        ("count_tokens", "served"),
    }


async def test_ollamas_client(served: Served, before: int) -> None:
    async with ollama.AsyncClient(host=served.url) as client:
        listed = [model.model for model in (await client.list()).models]
        assert listed
        assert (await client.show(str(listed[0]))).modelinfo
        assert (await client.ps()).models is not None
        cold = {"temperature": 0, "num_predict": 16}
        whole = await client.chat("auto", CHAT, options=cold)
        assert whole.message.content
        pieces = [piece async for piece in await client.chat("auto", CHAT, options=cold, stream=True)]
        assert pieces[-1].done
        generated = await client.generate("auto", QUESTION, options=cold)
        assert generated.response
        assert [piece async for piece in await client.generate("auto", QUESTION, options=cold, stream=True)][-1].done
        if embedder := embedder_of(served):
            assert len((await client.embed(embedder, ["a", "b"])).embeddings) == 2
    assert {row.outcome for row in rows_since(served, before)} == {"served"}
