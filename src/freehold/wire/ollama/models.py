"""Spells models in Ollama's form: the list, one model in full, those that are loaded.

Source: Ollama's docs/openapi.yaml (`ModelSummary`, `ShowResponse`, `Ps`). Where a model lives is not told: `size` is 0, as for every
model whose weights are not Ollama's own here.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.ollama.writer import write_created_at

VERSION = "0.33.3"
"""The version whose API is spoken: a real one, since clients compare it (Codex asks for 0.13.4 at least)."""
FAMILY = "freehold"
"""Names the keys of `model_info`, which clients find by `general.architecture`."""
_encode = msgspec.json.Encoder().encode


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a name a client may ask for."""

    name: str
    context: int | None = None
    """The longest window behind the name, in tokens."""
    capabilities: tuple[str, ...] = ()
    licence: str | None = None


class _Show(msgspec.Struct, frozen=True):
    model: str | None = None
    name: str | None = None


_SHOW = msgspec.json.Decoder(_Show)


def read_show(body: bytes) -> str:
    """The model a client wants to see, in the new field or the old one. Raises FaultError(INVALID_REQUEST)."""
    split_top(body)
    try:
        read = _SHOW.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    wanted = read.model or read.name
    if not wanted:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to show", param="model")
    return wanted


def not_found(name: str) -> FaultError:
    """The fault of a name nobody has heard of, in the words that clients look for."""
    return faulty(Kind.UNKNOWN_MODEL, f"model {name[:100]!r} not found; GET /api/tags lists what there is", param="model")


def write_tags(models: Sequence[ModelFacts], *, modified_s: int) -> bytes:
    """`GET /api/tags`."""
    return _encode({"models": [{**_summary(one), "modified_at": write_created_at(modified_s)} for one in models]})


def write_loaded(models: Sequence[ModelFacts], *, expires_s: int) -> bytes:
    """`GET /api/ps`."""
    expires_at = write_created_at(expires_s)
    return _encode(
        {
            "models": [
                {**_summary(one), "expires_at": expires_at, "size_vram": 0, "context_length": one.context or 0} for one in models
            ]
        }
    )


def write_show(facts: ModelFacts, *, modified_s: int) -> bytes:
    """`POST /api/show`."""
    info: dict[str, Any] = {"general.architecture": FAMILY, "general.basename": facts.name}
    if facts.context is not None:
        info[f"{FAMILY}.context_length"] = facts.context
    return _encode(
        {
            "modelfile": "",
            "parameters": "" if facts.context is None else f"num_ctx {facts.context}",
            "template": "",
            "license": facts.licence or "",
            "details": _details(),
            "model_info": info,
            "capabilities": list(facts.capabilities),
            "modified_at": write_created_at(modified_s),
        }
    )


def write_version() -> bytes:
    """`GET /api/version`."""
    return _encode({"version": VERSION})


def _summary(one: ModelFacts) -> dict[str, Any]:
    digest = sha256(one.name.encode()).hexdigest()
    return {"name": one.name, "model": one.name, "size": 0, "digest": digest, "details": _details()}


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": "",
        "quantization_level": "",
    }
