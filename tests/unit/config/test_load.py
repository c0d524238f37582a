"""What a configuration becomes, and how a wrong one is refused."""

from pathlib import Path

import pytest

from freehold.config import ConfigError, default_config_source, load, read_config
from freehold.config.load import Config
from freehold.runtime import Egress

BOX = """
[[runtimes]]
name = "box"
kind = "local"
base_url = "http://127.0.0.1:8080/v1"
[[deployments]]
id = "box/small"
model = "small"
runtime = "box"
served_as = "small-q4"
abilities = { context = 32768, tools = true }
"""
CLOUD = """
[[runtimes]]
name = "cloud"
kind = "vendor"
base_url = "https://api.example.com/v1"
api_key = "env:CLOUD_KEY"
[[deployments]]
id = "cloud/gpt-4o"
model = "gpt-4o"
runtime = "cloud"
served_as = "gpt-4o"
"""


def read(text: str, **environ: str) -> Config:
    return read_config(text, environ, None)


def problems(text: str, **environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_nothing_configured_serves_from_this_machine() -> None:
    config = read("")
    assert set(config.launches) == {"embedded", "embedder"}
    assert [one.id for one in config.policy.resolve("claude-sonnet-4-5[1m]") or ()] == ["embedded/smollm2-135m-instruct"]
    assert [one.id for one in config.policy.resolve("gpt-4o-2024-08-06") or ()] == ["embedded/smollm2-135m-instruct"]
    assert [one.id for one in config.policy.resolve("text-embedding-3-small") or ()] == ["embedder/all-minilm-l6-v2"]
    assert config.settings.server.host == "127.0.0.1"
    assert config.settings.server.port == 8840
    assert config.warnings == ()
    assert config.secrets == {}


def test_auto_means_every_chat_deployment_unless_it_is_defined() -> None:
    everything = ("box/small", "embedded/smollm2-135m-instruct")
    assert read(BOX).policy.aliases["auto"] == everything
    assert [one.id for one in read(BOX).policy.resolve("claude-x") or ()] == list(everything)
    assert read(BOX + '[aliases]\nauto = "small"').policy.aliases["auto"] == ("small",)


def test_the_built_in_policy_stands_beneath_and_can_be_left_out() -> None:
    own_rule = '[[rules]]\nname = "mine"\ntry = ["local"]\n'
    assert [rule.name for rule in read(BOX + own_rule).policy.preferences] == ["mine"]
    assert len(read(BOX).policy.preferences) == 2
    bare = read("[defaults]\nembedded = false\naliases = false\nrules = false\n" + BOX)
    assert list(bare.policy.placed) == ["box/small"]
    assert dict(bare.policy.aliases) == {"auto": ("box/small",)}
    assert bare.policy.gates == ()
    assert "text-embedding-*" not in read("[defaults]\nembedded = false\n" + BOX).policy.aliases
    assert read('[aliases]\n"claude-*" = "small"\n' + BOX).policy.aliases["gpt-*"] == ("auto",)


def test_the_version_names_the_content() -> None:
    assert read(BOX).policy.version == read("# a comment\n" + BOX).policy.version
    changed = [BOX.replace("32768", "4096"), BOX + CLOUD, BOX + '[aliases]\nx = "small"', BOX + '[egress]\nceiling = "local"']
    versions = {read(text).policy.version for text in [BOX, *changed]}
    assert len(versions) == 5
    assert read(BOX).policy.version != read(BOX, FREEHOLD_LOCAL_ONLY="1").policy.version


@pytest.mark.parametrize("said", ["1", "true", "YES", " on "])
def test_local_only_beats_everything(said: str) -> None:
    config = read('[egress]\nceiling = "vendor"\n' + BOX + CLOUD, FREEHOLD_LOCAL_ONLY=said, CLOUD_KEY="k")
    assert config.policy.server_ceiling is Egress.LOCAL
    assert any("never used are cloud/gpt-4o" in warning for warning in config.warnings)


def test_local_only_that_is_neither_yes_nor_no_is_refused() -> None:
    assert "FREEHOLD_LOCAL_ONLY" in problems("", FREEHOLD_LOCAL_ONLY="ja")
    assert read("", FREEHOLD_LOCAL_ONLY="0").policy.server_ceiling is Egress.VENDOR


def test_facts_of_models_come_from_the_data_and_the_file_beats_them() -> None:
    known = read(BOX + CLOUD).policy.placed["cloud/gpt-4o"].model
    assert (known.open_weights, known.tokenizer) == (False, "o200k_base")
    assert read(BOX).policy.placed["box/small"].model.open_weights is None
    own = read(BOX + '[[models]]\nid = "small"\nlicence = "MIT"\nopen_weights = true').policy.placed["box/small"].model
    assert (own.licence, own.open_weights) == ("MIT", True)


def test_a_launched_engine_gives_its_window() -> None:
    text = '[[runtimes]]\nname = "e"\nkind = "local"\nlaunch = { engine = "llama", weights = "w", context = 4096 }\n'
    text += '[[deployments]]\nid = "e/m"\nmodel = "m"\nruntime = "e"\nserved_as = "m"\n'
    assert read(text).policy.placed["e/m"].deployment.abilities.context == 4096
    assert "deployments[0].abilities.context" in problems(text + "abilities = { context = 5000 }")


def test_a_json_schema_over_the_messages_format_is_its_structured_output() -> None:
    text = CLOUD.replace("api_key", 'formats = ["anthropic_messages"]\napi_key') + "abilities = { json_schema = true }"
    assert read(text).policy.placed["cloud/gpt-4o"].deployment.quirks == ("structured_output",)
    assert read(CLOUD + "abilities = { json_schema = true }").policy.placed["cloud/gpt-4o"].deployment.quirks == ()


def test_a_missing_secret_takes_its_runtime_down_and_nothing_else() -> None:
    config = read(BOX + CLOUD)
    assert config.secrets == {}
    assert config.without_credentials == {"cloud": "no credentials: environment variable CLOUD_KEY is not set or empty"}
    assert any("cloud" in warning for warning in config.warnings)
    given = read(BOX + CLOUD, CLOUD_KEY="sk-1")
    assert given.secrets["cloud"].reveal() == "sk-1"
    assert given.without_credentials == {}
    assert "sk-1" not in repr(given)


def test_a_file_is_read_and_its_relative_paths_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    (tmp_path / "key").chmod(0o640)
    source = tmp_path / "freehold.toml"
    source.write_text(BOX + CLOUD.replace("env:CLOUD_KEY", "file:key"))
    config = load(source, {})
    assert config.secrets["cloud"].reveal() == "sk-file"
    assert any("chmod 600" in warning for warning in config.warnings)
    assert config.source == source
    assert load(None, {"FREEHOLD_CONFIG": str(source)}).policy.version == config.policy.version


def test_a_file_is_found_here_then_in_the_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path / "home")}
    assert load(None, environ).source is None
    there = tmp_path / "home" / ".config" / "freehold" / "freehold.toml"
    there.parent.mkdir(parents=True)
    there.write_text(BOX)
    assert load(None, environ).source == there
    Path("freehold.toml").write_text(BOX)
    assert load(None, environ).source == Path("freehold.toml")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[server"])
def test_what_cannot_be_read_is_refused_naming_the_file(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "freehold.toml"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ConfigError, match=r"freehold\.toml"):
        load(source, {})


def test_a_server_key_that_is_not_there_refuses_to_start() -> None:
    text = '[server]\nhost = "0.0.0.0"\napi_key = "env:SERVER_KEY"'
    assert "server.api_key" in problems(text)
    key = read(text, SERVER_KEY="s3cret-key").server_key
    assert key is not None
    assert key.reveal() == "s3cret-key"


def test_a_server_key_that_can_be_guessed_refuses_to_start_without_being_told() -> None:
    text = '[server]\napi_key = "env:SERVER_KEY"'
    with pytest.raises(ConfigError, match="shorter than 8 characters") as refused:
        read(text, SERVER_KEY="s3cret")
    assert "s3cret" not in str(refused.value)


def test_the_built_in_text_is_itself_a_configuration() -> None:
    alone = read("[defaults]\nembedded = false\naliases = false\nrules = false\n" + default_config_source())
    built_in = read("").policy
    assert dict(alone.policy.placed) == dict(built_in.placed)
    assert (alone.policy.gates, alone.policy.preferences) == (built_in.gates, built_in.preferences)
