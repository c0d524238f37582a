"""Vendors found by their keys: what counts as a key, what a file decides, and that routine names keep their meaning."""

import pytest

from freehold.config import ConfigError, read_config
from freehold.config.load import Config
from freehold.config.vendors import read_vendors
from freehold.gateways.connector import read_base_url
from freehold.runtime import Egress, Vendor

KEY = "sk-0123456789abcdefghij"
PLACES = {
    "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/",
    "AWS_REGION": "us-west-2",
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "GOOGLE_CLOUD_LOCATION": "europe-west4",
}


def read(text: str = "", **environ: str) -> Config:
    return read_config(text, environ, None)


def vendors(config: Config) -> dict[str, str]:
    return {name: runtime.base_url or "" for name, runtime in config.runtimes.items() if isinstance(runtime, Vendor)}


EXPECTED = {
    "ANTHROPIC_API_KEY": ("anthropic", "https://api.anthropic.com/v1"),
    "OPENAI_API_KEY": ("openai", "https://api.openai.com/v1"),
    "GEMINI_API_KEY": ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    "GOOGLE_API_KEY": ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    "MISTRAL_API_KEY": ("mistral", "https://api.mistral.ai/v1"),
    "OPENROUTER_API_KEY": ("openrouter", "https://openrouter.ai/api/v1"),
    "GROQ_API_KEY": ("groq", "https://api.groq.com/openai/v1"),
    "DEEPSEEK_API_KEY": ("deepseek", "https://api.deepseek.com/v1"),
    "XAI_API_KEY": ("xai", "https://api.x.ai/v1"),
    "AZURE_OPENAI_API_KEY": ("azure", "https://mine.openai.azure.com/openai/v1"),
    "AWS_BEARER_TOKEN_BEDROCK": ("bedrock", "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"),
    "VERTEX_ACCESS_TOKEN": (
        "vertex",
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/my-project/locations/europe-west4/endpoints/openapi",
    ),
}


@pytest.mark.parametrize("variable", EXPECTED)
def test_a_key_makes_its_vendor_a_runtime_and_is_referred_to_not_copied(variable: str) -> None:
    config = read(**{variable: KEY}, **PLACES)
    name, base_url = EXPECTED[variable]
    assert vendors(config) == {name: base_url}
    assert config.runtimes[name].api_key == f"env:{variable}"
    assert config.secrets[name].reveal() == KEY
    assert KEY not in config.policy.source_json


