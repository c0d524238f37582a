"""What each engine is told by, and what is never listed as local, against servers on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from freehold.gateways.connector import Connector
from freehold.gateways.discovery import Sighting, Surveyor, read_known
from freehold.gateways.discovery import asking as asking_module
from freehold.gateways.discovery import surveyor as surveyor_module
from freehold.gateways.discovery.engines import make_looks
from freehold.gateways.discovery.known import moved_port
from freehold.gateways.discovery.ollama import OllamaMemory
from freehold.gateways.discovery.processes import ports_of_processes
from freehold.gateways.discovery.sighting import MAX_MODELS, model_of
from freehold.gateways.http import Upstreams
from freehold.runtime import Abilities, Egress
from support import engines
from support.engines import Engine, listed, ollama, running_engine, shown, tag
from support.ports import held_port


@pytest.fixture
async def surveyor() -> AsyncIterator[Surveyor]:
    upstreams = Upstreams(Connector(Egress.LOCAL))
    yield Surveyor(upstreams, read_known())
    await upstreams.close()


async def look(surveyor: Surveyor, answers: dict[str, Any], **more: Any) -> Sighting:
    async with running_engine(answers, **more) as engine:
        (sighting,) = await surveyor.survey([engine.port])
        assert sighting.port == engine.port
        return sighting


def served(sighting: Sighting) -> dict[str, Abilities]:
    return {model.served_as: model.abilities for model in sighting.models}


SEEN: list[tuple[str, dict[str, Any], Egress, dict[str, Abilities]]] = [
    (
        "ollama", engines.OLLAMA, Egress.LOCAL,
        {
            "qwen3:4b": Abilities(context=32768, tools=True, reasoning=True, json_schema=True),
            "gemma4:latest": Abilities(context=16384, images=True, json_schema=True),
            "nomic-embed-text:latest": Abilities(context=2048, embeddings=True, chat=False),
        },
    ),
    (
        "lmstudio", engines.LM_STUDIO, Egress.LOCAL,
        {
            "qwen/qwen3-4b": Abilities(context=8192, tools=True, json_schema=True),
            "qwen2-vl-7b-instruct": Abilities(images=True, json_schema=True),
            "text-embedding-nomic-embed-text-v1.5": Abilities(embeddings=True, chat=False),
        },
    ),
    ("vllm", engines.VLLM, Egress.LOCAL, {"Qwen/Qwen3-8B": Abilities(context=40960, json_schema=True, logprobs=True)}),
    (
        "sglang", engines.SGLANG, Egress.LOCAL,
        {"Qwen/Qwen3-8B": Abilities(context=32768, tools=True, images=True, json_schema=True, logprobs=True)},
    ),
    ("sglang", engines.OLD_SGLANG, Egress.LOCAL, {"e5": Abilities(context=4096, embeddings=True, chat=False)}),
    ("llama-swap", engines.LLAMA_SWAP, Egress.LOCAL, {"qwen3": Abilities(json_schema=True)}),
    ("localai", engines.LOCALAI, Egress.LOCAL, {"gemma": Abilities()}),
    ("koboldcpp", engines.KOBOLDCPP, Egress.LOCAL, {"koboldcpp/Qwen3-4B-Q4_K_M": Abilities(context=8192)}),
    ("foundry", engines.FOUNDRY, Egress.LOCAL, {"phi-4-mini-instruct-generic-cpu": Abilities(context=4096, tools=True)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answers", "egress", "models"), SEEN, ids=lambda value: value if isinstance(value, str) else "")
async def test_an_engine_is_told_by_its_own_answers(
    surveyor: Surveyor, name: str, answers: dict[str, Any], egress: Egress, models: dict[str, Abilities]
) -> None:
    sighting = await look(surveyor, answers)
    assert (sighting.kind, sighting.name, sighting.egress) == ("engine", name, egress)
    assert served(sighting) == models


def test_every_engine_of_the_data_file_can_be_told_and_names_its_source() -> None:
    known = read_known()
    assert {engine.name for engine in known.engines} == set(make_looks(OllamaMemory()))
    assert all(len(one.source) > 10 for one in (*known.engines, *known.relays))


async def test_a_model_that_ollama_relays_is_never_listed(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, engines.OLLAMA)
    assert {one.name for one in sighting.left_out} == {"gpt-oss:120b-cloud", "kimi:cloud", "alias", "quiet"}
    assert all("local" in one.why or "weights" in one.why for one in sighting.left_out)


async def test_a_model_that_ollama_does_not_describe_is_not_listed(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, ollama(tag("a"), tag("b"), shows={"b": None}))
    assert (list(served(sighting)), [one.name for one in sighting.left_out]) == (["a"], ["b"])


async def test_lm_studio_with_lm_link_may_be_another_machine(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, engines.LINKED_LM_STUDIO)
    assert (sighting.kind, sighting.egress) == ("engine", Egress.SELF_HOSTED)
    assert "LM Link" in sighting.why


async def test_what_an_engine_hands_on_is_left_out(surveyor: Surveyor) -> None:
    assert [one.name for one in (await look(surveyor, engines.LLAMA_SWAP)).left_out] == ["big"]
    assert [one.name for one in (await look(surveyor, engines.LOCALAI)).left_out] == ["claude", "asleep"]


@pytest.mark.parametrize(
    ("answers", "name"), [(engines.FREEHOLD, "Freehold"), (engines.LITELLM, "LiteLLM"), (engines.ROUTER, "claude-code-router")]
)
async def test_a_gateway_is_not_taken_for_an_engine(surveyor: Surveyor, answers: dict[str, Any], name: str) -> None:
    sighting = await look(surveyor, answers)
    assert (sighting.kind, sighting.name, sighting.models) == ("relay", name, ())


async def test_an_engine_behind_a_proxy_is_not_local(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, engines.VLLM, headers={"Via": "1.1 tunnel"})
    assert (sighting.kind, sighting.models) == ("relay", ())
    assert "via" in sighting.why


async def test_a_server_nobody_knows_is_not_local(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, {"/v1/models": listed("someone", "gpt-5.5")})
    assert (sighting.kind, sighting.models) == ("unknown", ())


async def test_a_server_that_asks_for_a_key_is_named_as_such(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, {"/version": {"version": "0.32.0"}, "/v1/models": (401, {"error": "key"})})
    assert (sighting.kind, "freehold.toml" in sighting.why) == ("locked", True)


HOSTILE: dict[str, dict[str, Any]] = {
    "html": {"*": b"<html><body>Welcome</body></html>"},
    "redirects": {"*": engines.redirects},
    "nonsense": {"*": engines.talks_nonsense},
    "floods": {"*": engines.floods},
    "ten mebibytes": {"/api/version": {"version": "1"}, "/api/tags": b'{"models": [' + b" " * (10 * engines.MIB) + b"]}"},
    "deep": {"/v1/models": b'{"data":' + b"[" * 100_000, "/api/tags": b"[" * 100_000, "/api/version": {"version": "1"}},
    "wrong types": {
        "/api/version": {"version": 1},
        "/api/tags": {"models": "all"},
        "/v1/models": {"data": {"id": 1}},
        "/props": [],
    },
    "not utf-8": {"*": b'{"version": "\xff\xfe", "data": [], "models": []}'},
    "null": {"*": b"null"},
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server_is_nothing_but_unknown(surveyor: Surveyor, name: str) -> None:
    sighting = await look(surveyor, HOSTILE[name])
    assert (sighting.kind, sighting.models) == ("unknown", ())


@pytest.mark.parametrize("behaviour", [engines.hangs, engines.drips(0.01)], ids=["hangs", "drips"])
async def test_a_server_that_never_ends_costs_its_deadline_and_holds_up_nobody(
    surveyor: Surveyor, behaviour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_module, "ANSWER_TIMEOUT_S", 0.3)
    async with running_engine({"*": behaviour}) as slow, running_engine(engines.VLLM) as good:
        began = time.monotonic()
        kinds = [one.kind for one in await surveyor.survey([slow.port, good.port])]
        assert time.monotonic() - began < 20, "a server that never ends is not waited for"
    assert kinds == ["unknown", "engine"]


async def test_names_from_outside_are_plain_and_few(surveyor: Surveyor) -> None:
    many = [tag(f"m{index}") for index in range(500)]
    sighting = await look(surveyor, ollama(tag("\x1b[31mred"), tag("x" * 200), *many))
    assert len(sighting.models) == MAX_MODELS
    assert all(one.name.isprintable() and len(one.name) < 100 for one in sighting.left_out)


async def test_a_known_engine_is_asked_its_own_questions_only_and_details_once(surveyor: Surveyor) -> None:
    async with running_engine(engines.OLLAMA) as engine:
        first = await surveyor.survey([engine.port])
        engine.asked.clear()
        assert await surveyor.survey([engine.port]) == first
    assert engine.asked == ["/healthz", "/api/version", "/api/tags", "/api/ps"]


async def test_the_context_a_model_had_when_it_was_loaded_is_kept(surveyor: Surveyor) -> None:
    async with running_engine(ollama(tag("a"), loaded={"a": 16384})) as engine:
        await surveyor.survey([engine.port])
        engine.answers["/api/ps"] = {"models": []}
        (sighting,) = await surveyor.survey([engine.port])
    assert served(sighting)["a"].context == 16384


async def test_a_context_nobody_told_stays_unknown_but_for_models_that_have_no_more(surveyor: Surveyor) -> None:
    sighting = await look(surveyor, ollama(tag("a"), tag("b"), shows={"b": shown(["completion"], trained=2048)}))
    assert [abilities.context for abilities in served(sighting).values()] == [None, 2048]


async def test_an_engine_that_ends_is_gone_at_once(surveyor: Surveyor) -> None:
    port, holding = held_port()
    engine = Engine(dict(engines.VLLM))
    await engine.start(port)
    assert len(await surveyor.survey([port])) == 1
    await engine.stop()
    assert await surveyor.survey([port]) == ()
    holding.close()


async def test_a_busy_engine_is_kept_for_a_while(surveyor: Surveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveyor_module, "MISSES_KEPT", 3)
    async with running_engine(dict(engines.VLLM)) as engine:
        before = await surveyor.survey([engine.port])
        monkeypatch.setattr(asking_module, "ANSWER_TIMEOUT_S", 0.05)
        engine.answers = {"*": engines.hangs}
        assert await surveyor.survey([engine.port]) == before
        assert await surveyor.survey([engine.port]) == before
        assert [one.kind for one in await surveyor.survey([engine.port])] == ["unknown"]


async def test_another_server_at_the_port_of_an_engine_is_looked_at_anew(surveyor: Surveyor) -> None:
    async with running_engine(dict(engines.VLLM)) as engine:
        await surveyor.survey([engine.port])
        engine.answers = dict(engines.LITELLM)
        (sighting,) = await surveyor.survey([engine.port])
        assert (sighting.kind, sighting.name) == ("relay", "LiteLLM")
        engine.answers = dict(engines.KOBOLDCPP)
        (sighting,) = await surveyor.survey([engine.port])
    assert (sighting.kind, sighting.name) == ("engine", "koboldcpp")


async def test_our_own_port_is_never_asked() -> None:
    async with running_engine(engines.OLLAMA) as engine:
        upstreams = Upstreams(Connector(Egress.LOCAL))
        assert await Surveyor(upstreams, read_known(), skip=lambda: frozenset({engine.port})).survey([engine.port]) == ()
        await upstreams.close()
    assert engine.asked == []


async def test_many_ports_are_looked_at_together(surveyor: Surveyor) -> None:
    started = [Engine(dict(engines.VLLM)) for _ in range(10)]
    ports = [await engine.start() for engine in started]
    found = await surveyor.survey([*ports, *ports])
    await asyncio.gather(*(engine.stop() for engine in started))
    assert [one.port for one in found] == ports


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ("127.0.0.1:11500", 11500),
        ("0.0.0.0:11434", 11434),
        ("http://localhost:9000/", 9000),
        (":11600", 11600),
        ("[::1]:7000", 7000),
        ("10.0.0.5:11434", None),
        ("https://ollama.com", None),
        ("ollama.internal:11434", None),
        ("localhost", None),
        ("nonsense nonsense", None),
        ("", None),
    ],
)
def test_an_address_variable_moves_a_port_on_this_machine_only(said: str, port: int | None) -> None:
    assert moved_port(said) == port
    assert (port in read_known().ports({"OLLAMA_HOST": said})) == (port is not None)


@pytest.mark.parametrize(
    ("served_as", "model"),
    [
        ("/home/me/Qwen3-4B-Q4_K_M.gguf", "Qwen3-4B-Q4_K_M"),
        ("C:\\models\\phi-4.gguf", "phi-4"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("qwen3:4b", "qwen3:4b"),
    ],
)
def test_a_path_is_no_name_of_a_model(served_as: str, model: str) -> None:
    assert model_of(served_as) == model


def test_ports_of_a_process_are_found_by_its_name() -> None:
    foundry = [engine for engine in read_known().engines if engine.processes]
    assert [engine.name for engine in foundry] == ["foundry"]
    assert ports_of_processes(foundry) == ()


def llama_server(template: str, *, models: int = 1) -> dict[str, Any]:
    """As a running llama-server answers, as far as it is asked."""
    return {
        "/v1/models": {
            "models": [{"name": "m", "capabilities": ["completion"]}] * models,
            "object": "list",
            "data": [{"id": f"m{number}", "owned_by": "llamacpp", "meta": {"n_ctx": 8192}} for number in range(models)],
        },
        "/props": {"chat_template": template, "chat_template_caps": {"supports_tools": True}, "build_info": "b10434"},
    }


@pytest.mark.parametrize(
    ("answers", "alternates"),
    [
        (llama_server("{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"), True),
        (llama_server("{% for message in messages %}{{ message.content }}{% endfor %}"), False),
        (llama_server("{{ raise_exception('roles must alternate') }}", models=2), False),
    ],
    ids=["strict", "lenient", "a router's template is not its models'"],
)
async def test_a_llama_server_gets_the_quirks_that_its_template_needs(
    surveyor: Surveyor, answers: dict[str, Any], alternates: bool
) -> None:
    sighting = await look(surveyor, answers)
    for model in sighting.models:
        assert {"system_first", "top_k", "no_echo"} <= set(model.quirks)
        assert ("alternating_roles" in model.quirks) is alternates


@pytest.mark.parametrize(
    ("template", "switches"),
    [
        ("{%- if enable_thinking is defined and enable_thinking is false %}<think>{% endif %}", True),
        ("{% if not thinking is defined %}{% set thinking = false %}{% endif %}", True),
        ("{%- if thinking %}{{ 'think' }}{% endif %}", True),
        ("{%- if message.thinking %}{{ message.thinking }}{% endif %}", False),
        ("{% for message in messages %}{{ message.content }}{% endfor %}", False),
    ],
)
async def test_a_template_that_switches_thinking_is_told_the_switch(surveyor: Surveyor, template: str, switches: bool) -> None:
    sighting = await look(surveyor, llama_server(template))
    assert [("thinking_switch" in model.quirks) for model in sighting.models] == [switches]


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("Qwen/Qwen3-8B", True), ("zai-org/GLM-4.6", True), ("HuggingFaceTB/SmolLM3-3B", True), ("deepseek-ai/DeepSeek-V3.1", True),
        ("Qwen/Qwen2.5-7B-Instruct", False), ("mistralai/Devstral-Small", False), ("my-qwen3-like", False),
    ],
)  # fmt: skip
async def test_vllm_is_told_the_switch_where_the_family_has_one(surveyor: Surveyor, name: str, switches: bool) -> None:
    answers = engines.VLLM | {"/v1/models": engines.listed("vllm", name, max_model_len=4096)}
    (model,) = (await look(surveyor, answers)).models
    assert ("thinking_switch" in model.quirks) is switches
