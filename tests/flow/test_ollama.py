"""Ollama's own client, sync and async, in front of runtimes that speak either format; and runtimes that speak only Ollama's."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import ollama
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.ollama_schema import fits

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}
TWO_CALLS = '[[fake: tool=get_weather {"city": "Paris"}]] [[fake: tool=get_weather {"city": "Rome"}]]'
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OPENAI_TOOL = TOOL


def config(fake: FakeRuntime, speaks: str, *, root: bool = False) -> str:
    url = base_url(fake).removesuffix("/v1") if root else base_url(fake)
    return (
        NO_ENGINE
        + runtime_toml("lab", "local", url, formats=f'["{speaks}"]')
        + deployment_toml("lab", "fake", "fake-chat", free="true")
        + deployment_toml(
            "lab", "vectors", "fake-embed", free="true", abilities="{ embeddings = true, chat = false, context = 512 }"
        )
    )


@pytest.fixture(params=["openai_chat", "anthropic_messages", "ollama"])
def speaks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def asked(serve: Serve, fake: FakeRuntime, speaks: str) -> AsyncIterator[tuple[Served, ollama.AsyncClient]]:
    served = await serve(config(fake, speaks))
    async with ollama.AsyncClient(host=served.url) as client:
        yield served, client


async def test_a_chat_whole(asked: tuple[Served, ollama.AsyncClient], speaks: str) -> None:
    served, client = asked
    reply = await client.chat("fake", [{"role": "user", "content": "[[fake: say=hello there]]"}])
    assert reply.message.content == "hello there"
    assert (reply.model, reply.done, reply.done_reason) == ("fake", True, "stop")
    assert reply.prompt_eval_count
    assert reply.eval_count == 3
    row = served.last()
    assert row.request.wire_format == "ollama"
    assert row.attempts[0].mode == ("relay" if speaks == "ollama" else "translate")
    assert (row.request.usage.input_tokens, row.request.usage.output_tokens) == (reply.prompt_eval_count, reply.eval_count)


async def test_a_chat_streamed(asked: tuple[Served, ollama.AsyncClient], speaks: str) -> None:
    served, client = asked
    stream = await client.chat(
        "fake",
        [{"role": "user", "content": "[[fake: say=hello streamed world]] [[fake: think=well then]]"}],
        stream=True,
        think=True,
    )
    pieces = [piece async for piece in stream]
    assert "".join(piece.message.content or "" for piece in pieces) == "hello streamed world"
    assert "".join(piece.message.thinking or "" for piece in pieces) == "well then"
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].done_reason == "stop"
    assert {piece.model for piece in pieces} == {"fake"}
    assert pieces[-1].eval_count
    if speaks != "ollama":
        assert pieces[-1].total_duration is not None
        assert pieces[-1].eval_duration is not None
        assert 0 < pieces[-1].eval_duration <= pieces[-1].total_duration
    assert served.last().request.usage.output_tokens == pieces[-1].eval_count


async def test_two_parallel_calls_and_their_results(asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime) -> None:
    _, client = asked
    question = {"role": "user", "content": TWO_CALLS}
    stream = await client.chat("fake", [question], tools=[TOOL], stream=True)
    pieces = [piece async for piece in stream]
    calls = [call for piece in pieces for call in piece.message.tool_calls or ()]
    assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
    ]
    whole = await client.chat("fake", [question], tools=[TOOL])
    assert [call.function for call in whole.message.tool_calls or ()] == [call.function for call in calls]
    results = [{"role": "tool", "tool_name": "get_weather", "content": text} for text in ("sunny", "rainy")]
    answer = await client.chat("fake", [question, whole.message, *results], tools=[TOOL])
    assert answer.message.content == "The tool answered: sunny rainy"
    assert len(fake.journal) == 3


async def test_structured_output_and_images(asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime, speaks: str) -> None:
    _, client = asked
    reply = await client.chat("fake", [{"role": "user", "content": "where?", "images": [PIXEL]}], format=WEATHER)
    assert set(json.loads(reply.message.content or "")) == {"city"}
    assert PIXEL.encode() in fake.journal[-1].body
    if speaks == "anthropic_messages":
        with pytest.raises(ollama.ResponseError, match="free JSON") as refused:
            await client.chat("fake", [{"role": "user", "content": "x"}], format="json")
        assert refused.value.status_code == 400
    else:
        reply = await client.chat("fake", [{"role": "user", "content": "an answer"}], format="json")
        assert json.loads(reply.message.content or "") == {"answer": "an answer"}


async def test_generate_whole_and_streamed(asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime, speaks: str) -> None:
    _, client = asked
    whole = await client.generate("fake", "[[fake: say=hello there]]", system="Be kind.", options={"num_predict": 50, "seed": 1})
    assert (whole.response, whole.done_reason, whole.model) == ("hello there", "stop", "fake")
    assert b"Be kind." in fake.journal[-1].body
    if speaks == "ollama":
        assert fake.journal[-1].path == "/api/generate"
    stream = await client.generate("fake", "[[fake: say=one two three]]", stream=True)
    pieces = [piece async for piece in stream]
    assert "".join(piece.response or "" for piece in pieces) == "one two three"
    assert pieces[-1].done
    assert pieces[-1].eval_count


async def test_what_only_ollama_can_do_is_refused_elsewhere(
    asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime, speaks: str
) -> None:
    _, client = asked
    for more in ({"raw": True}, {"template": "{{ .Prompt }}"}, {"context": [1, 2]}):
        (field,) = more
        if speaks == "ollama":
            assert (await client.generate("fake", "[[fake: say=ok]]", **more)).response == "ok"
            assert json.loads(fake.journal[-1].body)[field] == more[field]
        else:
            with pytest.raises(ollama.ResponseError, match=f"leave `{field}` out") as refused:
                await client.generate("fake", "x", **more)
            assert refused.value.status_code == 400


async def test_an_upstream_that_breaks_ends_the_stream_with_an_error_line(
    asked: tuple[Served, ollama.AsyncClient], speaks: str
) -> None:
    served, client = asked
    for fails in ("break=mid", "error-event=mid"):
        stream = await client.chat(
            "fake", [{"role": "user", "content": f"[[fake: {fails}]] a longer text to be cut"}], stream=True
        )
        with pytest.raises(ollama.ResponseError):
            assert all([not piece.done async for piece in stream])
        row = served.last()
        assert row.request.outcome == "cut"
        assert row.attempts[0].usage.output_tokens > 0, "what was sent before the break is counted"


async def test_a_client_that_loads_or_unloads_calls_nobody(asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime) -> None:
    served, client = asked
    assert (await client.generate("fake")).done_reason == "load"
    assert (await client.generate("fake", keep_alive=0)).done_reason == "unload"
    assert (await client.chat("fake", [])).done_reason == "load"
    [only] = [piece async for piece in await client.chat("fake", [], keep_alive=0, stream=True)]
    assert (only.done, only.done_reason, only.message.content) == (True, "unload", "")
    with pytest.raises(ollama.ResponseError, match="not found") as refused:
        await client.generate("no-such-model")
    assert refused.value.status_code == 404
    assert not fake.journal
    assert {row.outcome for row in served.rows()} == {"served", "failed"}


async def test_embeddings_by_both_endpoints(asked: tuple[Served, ollama.AsyncClient], fake: FakeRuntime, speaks: str) -> None:
    served, client = asked
    many = await client.embed("vectors", ["one text", "another text"], dimensions=8)
    assert [len(vector) for vector in many.embeddings] == [8, 8]
    assert many.prompt_eval_count
    assert many.model == "vectors"
    old = await client.embeddings("vectors", "one text")
    assert old.embedding[:1] != []
    assert (await client.embed("vectors", "one text")).embeddings[0] == old.embedding
    if speaks == "ollama":
        assert fake.journal[0].path == "/api/embed"
        sent = json.loads(fake.journal[0].body)
        assert (sent["truncate"], sent["options"]) == (False, {"num_ctx": 512})
    assert served.last().request.wire_format == "ollama"
    empty: list[Any] = ["", []]
    for wrong in empty:
        with pytest.raises(ollama.ResponseError, match="input"):
            await client.embed("vectors", wrong)


async def test_what_models_there_are(asked: tuple[Served, ollama.AsyncClient]) -> None:
    served, client = asked
    listed = await client.list()
    assert {"fake", "vectors", "auto"} <= {model.model for model in listed.models}
    shown = await client.show("fake")
    assert shown.capabilities == ["completion", "tools", "vision", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] == 100000
    assert (await client.show("vectors")).capabilities == ["embedding"]
    assert (await client.ps()).models == [], "whether another runtime has a model loaded is not known here"
    with pytest.raises(ollama.ResponseError, match="not found") as refused:
        await client.show("no-such-model")
    assert refused.value.status_code == 404
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as plain:
        by_old_field = await plain.post("/api/show", json={"name": "fake"})
        assert by_old_field.json()["capabilities"] == shown.capabilities
        version = (await plain.get("/api/version")).json()["version"]
        assert tuple(map(int, version.split("."))) >= (0, 13, 4), "Codex asks for this one at least"
        assert (await plain.head("/")).status_code == 200


async def test_what_is_not_done_here_says_what_helps(asked: tuple[Served, ollama.AsyncClient]) -> None:
    _, client = asked
    for ask, remedy in (
        (client.pull("fake"), "freehold pull"),
        (client.push("fake"), "push from"),
        (client.create("other", from_="fake"), "deployments"),
        (client.copy("fake", "other"), "aliases"),
        (client.delete("fake"), "freehold.toml"),
    ):
        with pytest.raises(ollama.ResponseError, match=remedy) as refused:
            await ask
        assert refused.value.status_code == 400


async def test_the_sync_client_speaks_all_of_it(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))

    def ask() -> None:
        with ollama.Client(host=served.url) as client:
            assert client.chat("fake", [{"role": "user", "content": "[[fake: say=hi]]"}]).message.content == "hi"
            streamed = client.chat("fake", [{"role": "user", "content": "[[fake: say=a b]]"}], stream=True)
            assert "".join(piece.message.content or "" for piece in streamed) == "a b"
            assert client.generate("fake", "[[fake: say=hi]]").response == "hi"
            assert "".join(piece.response or "" for piece in client.generate("fake", "[[fake: say=a b]]", stream=True)) == "a b"
            assert len(client.embed("vectors", ["x", "y"]).embeddings) == 2
            assert client.embeddings("vectors", "x").embedding
            assert "fake" in {model.model for model in client.list().models}
            assert client.show("fake").capabilities
            assert client.ps().models == []
            with pytest.raises(ollama.ResponseError):
                client.pull("fake")

    await asyncio.to_thread(ask)


async def test_answers_fit_the_published_schemas(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat"))
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as plain:
        chat = {"model": "fake", "messages": [{"role": "user", "content": f"{TWO_CALLS} [[fake: think=hm]]"}], "tools": [TOOL]}
        fits("ChatResponse", (await plain.post("/api/chat", json={**chat, "stream": False})).json())
        lines = (await plain.post("/api/chat", json=chat)).text.splitlines()
        assert len(lines) > 2
        for line in lines:
            fits("ChatStreamEvent", json.loads(line))
        prompt = {"model": "fake", "prompt": "[[fake: say=a b]]"}
        fits("GenerateResponse", (await plain.post("/api/generate", json={**prompt, "stream": False})).json())
        for line in (await plain.post("/api/generate", json=prompt)).text.splitlines():
            fits("GenerateStreamEvent", json.loads(line))
        fits("EmbedResponse", (await plain.post("/api/embed", json={"model": "vectors", "input": ["x", "y"]})).json())
        fits("ListResponse", (await plain.get("/api/tags")).json())
        fits("ShowResponse", (await plain.post("/api/show", json={"model": "fake"})).json())
        fits("PsResponse", (await plain.get("/api/ps")).json())
        fits("VersionResponse", (await plain.get("/api/version")).json())


@pytest.mark.parametrize("root", [True, False], ids=["at the root", "with /v1"])
async def test_other_clients_reach_a_runtime_that_speaks_ollama_only(serve: Serve, fake: FakeRuntime, *, root: bool) -> None:
    served = await serve(config(fake, "ollama", root=root))
    messages: Any = [{"role": "user", "content": "[[fake: say=hello there]]"}]
    whole = await served.openai().chat.completions.create(model="fake", messages=messages, max_tokens=90000)
    assert whole.choices[0].message.content == "hello there"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3
    sent = json.loads(fake.journal[-1].body)
    assert fake.journal[-1].path == "/api/chat"
    assert (sent["truncate"], sent["shift"], sent["stream"], sent["options"]["num_ctx"]) == (False, False, False, 100000)
    stream = await served.openai().chat.completions.create(
        model="fake",
        messages=[{"role": "user", "content": TWO_CALLS}],
        tools=[OPENAI_TOOL],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or () if call.id]
    assert len({call.id for call in calls}) == 2
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    message = await served.anthropic().messages.create(model="fake", max_tokens=50, messages=messages)
    assert message.content[0].text == "hello there"  # type: ignore[union-attr]
    vectors = await served.openai().embeddings.create(model="vectors", input=["one", "two"])
    assert [len(one.embedding) for one in vectors.data] == [64, 64]
    assert fake.journal[-1].path == "/api/embed"


async def test_a_clients_own_window_is_pinned_and_its_cutting_switched_off(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "ollama"))
    async with ollama.AsyncClient(host=served.url) as client:
        await client.chat("fake", [{"role": "user", "content": "[[fake: say=hi]]"}], options={"num_ctx": 8192, "mirostat": 1})
    sent = json.loads(fake.journal[-1].body)
    assert sent["options"] == {"num_ctx": 100000, "mirostat": 1}
    assert sent["truncate"] is sent["shift"] is False
    assert served.last().attempts[0].edits == ("engine_options", "model", "reply_model")


async def test_an_overflow_there_is_an_overflow_here(serve: Serve) -> None:
    inner = {"error": {"code": 400, "message": "request (8889 tokens) exceeds the available context size (4096 tokens)"}}
    body = json.dumps({"error": json.dumps(inner)}).encode()
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    full = FakeRuntime(lambda _: Act(raw=head + body))
    await full.start()
    try:
        served = await serve(config(full, "ollama"))
        async with ollama.AsyncClient(host=served.url) as client:
            with pytest.raises(ollama.ResponseError, match="exceeds the context length of 4096 tokens") as refused:
                await client.chat("fake", [{"role": "user", "content": "x"}])
        assert refused.value.status_code == 400
        assert served.last().attempts[0].fault == "context_overflow"
    finally:
        await full.stop()


async def test_errors_below_api_are_in_ollamas_spelling(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "ollama"))
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as plain:
        for answer, status in (
            (await plain.get("/api/nothing"), 404),
            (await plain.get("/api/chat"), 405),
            (await plain.post("/api/chat", content=b"{"), 400),
            (await plain.post("/api/chat", json={"model": "fake", "messages": [{"role": "odd", "content": "x"}]}), 400),
            (await plain.post("/api/chat", json={"model": "nope", "messages": [{"role": "user", "content": "x"}]}), 404),
            (await plain.post("/api/embed", json={"model": "vectors"}), 400),
            (await plain.post("/api/embeddings", json={"model": "vectors"}), 400),
            (await plain.post("/api/show", json={}), 400),
        ):
            assert answer.status_code == status
            assert set(answer.json()) == {"error"}
            assert isinstance(answer.json()["error"], str)


async def test_a_waiting_stream_commits_its_head_and_says_nothing_until_there_is_something(
    serve: Serve, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.server.app.KEEP_ALIVE_S", 0.02)
    served = await serve(config(fake, "ollama"))
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as plain:
        body = {"model": "fake", "messages": [{"role": "user", "content": "[[fake: slow=100ms]] [[fake: say=a b]]"}]}
        lines = (await plain.post("/api/chat", json=body)).text.split("\n")
    assert lines.pop() == ""
    assert all(json.loads(line) for line in lines), "clients read every line as JSON, an empty one too"


async def test_a_held_generate_reaches_ollama_as_generate(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    text = (
        NO_ENGINE
        + runtime_toml("near", "local", base_url(fake), formats='["ollama"]')
        + runtime_toml("far", "self_hosted", base_url(other_fake), formats='["ollama"]')
        + deployment_toml("near", "small", "fake-empty", free="true")
        + deployment_toml("far", "large", "fake-chat", free="true")
        + '[aliases]\nboth = ["near/small", "far/large"]\n'
        + '[[rules]]\nname = "better"\ntry = ["local"]\n'
        + 'escalate = { on = ["empty"], to = ["self_hosted"], at_most = 1, hold = "whole" }\n'
    )
    served = await serve(text)
    async with ollama.AsyncClient(host=served.url) as client:
        stream = await client.generate("both", "say something", system="Be kind.", stream=True)
        said = "".join([piece.response or "" async for piece in stream])
    assert "say something" in said
    for runtime in (fake, other_fake):
        [received] = runtime.journal
        sent = json.loads(received.body)
        assert received.path == "/api/generate"
        assert (sent["prompt"], sent["system"], sent["truncate"], sent["stream"]) == ("say something", "Be kind.", False, True)
    assert [attempt.end for attempt in served.last().attempts] == ["escalated", "served"]


async def test_the_same_body_at_two_endpoints_is_two_questions_for_the_cache(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "openai_chat") + '[[rules]]\nname = "again"\ntry = ["local"]\ncache = { ttl_s = 60 }\n')
    body = {
        "model": "fake",
        "prompt": "[[fake: say=a]]",
        "messages": [{"role": "user", "content": "[[fake: say=b]]"}],
        "stream": False,
    }
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as plain:
        chats = [await plain.post("/api/chat", json=body) for _ in range(2)]
        texts = [await plain.post("/api/generate", json=body) for _ in range(2)]
    assert [one.json()["message"]["content"] for one in chats] == ["b", "b"]
    assert [one.json()["response"] for one in texts] == ["a", "a"]
    assert [one.headers.get("x-freehold-cache") for one in (*chats, *texts)] == [None, "hit", None, "hit"]
