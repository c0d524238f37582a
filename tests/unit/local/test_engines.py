"""The real engines with their real weights."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import textwrap

import aiohttp
import numpy as np
import psutil
import pytest

from freehold.runtime import Launch

pytestmark = pytest.mark.engine
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
TEXT, EMBED = Launch(engine="llama", weights="smollm2-135m-instruct", slots=2), Launch(engine="embed", weights="all-minilm-l6-v2")


def user(text):
    return {"role": "user", "content": text}


@pytest.fixture
async def engines(weights_home, launch_engines):
    running = launch_engines({"text": TEXT, "embed": EMBED}, weights_home)
    await running.ready()
    assert {name: state.status for name, state in running.states().items()} == {"text": "ready", "embed": "ready"}
    return running


@pytest.fixture
async def ask(engines):
    """POST to an engine; returns status and body text."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def post(name, path, body, key=None):
            state = engines.state(name)
            headers = {"authorization": f"Bearer {state.api_key.reveal() if key is None else key}"}
            async with session.post(state.base_url + path, json=body, headers=headers) as answer:
                return answer.status, await answer.text()

        yield post


async def test_it_answers_whole_streamed_and_by_schema_and_refuses_what_it_should(engines, ask):
    question = {"messages": [SYSTEM, user("What is the capital of France?")], "temperature": 0, "max_tokens": 24}

    status, text = await ask("text", "/chat/completions", question)
    reply = json.loads(text)
    whole = reply["choices"][0]["message"]["content"]
    assert status == 200
    assert "Paris" in whole
    assert reply["model"] == "smollm2-135m-instruct"
    assert reply["usage"]["completion_tokens"] > 0

    status, text = await ask("text", "/chat/completions", question | {"stream": True})
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    deltas = [json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines[:-1] if json.loads(line)["choices"]]
    assert lines[-1] == "[DONE]"
    assert len(deltas) > 3
    assert "".join(deltas) == whole

    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 40}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema, "strict": True}}
    weather = {"messages": [SYSTEM, user("What is the weather in Paris, in Celsius?")], "temperature": 0, "max_tokens": 80}
    _, text = await ask("text", "/chat/completions", weather | {"response_format": wanted})
    arguments = json.loads(json.loads(text)["choices"][0]["message"]["content"])
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in {"C", "F"}

    status, text = await ask("text", "/chat/completions", {"messages": [user("hi " * 9000)], "max_tokens": 4})
    assert status == 400
    assert json.loads(text)["error"]["type"] == "exceed_context_size_error"
    assert json.loads(text)["error"]["n_ctx"] == engines.state("text").context == 8192

    for name in ("text", "embed"):
        path, body = ("/chat/completions", question) if name == "text" else ("/embeddings", {"input": "a"})
        assert (await ask(name, path, body, key="wrong"))[0] == 401


async def test_going_away_while_the_prompt_is_read_frees_the_slot(engines):
    """Reading this prompt of 6,000 tokens to its end takes a minute, and more on a busy machine: what was read of it counts."""
    state = engines.state("text")
    headers = {"authorization": f"Bearer {state.api_key.reveal()}"}
    body = {"messages": [user("cancel me " * 3000)], "max_tokens": 8, "stream": True, "return_progress": True}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def reading():
            """The tokens that each busy slot has read of its prompt."""
            async with session.get(state.base_url.removesuffix("/v1") + "/slots", headers=headers) as answer:
                return [slot["n_prompt_tokens_processed"] for slot in await answer.json() if slot["is_processing"]]

        async with session.post(state.base_url + "/chat/completions", json=body, headers=headers) as answer:
            first = await answer.content.readline()
            assert b"prompt_progress" in first
            assert await reading()
        while read := await reading():
            assert max(read) < 2000, "it reads on for nobody"
            await asyncio.sleep(0.02)  # who asks takes the core that it reads with


async def test_embeddings_have_unit_length_and_put_similar_texts_together(ask):
    texts = ["How do I sort a list in Python?", "Sorting an array in Python code", "The soup needs more salt and pepper"]
    status, text = await ask("embed", "/embeddings", {"input": texts, "model": "all-minilm-l6-v2"})
    reply = json.loads(text)
    vectors = np.array([item["embedding"] for item in reply["data"]])
    assert status == 200
    assert [item["index"] for item in reply["data"]] == [0, 1, 2]
    assert vectors.shape == (3, 384)
    assert reply["usage"]["prompt_tokens"] == reply["usage"]["total_tokens"] > 10
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike, unlike = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert alike > 0.6
    assert unlike < 0.3

    _, text = await ask("embed", "/embeddings", {"input": texts[0], "encoding_format": "base64"})
    packed = np.frombuffer(base64.b64decode(json.loads(text)["data"][0]["embedding"]), "<f4")
    assert packed @ vectors[0] > 0.99  # int8 activations round differently with what shares the batch

    long = " ".join(texts[:1] * 100)
    _, text = await ask("embed", "/embeddings", {"input": [long]})
    assert np.array(json.loads(text)["data"][0]["embedding"]) @ vectors[0] > 0.7


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input[0]"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [1, 2, 3]}, "input[0]"),
        ({"input": "a", "dimensions": 5}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["a", "word " * 9000]}, "input[1]"),
        ({"input": ["word " * 8000] * 20}, "input"),
    ],
    ids=["none", "no texts", "empty", "one empty", "tokens", "dimensions", "format", "too many", "too long", "too long in all"],
)
def test_a_bad_embeddings_request_names_the_field(weights_home, body, param):
    from freehold.local.embeddings import Encoder, InputError, read_request

    weights = weights_home / "weights" / EMBED.weights / "model.onnx"
    with pytest.raises(InputError) as caught:
        Encoder(str(weights), context=8192, threads=1).encode(read_request(json.dumps(body).encode(), 384).texts)
    assert caught.value.param == param


async def test_the_real_engines_come_back_after_kill_9(engines):
    for name in ("text", "embed"):
        before, back = engines.state(name), asyncio.Event()
        engines.on_change(
            lambda changed, state, name=name, back=back: back.set() if (changed, state.status) == (name, "ready") else None
        )
        os.kill(before.pid, signal.SIGKILL)
        await asyncio.wait_for(back.wait(), 50)
        assert engines.state(name).pid != before.pid
        assert engines.state(name).restarts == 1


async def test_a_truncated_model_is_refused_before_it_is_loaded(weights_home, tmp_path, launch_engines):
    whole = weights_home / "weights" / TEXT.weights
    cut = tmp_path / "weights" / TEXT.weights
    cut.mkdir(parents=True)
    for path in whole.glob("*.gguf"):
        (cut / path.name).write_bytes(path.read_bytes()[: 1 << 20])
    engines = launch_engines({"text": TEXT}, tmp_path)
    await engines.ready()
    assert engines.state("text").status == "no_weights"
    assert "is cut or changed" in engines.state("text").fault.message


def test_engines_die_with_a_parent_that_is_killed(weights_home):
    script = f"""
        import asyncio, time
        from pathlib import Path
        from freehold.gateways.connector import Connector
        from freehold.gateways.http import Upstreams
        from freehold.gateways.local_get import make_local_get
        from freehold.local.supervisor import Engines
        from freehold.runtime import Egress, Launch

        async def main():
            launches = {{"embed": Launch(engine="embed", weights="{EMBED.weights}")}}
            engines = Engines(launches, Path({str(weights_home)!r}), get=make_local_get(Upstreams(Connector(Egress.LOCAL))), log=lambda *_, **__: None, now=time.monotonic)
            engines.start()
            await engines.ready()
            print(engines.state("embed").pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([child], timeout=10)[1] == []