def test_every_vendor_has_a_key_a_source_and_models_that_claim_something() -> None:
    known = read_vendors()
    assert {name for name, _ in EXPECTED.values()} == {one.name for one in known}
    for one in known:
        assert len(one.source) > 10
        assert all(model.abilities.context for model in one.models)
        if not one.parts:
            assert read_base_url(one.base_url).tls


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OPENAI_API_KEY": "any"}, "placeholder"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:8840/v1"}, "OPENAI_BASE_URL"),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://127.0.0.1:8840"}, "ANTHROPIC_BASE_URL"),
        ({"OPENAI_API_KEY": KEY, "FREEHOLD_LOCAL_ONLY": "1"}, "further"),
        ({"AWS_BEARER_TOKEN_BEDROCK": KEY}, "AWS_REGION"),
        ({"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "us-1.evil.example/"}, "AWS_REGION"),
        ({"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "http://mine.openai.azure.com"}, "https"),
        ({"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "nonsense"}, "address"),
    ],
)
def test_a_key_that_is_not_certainly_the_vendors_is_not_used_and_said_so(environ: dict[str, str], says: str) -> None:
    config = read(**environ)
    assert vendors(config) == {}
    (note,) = config.base.notes
    assert says in note
    assert KEY not in note


def test_vertex_everywhere_has_an_address_of_its_own() -> None:
    config = read(VERTEX_ACCESS_TOKEN=KEY, GOOGLE_CLOUD_PROJECT="p", GOOGLE_CLOUD_LOCATION="global")
    assert vendors(config)["vertex"].startswith("https://aiplatform.googleapis.com/v1/projects/p/locations/global/")


def test_a_found_vendor_stands_behind_what_is_here_and_takes_no_name_from_it() -> None:
    config = read(ANTHROPIC_API_KEY=KEY, OPENAI_API_KEY=KEY)
    policy, before = config.policy, read().policy
    for asked in ("auto", "claude-sonnet-4-5", "gpt-5.5"):
        meant = [one.id for one in policy.resolve(asked) or ()]
        earlier = [one.id for one in before.resolve(asked) or ()]
        assert meant[: len(earlier)] == earlier
        assert {one.egress for one in policy.resolve(asked) or ()} == {Egress.LOCAL, Egress.VENDOR}
    assert [one.id for one in policy.resolve("openai/gpt-5.5") or ()] == ["openai/gpt-5.5"]
    assert [one.id for one in policy.resolve("text-embedding-3-small") or ()] == ["embedder/all-minilm-l6-v2"]


def test_gates_over_models_hold_for_found_vendors_too() -> None:
    rule = '[[rules]]\nname = "no gpt"\ndeny = { models = ["gpt-5.5"] }\n'
    policy = read(rule, OPENAI_API_KEY=KEY).policy
    found = policy.resolution("openai/gpt-5.5")
    assert found is not None
    assert [list(gate.blocked) for gate in found.gates] == [["openai/gpt-5.5"]]


OWN = """
[[runtimes]]
name = "frontier"
kind = "vendor"
base_url = "https://api.example.com/v1"
"""


def test_a_file_that_configures_a_vendor_has_decided_about_vendors() -> None:
    config = read(OWN, OPENAI_API_KEY=KEY)
    assert list(vendors(config)) == ["frontier"]
    assert "which vendors there are" in config.base.notes[0]


NAMES_OPENAI = """
[[deployments]]
id = "big"
model = "gpt-5.5"
runtime = "openai"
served_as = "gpt-5.5"
abilities = { context = 100000 }
"""


def test_a_deployment_may_name_a_vendor_that_is_known_here() -> None:
    config = read(NAMES_OPENAI, OPENAI_API_KEY=KEY, GROQ_API_KEY=KEY)
    assert list(vendors(config)) == ["openai"]
    assert [one.id for one in config.policy.placed.values() if one.runtime.name == "openai"] == ["big"]
    assert [one.id for one in config.policy.resolve("gpt-5.5") or ()] == ["big"]


def test_a_vendor_that_is_named_without_its_key_is_down_and_says_why() -> None:
    config = read(NAMES_OPENAI)
    assert "OPENAI_API_KEY" in config.without_credentials["openai"]
    assert read(NAMES_OPENAI, FREEHOLD_LOCAL_ONLY="1").policy.server_ceiling is Egress.LOCAL


def test_an_unknown_runtime_is_still_a_problem_and_vendors_can_be_switched_off() -> None:
    with pytest.raises(ConfigError, match="opnai"):
        read(NAMES_OPENAI.replace('"openai"', '"opnai"'))
    config = read("[discovery]\nvendors = false\n", OPENAI_API_KEY=KEY)
    assert vendors(config) == {}
    assert vendors(read('[egress]\nceiling = "self_hosted"\n', OPENAI_API_KEY=KEY)) == {}


def test_names_of_the_file_win() -> None:
    alias = '[aliases]\nopenai = "embedded/smollm2-135m-instruct"\n"groq/gpt-oss-20b" = "auto"\n'
    config = read(alias, OPENAI_API_KEY=KEY, GROQ_API_KEY=KEY)
    assert list(vendors(config)) == ["groq"]
    assert config.policy.aliases["groq/gpt-oss-20b"] == ("auto",)
    assert [one.id for one in config.policy.placed.values() if one.runtime.name == "groq"] == ["groq/gpt-oss-120b"]


def test_only_a_vendor_that_is_known_to_have_a_batch_api_is_handed_lines_of_batches() -> None:
    found = read(**dict.fromkeys(EXPECTED, KEY), **PLACES).runtimes.values()
    assert [one.name for one in found if isinstance(one, Vendor) and one.batch_api] == ["openai"]
