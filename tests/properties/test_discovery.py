"""Whatever answers on loopback and whatever a file says: no farther address, nothing above the ceiling, the file wins."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from freehold.config import read_config
from freehold.config.checking import is_loopback
from freehold.config.discovered import with_discovered
from freehold.gateways.connector import read_base_url
from freehold.gateways.discovery import ModelSeen, Sighting, read_known
from freehold.gateways.discovery.asking import Reply
from freehold.gateways.discovery.engines import make_looks
from freehold.gateways.discovery.ollama import OllamaMemory
from freehold.gateways.discovery.sighting import MAX_MODELS, EngineSeen
from freehold.runtime import Abilities, Egress, egress_of

KNOWN = read_known()
NAMES = st.sampled_from(
    ["small", "big", "box", "box/small", "auto", "ollama", "ollama/small", "local", "vendor", "two words", "x/y", "a*"]
)
ENGINES = st.sampled_from([engine.name for engine in KNOWN.engines])
MODELS = st.lists(
    st.builds(
        ModelSeen,
        served_as=NAMES,
        model=NAMES,
        abilities=st.builds(Abilities, context=st.none() | st.integers(1, 10**6), chat=st.booleans(), embeddings=st.booleans()),
    ),
    max_size=4,
).map(tuple)
SIGHTINGS = st.lists(
    st.builds(
        Sighting,
        host=st.sampled_from(["127.0.0.1", "::1"]),
        port=st.sampled_from([8080, 11434, 1234, 8000, 65535]),
        kind=st.sampled_from(["engine", "engine", "relay", "locked", "unknown"]),
        name=ENGINES,
        egress=st.sampled_from([Egress.LOCAL, Egress.SELF_HOSTED]),
        models=MODELS,
    ),
    max_size=5,
)
RUNTIMES = """
[[runtimes]]
name = "{name}"
kind = "{kind}"
base_url = "http://127.0.0.1:{port}/v1"
"""
DEPLOYMENT = """
[[deployments]]
id = "{name}/small"
model = "{model}"
runtime = "{name}"
served_as = "small"
"""
FILES = st.builds(
    lambda name, kind, port, model, deployed, alias: (
        RUNTIMES.format(name=name, kind=kind, port=port)
        + (DEPLOYMENT.format(name=name, model=model) if deployed else "")
        + ('[aliases]\nauto = "embedded/smollm2-135m-instruct"\n' if alias else "")
    ),
    name=st.sampled_from(["box", "ollama"]),
    kind=st.sampled_from(["local", "self_hosted"]),
    port=st.sampled_from([8080, 11434, 9]),
    model=st.sampled_from(["small", "big"]),
    deployed=st.booleans(),
    alias=st.booleans(),
)


@given(text=FILES, sightings=SIGHTINGS, ceiling=st.sampled_from(["local", "self_hosted", "vendor"]))
def test_what_is_laid_over_a_file_never_goes_farther_and_never_takes_a_name(
    text: str, sightings: list[Sighting], ceiling: str
) -> None:
    base = read_config(f'[egress]\nceiling = "{ceiling}"\n' + text, {}, None)
    config = with_discovered(base, sightings, KNOWN)
    engines = {one.port: one for one in sightings if one.kind == "engine"}
    for name in config.runtimes.keys() - base.runtimes.keys():
        address = read_base_url(config.runtimes[name].base_url or "")
        assert is_loopback(address.host)
        assert address.port in engines
    for name, runtime in base.runtimes.items():
        served = config.runtimes[name]
        if served != runtime:  # declared local, and found to pass on what it is given: it only ever goes farther
            assert (egress_of(runtime), egress_of(served)) == (Egress.LOCAL, Egress.VENDOR)
            assert served.base_url == runtime.base_url
    for one, placed in config.policy.placed.items():
        if one in base.policy.placed and config.runtimes[placed.runtime.name] != base.runtimes.get(placed.runtime.name):
            assert placed.egress is Egress.VENDOR
        elif one in base.policy.placed:
            assert placed == base.policy.placed[one]
        else:
            assert placed.egress.within(Egress(ceiling))
    if any(config.runtimes[name] != runtime for name, runtime in base.runtimes.items()):
        return  # what a vendor serves is meant by its full name only
    for name in [*base.policy.listed(), "anything-else"]:
        before = [one.id for one in base.policy.resolve(name) or ()]
        after = [one.id for one in config.policy.resolve(name) or ()]
        widened = name == "auto" and base.base.widens_auto
        assert (set(before) <= set(after)) if widened else before == after


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=8) | st.sampled_from(["vllm", "llamacpp", "KoboldCpp", "llm"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["data", "models", "id", "name", "version", "owned_by", "type", "meta", "endpoints", "modelDirPath", "result", "size",
             "remote_host", "capabilities", "n_ctx", "max_model_len", "model_path", "loaded_models", "backends", "backend", "digest"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
PATHS = ["/v1/models", "/props", "/version", "/api/version", "/api/tags", "/api/ps", "/api/show", "/api/v0/models", "/api/v1/models",
         "/model_info", "/server_info", "/.well-known/localai.json", "/system", "/api/extra/version", "/openai/status"]  # fmt: skip


class Scripted:
    """Answers as it was told, without a socket."""

    host, port = "127.0.0.1", 1

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    async def get(self, path: str) -> Reply:
        return Reply(200, msgspec.json.encode(self._answers[path]), {}) if path in self._answers else Reply(404, b"", {})

    async def post(self, path: str, _body: object) -> Reply:
        return await self.get(path)


@given(answers=st.dictionaries(st.sampled_from(PATHS), JSON), name=ENGINES)
async def test_no_answer_makes_a_look_fail_or_a_name_unfit_to_print(answers: dict[str, Any], name: str) -> None:
    seen = await make_looks(OllamaMemory())[name](Scripted(answers))  # type: ignore[arg-type]
    assert seen is None or isinstance(seen, EngineSeen)
    for model in seen.models if seen is not None else ():
        assert model.served_as.isprintable()
        assert model.abilities.context is None or model.abilities.context > 0
    assert seen is None or len(seen.models) <= MAX_MODELS
