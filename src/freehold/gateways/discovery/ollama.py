"""Ollama: its models, the context it really serves, and which of them it only relays.

Source: Ollama's docs/openapi.yaml (`/api/version`, `/api/tags`, `/api/show`, `/api/ps`). A model with `remote_host` or
`remote_model`, a `cloud` tag, or an entry without weights is answered by somebody else's server: it is left out. Ollama
gives a model its context when it loads it, by the memory there is: until then it is not known.
"""

import asyncio
import re

import msgspec

from freehold.gateways.discovery.asking import Asker
from freehold.gateways.discovery.sighting import MAX_MODELS, EngineSeen, LeftOut, ModelSeen, bounded, is_plain
from freehold.runtime import Abilities

SMALLEST_DEFAULT_TOKENS = 4096
"""What Ollama gives a model on machines with little memory (its docs, "Context length"): a model that has no more gets all."""
SMALLEST_WEIGHTS_BYTES = 1 << 20
"""The entry of a cloud model is a few hundred bytes."""
AT_ONCE = 8
RELAYED = "Ollama relays it to another server: a `cloud` model is not local"

_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


class _Tag(msgspec.Struct, frozen=True):
    name: str
    remote_model: str | None = None
    remote_host: str | None = None
    size: int | None = None
    digest: str = ""


class _Tags(msgspec.Struct, frozen=True):
    models: list[_Tag] | None = None


class _Running(msgspec.Struct, frozen=True):
    name: str
    context_length: int | None = None


class _Ps(msgspec.Struct, frozen=True):
    models: list[_Running] | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str


class Shown(msgspec.Struct, frozen=True):
    """What `/api/show` says of a model; it does not change while the digest stands."""

    capabilities: list[str] | None = None
    parameters: str | None = None
    model_info: dict[str, object] | None = None
    remote_model: str | None = None
    remote_host: str | None = None


class OllamaMemory:
    """What was told before: details by digest, contexts of models that were loaded once."""

    def __init__(self) -> None:
        self._shown: dict[tuple[int, str, str], Shown] = {}
        self._contexts: dict[tuple[int, str], int] = {}

    def shown(self, port: int, tag: _Tag) -> Shown | None:
        """The details, when they were told for just these weights."""
        return self._shown.get((port, tag.name, tag.digest)) if tag.digest else None

    def keep(self, port: int, tag: _Tag, shown: Shown) -> None:
        """Remember details."""
        if len(self._shown) >= 4 * MAX_MODELS:
            self._shown.clear()
        self._shown[(port, tag.name, tag.digest)] = shown

    def loaded(self, port: int, running: list[_Running]) -> None:
        """Remember the contexts that loaded models have."""
        if len(self._contexts) >= 4 * MAX_MODELS:
            self._contexts.clear()
        for one in running[:MAX_MODELS]:
            if one.context_length is not None and one.context_length > 0:
                self._contexts[(port, one.name)] = one.context_length

    def context(self, port: int, name: str) -> int | None:
        """What the model had when it was loaded last."""
        return self._contexts.get((port, name))


async def look_for_ollama(ask: Asker, memory: OllamaMemory) -> EngineSeen | None:
    """None: it is not Ollama."""
    version = (await ask.get("/api/version")).read(_Version)
    tags = (await ask.get("/api/tags")).read(_Tags)
    if version is None or tags is None:
        return None
    running = (await ask.get("/api/ps")).read(_Ps)
    memory.loaded(ask.port, (running.models if running is not None else None) or [])
    models: list[ModelSeen] = []
    left_out: list[LeftOut] = []
    here: list[_Tag] = []
    for tag in (tags.models or [])[: 4 * MAX_MODELS]:
        why = why_not_here(tag)
        if why is None and is_plain(tag.name):
            here.append(tag)
        else:
            left_out.append(LeftOut(tag.name, why or "its name is too long or not plain text", is_remote=why is not None))
    for first in range(0, min(len(here), MAX_MODELS), AT_ONCE):
        group = here[first : min(first + AT_ONCE, MAX_MODELS)]
        for tag, shown in zip(group, await asyncio.gather(*(_show(ask, tag, memory) for tag in group)), strict=True):
            seen = _model(tag, shown, memory.context(ask.port, tag.name))
            (models if isinstance(seen, ModelSeen) else left_out).append(seen)  # type: ignore[arg-type]  # one list each
    return bounded(models, left_out, version=version.version)


def why_not_here(tag: _Tag) -> str | None:
    """Why a listed model does not run on this machine; None: nothing speaks against it."""
    if tag.remote_host or tag.remote_model or tag.name.casefold().endswith((":cloud", "-cloud")):
        return RELAYED
    if tag.size is not None and tag.size < SMALLEST_WEIGHTS_BYTES:
        return "it has no weights here, so something else answers for it"
    return None


async def _show(ask: Asker, tag: _Tag, memory: OllamaMemory) -> Shown | None:
    known = memory.shown(ask.port, tag)
    if known is not None:
        return known
    shown = (await ask.post("/api/show", {"model": tag.name})).read(Shown)
    if shown is not None and tag.digest:
        memory.keep(ask.port, tag, shown)
    return shown


def _model(tag: _Tag, shown: Shown | None, loaded: int | None) -> ModelSeen | LeftOut:
    if shown is None:
        return LeftOut(tag.name, "Ollama did not say what it is, and what is not known is not local")
    if shown.remote_host or shown.remote_model:
        return LeftOut(tag.name, RELAYED, is_remote=True)
    can = set(shown.capabilities or ())
    if not can & {"completion", "embedding"}:
        return LeftOut(tag.name, "it does neither chat nor embeddings")
    return ModelSeen(
        served_as=tag.name,
        model=tag.name,
        abilities=Abilities(
            context=_served_context(shown, loaded),
            tools="tools" in can,
            images="vision" in can,
            reasoning="thinking" in can,
            json_schema="completion" in can,
            embeddings="embedding" in can,
            chat="completion" in can,
        ),
    )


def _served_context(shown: Shown, loaded: int | None) -> int | None:
    """As loaded, else as the model file sets it, never more than the model has; None: Ollama decides when it loads it."""
    said = _NUM_CTX.search(shown.parameters or "")
    trained = [
        value
        for name, value in (shown.model_info or {}).items()
        if name.endswith(".context_length") and isinstance(value, int) and value > 0
    ]
    if loaded is None and said is None:
        return min(trained) if trained and min(trained) <= SMALLEST_DEFAULT_TOKENS else None
    return min([loaded or max(1, int(said[1] if said is not None else 0)), *trained])
