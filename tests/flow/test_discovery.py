"""Engines that come, are used and go, through the whole gateway: no file says where they are, and no request fails."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.gateways.discovery import Known, read_known
from freehold.gateways.fake import FakeRuntime
from freehold.local import weights
from freehold.server import discovering
from support import engines
from support.engines import Engine, listed, running_engine
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.ports import held_port

HI: Any = [{"role": "user", "content": "hello"}]
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "from the engine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
}
EMBEDDED = {
    "object": "list",
    "model": "nomic-embed-text:latest",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
VLLM = engines.VLLM | {"/v1/models": listed("vllm", "small", max_model_len=40960), "/v1/chat/completions": REPLY}


@pytest.fixture(autouse=True)
def only_ports_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on this machine beside the tests is not found."""
    known = read_known()
    quiet = tuple(msgspec.structs.replace(one, ports=(), address_variable=None, processes=()) for one in known.engines)
    monkeypatch.setattr(discovering, "read_known", lambda: Known(quiet, known.relays, known.relay_headers))


def settings(*ports: int, more: str = "") -> str:
    return f"[discovery]\nports = {list(ports)}\nevery_s = 3600\n{more}{NO_ENGINE}"


async def look(served: Served) -> None:
    await served.app.discovering.has_looked.wait()
    await served.app.discovering.look()


async def ask(served: Served, model: str = "auto") -> str:
    reply = await served.openai().chat.completions.create(model=model, messages=HI, max_tokens=16)
    content: str = reply.choices[0].message.content or ""
    assert content
    return str(served.last().request.deployment)


async def test_an_engine_comes_is_used_and_goes_and_no_request_fails(serve: Serve, fake: FakeRuntime) -> None:
    engine = Engine(dict(VLLM))
    port, holding = held_port()
    away = runtime_toml("team", "self_hosted", base_url(fake)) + deployment_toml("team", "m", "m", free="true")
    served = await serve(settings(port) + away)
    await look(served)
    assert await ask(served) == "team/m"

    await engine.start(port)
    await look(served)
    assert await ask(served) == await ask(served, "small") == "vllm/small"
    assert served.last().request.egress == "local"
    assert {model.id async for model in served.openai().models.list()} >= {"small", "vllm/small"}
    (status,) = [one for one in served.app.readiness().runtimes if one.name == "vllm"]
    assert (status.status, status.egress) == ("found", "local")

    await engine.stop()
    assert await ask(served) == "team/m"  # nobody has looked again yet
    await look(served)
    assert await ask(served) == "team/m"
    assert [attempt.deployment for attempt in served.last().attempts] == ["team/m"]
    assert "vllm" not in {one.name for one in served.app.readiness().runtimes}
    assert [row.outcome for row in served.rows()] == ["served"] * 5
    holding.close()


async def test_an_ollama_that_is_found_serves_chats_and_embeddings_and_never_its_cloud(serve: Serve) -> None:
    said = {"model": "qwen3:4b", "message": {"role": "assistant", "content": "hi"}, "done": True, "done_reason": "stop",
            "prompt_eval_count": 1, "eval_count": 1, "created_at": "2026-11-21T07:00:00Z"}  # fmt: skip
    vectors = {"model": "nomic-embed-text:latest", "embeddings": [[0.1, 0.2]], "prompt_eval_count": 1}
    async with running_engine(engines.OLLAMA | {"/api/chat": said, "/api/embed": vectors, "/v1/embeddings": EMBEDDED}) as ollama:
        served = await serve(settings(ollama.port))
        await look(served)
        assert await ask(served) == await ask(served, "qwen3:4b") == "ollama/qwen3:4b"
        found = await served.openai().embeddings.create(model="nomic-embed-text:latest", input="x", encoding_format="float")
        assert found.data[0].embedding == [0.1, 0.2]
        names = {model.id async for model in served.openai().models.list()}
        assert not any("cloud" in name for name in names)
        with pytest.raises(Exception, match="404"):
            await ask(served, "kimi:cloud")


async def test_a_survey_that_sees_the_same_changes_nothing(serve: Serve) -> None:
    async with running_engine(dict(VLLM)) as engine:
        served = await serve(settings(engine.port))
        await served.app.discovering.has_looked.wait()
        policy = served.app.intake.policy
        assert not await served.app.discovering.look()
        assert served.app.intake.policy is policy


async def test_the_gateway_does_not_find_itself(serve: Serve) -> None:
    served = await serve(settings())
    port = int(served.url.rpartition(":")[2])
    other = await serve(settings(port))
    await look(other)
    assert [(one.kind, one.name) for one in other.app.discovering.sightings] == [("relay", "Freehold")]
    own = await served.app.discovering._survey(msgspec.structs.replace(served.app.base.settings.discovery, ports=(port,)))
    assert own == ()


