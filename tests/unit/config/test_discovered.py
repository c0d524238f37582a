"""Engines laid over a configuration: the file wins, by name and by address, and nothing goes above a ceiling."""

import pytest

from freehold.config import read_config
from freehold.config.discovered import with_discovered
from freehold.config.load import Config
from freehold.gateways.discovery import ModelSeen, Sighting, read_known
from freehold.runtime import Abilities, Egress, Local, SelfHosted

KNOWN = read_known()


def read(text: str = "", **environ: str) -> Config:
    return read_config(text, environ, None)


def engine(name: str, port: int, *models: str, egress: Egress = Egress.LOCAL) -> Sighting:
    seen = tuple(ModelSeen(served_as=one, model=one, abilities=Abilities(context=32768)) for one in models)
    return Sighting(host="127.0.0.1", port=port, kind="engine", name=name, egress=egress, models=seen)


def over(config: Config, *sightings: Sighting) -> Config:
    return with_discovered(config, sightings, KNOWN)


def ids(config: Config, asked: str) -> list[str]:
    return [one.id for one in config.policy.resolve(asked) or ()]


OLLAMA = engine("ollama", 11434, "qwen3:4b")
BOX = """
[[runtimes]]
name = "box"
kind = "self_hosted"
base_url = "http://10.0.0.5:8080/v1"
[[deployments]]
id = "box/big"
model = "big"
runtime = "box"
served_as = "big"
"""


def test_an_engine_stands_behind_the_files_own_and_before_the_built_in_ones() -> None:
    config = over(read(BOX, HOME="/nowhere"), OLLAMA)
    assert ids(config, "auto") == ["box/big", "ollama/qwen3:4b", "embedded/smollm2-135m-instruct"]
    assert ids(config, "qwen3:4b") == ids(config, "ollama/qwen3:4b") == ["ollama/qwen3:4b"]
    assert isinstance(config.runtimes["ollama"], Local)
    assert config.runtimes["ollama"].base_url == "http://127.0.0.1:11434/v1"
    assert config.policy.placed["ollama/qwen3:4b"].model.licence == "Apache-2.0"


def test_a_found_engine_stands_before_found_vendors() -> None:
    config = over(read(OPENAI_API_KEY="sk-0123456789abcdefghij"), OLLAMA)
    assert [one.egress for one in config.policy.resolve("auto") or ()] == sorted(
        (one.egress for one in config.policy.resolve("auto") or ()), key=["local", "self_hosted", "vendor"].index
    )


def test_without_the_built_in_runtimes_the_usual_names_mean_what_is_found() -> None:
    base = read("[defaults]\nembedded = false\n")
    assert not base.policy.knows("claude-sonnet-5")
    config = over(base, OLLAMA)
    assert ids(config, "auto") == ids(config, "claude-sonnet-5") == ids(config, "gpt-5.5") == ["ollama/qwen3:4b"]
    assert not over(read("[defaults]\nembedded = false\naliases = false\n"), OLLAMA).policy.knows("claude-sonnet-5")


def test_an_auto_of_the_file_stays_what_it_says() -> None:
    config = over(read(BOX + '[aliases]\nauto = "box/big"\n'), OLLAMA)
    assert ids(config, "auto") == ["box/big"]
    assert ids(config, "qwen3:4b") == ["ollama/qwen3:4b"]


def test_a_model_name_of_the_file_means_what_the_file_says() -> None:
    config = over(read(BOX), engine("ollama", 11434, "big"))
    assert ids(config, "big") == ["box/big"]
    assert ids(config, "ollama/big") == ["ollama/big"]


def test_a_name_that_is_taken_gets_a_number() -> None:
    config = over(read(BOX.replace('"box"', '"ollama"')), OLLAMA)
    assert [one.id for one in config.policy.placed.values() if one.runtime.name == "ollama-2"] == ["ollama-2/qwen3:4b"]


def test_an_engine_at_another_port_is_named_by_it() -> None:
    config = over(read(), engine("vllm", 8000, "a"), engine("vllm", 8001, "b"))
    assert {"vllm", "vllm-8001"} <= set(config.runtimes)


DECLARED = """
[[runtimes]]
name = "mine"
kind = "{kind}"
base_url = "http://localhost:1234/v1"
"""


@pytest.mark.parametrize(("kind", "expected"), [("local", Egress.LOCAL), ("self_hosted", Egress.SELF_HOSTED)])
def test_a_runtime_of_the_file_without_deployments_gets_the_models_that_answer_there(kind: str, expected: Egress) -> None:
    config = over(read(DECLARED.format(kind=kind)), engine("lmstudio", 1234, "q", egress=Egress.SELF_HOSTED))
    assert {name for name in config.runtimes if name not in {"embedded", "embedder"}} == {"mine"}
    assert config.policy.placed["mine/q"].egress is expected


def test_a_runtime_of_the_file_with_deployments_is_left_as_it_is() -> None:
    text = DECLARED.format(kind="local") + '[[deployments]]\nid = "mine/x"\nmodel = "x"\nruntime = "mine"\nserved_as = "x"\n'
    config = read(text)
    assert over(config, engine("lmstudio", 1234, "q")) is config


def test_nothing_above_the_ceiling_is_added() -> None:
    linked = engine("lmstudio", 1234, "q", egress=Egress.SELF_HOSTED)
    assert isinstance(over(read(), linked).runtimes["lmstudio"], SelfHosted)
    config = read(FREEHOLD_LOCAL_ONLY="1")
    assert over(config, linked) is config


@pytest.mark.parametrize("kind", ["relay", "locked", "unknown"])
def test_what_is_no_engine_adds_nothing(kind: str) -> None:
    config = read()
    other = Sighting(host="127.0.0.1", port=8080, kind=kind, name="LiteLLM", egress=Egress.VENDOR)  # type: ignore[arg-type]
    assert over(config, other) is config
    assert over(read("[discovery]\nlocal = false\n"), OLLAMA).policy.version == read().policy.version


def test_names_that_cannot_stand_in_rules_are_left_out() -> None:
    config = over(read(), engine("ollama", 11434, "fine", "two words", "a*", 'quo"te'))
    assert [one.id for one in config.policy.placed.values() if one.runtime.name == "ollama"] == ["ollama/fine"]


def test_the_same_engines_make_the_same_policy_and_their_going_undoes_it() -> None:
    base = read(BOX)
    assert over(base, OLLAMA).policy.version == over(base, OLLAMA).policy.version != base.policy.version
    assert over(base) is base
