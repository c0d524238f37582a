"""How each engine is told by its own answers, and what it says of its models.

Abilities are claimed only where an engine tells them or its server always has them; everything else stays unknown. An
engine that may hand a request to another machine is not local unless it says that this model does not.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from freehold.gateways.discovery.asking import Asker
from freehold.gateways.discovery.ollama import OllamaMemory, look_for_ollama
from freehold.gateways.discovery.sighting import EngineSeen, LeftOut, ModelSeen, bounded, model_of
from freehold.runtime import Abilities, Egress

Look = Callable[[Asker], Awaitable[EngineSeen | None]]
"""None: it is not this engine."""
LLAMA_QUIRKS = ("system_first", "top_k", "no_echo", "own_tokenizer")
ALTERNATES = "roles must alternate"
"""In the words of every template that refuses two turns of one role in a row (Mistral's, Gemma's, Llama 2's)."""
SWITCHES = re.compile(r"\benable_thinking\b|\bif (?:not )?thinking\b|\bthinking is (?:not )?defined\b")
"""The variables by which chat templates switch thinking (Qwen's, GLM's and SmolLM3's; DeepSeek's and Granite's)."""
SWITCHED = re.compile(r"(?:^|/)(?:qwen3|glm-(?:4\.[5-9]|5)|smollm3|deepseek-v3\.[12]|granite-3)", re.IGNORECASE)
"""Models whose templates have them, where only the name is known (vLLM's page on reasoning outputs, their own model cards). To a
model of the family that does not think they say nothing.
"""
RELAYING_BACKENDS = ("proxy", "cloud", "p2p", "worker", "remote")
"""Words in the names of LocalAI's backends that hand requests on."""
LM_LINK = "LM Link may serve its models from another of your machines, and its answers do not say which"


class _Meta(msgspec.Struct, frozen=True):
    n_ctx: int | None = None
    llamaswap: dict[str, object] | None = None


class _Listed(msgspec.Struct, frozen=True):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    meta: _Meta | None = None
    max_input_tokens: int | None = msgspec.field(default=None, name="maxInputTokens")
    tool_calling: bool | None = msgspec.field(default=None, name="toolCalling")
    vision: bool | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[_Listed]


class _LlamaEntry(msgspec.Struct, frozen=True):
    capabilities: list[str] = []


class _LlamaModels(msgspec.Struct, frozen=True):
    models: list[_LlamaEntry] = []


class _Generation(msgspec.Struct, frozen=True):
    n_ctx: int | None = None


class _Props(msgspec.Struct, frozen=True):
    default_generation_settings: _Generation = _Generation()
    modalities: dict[str, bool] = {}
    chat_template_caps: dict[str, bool] = {}
    chat_template: str = ""
    chat_template_tool_use: str = ""
    build_info: str = ""


class _Version(msgspec.Struct, frozen=True):
    version: str


def make_looks(memory: OllamaMemory) -> Mapping[str, Look]:
    """By engine, as `data/discovery.toml` names them. Who may answer for others comes first."""

    async def ollama(ask: Asker) -> EngineSeen | None:
        return await look_for_ollama(ask, memory)

    return {
        "localai": _localai,
        "lmstudio": _lm_studio,
        "llama-swap": _llama_swap,
        "llama-server": _llama_server,
        "vllm": _vllm,
        "sglang": _sglang,
        "koboldcpp": _koboldcpp,
        "ollama": ollama,
        "foundry": _foundry,
    }


async def _listed(ask: Asker, owner: str | None) -> list[_Listed] | None:
    """The models list, where all of it belongs to one owner. None: it does not, or there is none."""
    models = (await ask.get("/v1/models")).read(_Models)
    if models is None or (owner is not None and not (models.data and all(one.owned_by == owner for one in models.data))):
        return None
    return models.data


def _positive(value: int | None) -> int | None:
    return value if value is not None and value > 0 else None


async def _llama_server(ask: Asker) -> EngineSeen | None:
    listed = await _listed(ask, "llamacpp")
    if listed is None:
        return None
    props = (await ask.get("/props")).read(_Props)
    entries = (await ask.get("/v1/models")).read(_LlamaModels)
    can = [entry.capabilities for entry in entries.models] if entries is not None else []
    told = props or _Props()
    alone = len(listed) == 1  # a router's own properties are not those of its models
    seen: list[ModelSeen] = []
    for index, one in enumerate(listed):
        abilities = set(can[index]) if index < len(can) and len(can) == len(listed) else {"completion"}
        embeds = "embedding" in abilities or "embeddings" in abilities
        chats = "completion" in abilities or not embeds
        context = _positive(one.meta.n_ctx if one.meta is not None else None)
        seen.append(
            ModelSeen(
                served_as=one.id,
                model=model_of(one.id),
                quirks=_llama_quirks(told) if alone else LLAMA_QUIRKS,
                abilities=Abilities(
                    context=(_positive(told.default_generation_settings.n_ctx) if alone else None) or context,
                    tools=alone and told.chat_template_caps.get("supports_tools", False),
                    images=alone and told.modalities.get("vision", False),
                    json_schema=chats,
                    logprobs=chats,
                    embeddings=embeds,
                    chat=chats,
                ),
            )
        )
    return bounded(seen, [], version=told.build_info)


def _llama_quirks(told: _Props) -> tuple[str, ...]:
    """What the one model of a server needs, as its own chat template says."""
    templates = (told.chat_template, told.chat_template_tool_use)
    alternates = any(ALTERNATES in template for template in templates)
    switches = any(SWITCHES.search(template) for template in templates)
    return (*LLAMA_QUIRKS, *(["alternating_roles"] if alternates else []), *(["thinking_switch"] if switches else []))


async def _vllm(ask: Asker) -> EngineSeen | None:
    listed = await _listed(ask, "vllm")
    version = (await ask.get("/version")).read(_Version)
    if listed is None or version is None:
        return None
    return bounded([_guided(one) for one in listed], [], version=version.version)


def _guided(one: _Listed, *, tools: bool = False, images: bool = False, embeds: bool = False) -> ModelSeen:
    """A model of a server that always holds answers to a schema and gives log probabilities."""
    return ModelSeen(
        served_as=one.id,
        model=model_of(one.id),
        quirks=("top_k", "thinking_switch") if SWITCHED.search(one.id) else ("top_k",),
        abilities=Abilities(
            context=_positive(one.max_model_len),
            tools=tools,
            images=images,
            json_schema=not embeds,
            logprobs=not embeds,
            embeddings=embeds,
            chat=not embeds,
        ),
    )


class _SglangModel(msgspec.Struct, frozen=True):
    model_path: str
    is_generation: bool = True
    has_image_understanding: bool = False


class _SglangServer(msgspec.Struct, frozen=True):
    version: str = ""
    context_length: int | None = None
    tool_call_parser: str | None = None


async def _sglang(ask: Asker) -> EngineSeen | None:
    listed = await _listed(ask, "sglang")
    if listed is None:
        return None
    # The names changed in 2026; both are asked.
    model = (await ask.get("/model_info")).read(_SglangModel) or (await ask.get("/get_model_info")).read(_SglangModel)
    if model is None:
        return None
    server = (
        (await ask.get("/server_info")).read(_SglangServer)
        or (await ask.get("/get_server_info")).read(_SglangServer)
        or _SglangServer()
    )
    seen = [
        _guided(
            one if one.max_model_len else msgspec.structs.replace(one, max_model_len=server.context_length),
            tools=server.tool_call_parser is not None,
            images=model.has_image_understanding,
            embeds=not model.is_generation,
        )
        for one in listed
    ]
    return bounded(seen, [], version=server.version)


async def _llama_swap(ask: Asker) -> EngineSeen | None:
    listed = await _listed(ask, "llama-swap")
    if listed is None:
        return None
    left_out = [
        LeftOut(one.id, "llama-swap hands it to another server, its peer", is_remote=True)
        for one in listed
        if one.meta is not None and (one.meta.llamaswap or {}).get("peerID")
    ]
    peers = {one.name for one in left_out}
    # It starts an engine for a model when one is asked for; asking what it can do would do the same.
    seen = [
        ModelSeen(served_as=one.id, model=model_of(one.id), abilities=Abilities(json_schema=True), quirks=("system_first",))
        for one in listed
        if one.id not in peers
    ]
    return bounded(seen, left_out)


class _LocalAiWellKnown(msgspec.Struct, frozen=True):
    version: str
    endpoints: dict[str, object]


class _Loaded(msgspec.Struct, frozen=True):
    id: str
    backend: str = ""


class _LocalAiSystem(msgspec.Struct, frozen=True):
    backends: list[str] | None
    loaded_models: list[_Loaded] | None


async def _localai(ask: Asker) -> EngineSeen | None:
    known = (await ask.get("/.well-known/localai.json")).read(_LocalAiWellKnown)
    system = (await ask.get("/system")).read(_LocalAiSystem) if known is not None else None
    if known is None:
        return None
    backends = {one.id: one.backend for one in (system.loaded_models if system is not None else None) or []}
    seen: list[ModelSeen] = []
    left_out: list[LeftOut] = []
    for one in await _listed(ask, None) or []:
        backend = backends.get(one.id, "")
        if not backend:
            left_out.append(LeftOut(one.id, "LocalAI can pass models on and says where one runs only once it is loaded"))
        elif any(word in backend.casefold() for word in RELAYING_BACKENDS):
            left_out.append(LeftOut(one.id, "LocalAI passes it on to another server", is_remote=True))
        else:
            seen.append(ModelSeen(served_as=one.id, model=model_of(one.id), abilities=Abilities()))
    return bounded(seen, left_out, version=known.version)


class _Kobold(msgspec.Struct, frozen=True):
    result: str
    version: str = ""


class _KoboldContext(msgspec.Struct, frozen=True):
    value: int


async def _koboldcpp(ask: Asker) -> EngineSeen | None:
    kobold = (await ask.get("/api/extra/version")).read(_Kobold)
    if kobold is None or kobold.result != "KoboldCpp":
        return None
    context = (await ask.get("/api/extra/true_max_context_length")).read(_KoboldContext)
    window = _positive(context.value) if context is not None else None
    seen = [
        ModelSeen(served_as=one.id, model=one.id.removeprefix("koboldcpp/"), abilities=Abilities(context=window))
        for one in await _listed(ask, None) or []
    ]
    return bounded(seen, [], version=kobold.version)


class _LmModel(msgspec.Struct, frozen=True):
    """An entry of `/api/v0/models`."""

    id: str
    type: str
    state: str = ""
    max_context_length: int | None = None
    loaded_context_length: int | None = None
    capabilities: list[str] = []


class _LmModels(msgspec.Struct, frozen=True):
    data: list[_LmModel]


class _LmNewModels(msgspec.Struct, frozen=True):
    """`/api/v1/models`, from 0.4.0 on. Older versions answer 200 with an error and no list."""

    models: list[dict[str, object]]


async def _lm_studio(ask: Asker) -> EngineSeen | None:
    listed = (await ask.get("/api/v0/models")).read(_LmModels)
    if listed is None or not listed.data:
        return None
    linked = (await ask.get("/api/v1/models")).read(_LmNewModels) is not None
    seen = [
        ModelSeen(
            served_as=one.id,
            model=one.id,
            abilities=Abilities(
                context=_positive(one.loaded_context_length) if one.state == "loaded" else None,
                tools="tool_use" in one.capabilities,
                images=one.type == "vlm",
                json_schema=one.type in {"llm", "vlm"},
                embeddings=one.type == "embeddings",
                chat=one.type in {"llm", "vlm"},
            ),
        )
        for one in listed.data
        if one.type in {"llm", "vlm", "embeddings"}
    ]
    return bounded(seen, [], egress=Egress.SELF_HOSTED if linked else Egress.LOCAL, why=LM_LINK if linked else "")


async def _foundry(ask: Asker) -> EngineSeen | None:
    status = (await ask.get("/openai/status")).read(dict[str, object])
    if status is None or not {"endpoints", "modeldirpath"} <= {name.casefold() for name in status}:
        return None
    seen = [
        ModelSeen(
            served_as=one.id,
            model=one.id,
            abilities=Abilities(
                context=_positive(one.max_input_tokens), tools=one.tool_calling is True, images=one.vision is True
            ),
        )
        for one in await _listed(ask, None) or []
    ]
    return bounded(seen, [])