async def test_a_request_that_must_stay_here_may_use_a_found_engine_but_no_relay(serve: Serve) -> None:
    relay = engines.LITELLM | {"/v1/chat/completions": REPLY}
    async with running_engine(relay) as litellm, running_engine(dict(VLLM)) as vllm:
        served = await serve(settings(litellm.port, vllm.port), environ={"FREEHOLD_LOCAL_ONLY": "1"})
        await look(served)
        assert await ask(served) == "vllm/small"
        assert "/v1/chat/completions" not in litellm.asked


async def test_a_changed_file_keeps_what_was_found_and_may_switch_it_off(serve: Serve) -> None:
    async with running_engine(dict(VLLM)) as engine:
        served = await serve(settings(engine.port))
        await look(served)
        base = served.app.base
        served.app.rebase(msgspec.structs.replace(base, settings=msgspec.structs.replace(base.settings)))
        assert "vllm" in served.app.config.runtimes
        off = msgspec.structs.replace(base.settings.discovery, local=False)
        served.app.rebase(msgspec.structs.replace(base, settings=msgspec.structs.replace(base.settings, discovery=off)))
        assert "vllm" not in served.app.config.runtimes
        engine.asked.clear()
        await served.app.discovering.look()
        assert engine.asked == []


async def test_starting_does_not_wait_for_what_is_slow_to_answer(serve: Serve) -> None:
    async with running_engine({"*": engines.hangs}) as engine:
        served = await serve(settings(engine.port))
        assert not served.app.discovering.has_looked.is_set()
        assert served.app.readiness().runtimes == ()


@pytest.fixture
async def llama_server(llama_server_binary: str, engine_home: Path) -> AsyncIterator[int]:
    """A real llama-server; its port."""
    model = weights.find("smollm2-135m-instruct", engine_home)
    process = await asyncio.create_subprocess_exec(
        llama_server_binary, "-m", str(model), "--host", "127.0.0.1", "--port", "0", "-c", "4096", "-np", "1", "-t", "1", "-ngl", "0",
        env={"PATH": os.environ["PATH"], "OMP_WAIT_POLICY": "passive", "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    found = None
    async with asyncio.timeout(60):
        while found is None:
            line = (await process.stderr.readline()).decode(errors="replace")
            assert line, "llama-server ended before it listened"
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    drain = asyncio.ensure_future(process.stderr.read())
    yield int(found[1])
    process.kill()
    await process.wait()
    drain.cancel()


@pytest.mark.engine
@pytest.mark.llama_server
async def test_a_real_llama_server_is_found_with_what_it_really_serves(serve: Serve, llama_server: int) -> None:
    served = await serve(settings(llama_server))
    await look(served)
    (placed,) = served.app.intake.policy.placed.values()
    able = placed.deployment.abilities
    assert (placed.runtime.name, placed.deployment.model) == ("llama-server", "SmolLM2-135M-Instruct.Q4_1")
    assert (able.context, able.tools, able.images, able.json_schema) == (4096, False, False, True)
    assert placed.model.licence == "Apache-2.0"
    assert await ask(served) == "llama-server/SmolLM2-135M-Instruct.Q4_1"
    prompt: Any = {"model": "auto", "messages": [{"role": "user", "content": "Zähle auf: 日本語, naïveté, 12345."}]}
    counted = await served.anthropic().messages.with_raw_response.count_tokens(**prompt)
    answer = await served.anthropic().messages.create(**prompt, max_tokens=2)
    assert (counted.headers["x-freehold-usage-basis"], served.last().attempts[0].usage.input_tokens) == (
        "measured",
        (await counted.parse()).input_tokens,
    )
    assert answer.usage.input_tokens <= (await counted.parse()).input_tokens  # less what it had in its memory
    assert served.app.intake._counting.at_hand("o200k_base") is None, "no vocabulary was loaded for it"


async def test_a_prompt_is_estimated_where_the_engine_does_not_count(serve: Serve, fake: FakeRuntime) -> None:
    local = runtime_toml("box", "local", base_url(fake), quirks='["own_tokenizer"]')
    served = await serve(settings() + local + deployment_toml("box", "m", "m"))
    raw = served.anthropic().messages.with_raw_response
    counted = await raw.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert counted.headers["x-freehold-usage-basis"] == "estimated"
    asked = [one.path for one in fake.journal]  # with the questions whether it is local at all
    assert "/apply-template" in asked
    assert "/tokenize" not in asked


async def test_no_runtime_elsewhere_is_asked_to_count(serve: Serve, fake: FakeRuntime) -> None:
    elsewhere = runtime_toml("box", "self_hosted", base_url(fake), quirks='["own_tokenizer"]')
    served = await serve(settings() + elsewhere + deployment_toml("box", "m", "m"))
    await served.anthropic().messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.journal == []
