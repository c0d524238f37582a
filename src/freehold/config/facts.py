"""Facts that come with Freehold: quirks, well-known models, the policy used when nothing is configured.

Each is a data file with its sources; nothing here decides. Facts of a model are found by its id: what the user's file
says holds first, then the built-in fact with the longest matching glob.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files

import msgspec

from freehold.policy.globs import make_matcher
from freehold.runtime import Model


class Quirk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way in which a deployment deviates, and who acts on it."""

    says: str
    honoured_by: str
    """`dispatch`, or the wire format whose codec acts on it."""


class ModelFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the models a glob names."""

    match: str
    open_weights: bool | None = None
    licence: str | None = None
    tokenizer: str | None = None
    source: str


class _QuirksFile(msgspec.Struct, forbid_unknown_fields=True):
    quirks: dict[str, Quirk]


class _ModelsFile(msgspec.Struct, forbid_unknown_fields=True):
    models: tuple[ModelFact, ...]


def read_quirks() -> dict[str, Quirk]:
    """Every quirk there is, by name."""
    return msgspec.convert(tomllib.loads(_read("quirks.toml")), _QuirksFile).quirks


def read_model_facts() -> tuple[ModelFact, ...]:
    """The built-in facts, most specific glob first."""
    facts = msgspec.convert(tomllib.loads(_read("models.toml")), _ModelsFile).models
    return tuple(sorted(facts, key=lambda fact: (-len(fact.match.replace("*", "")), fact.match)))


def default_config_source() -> str:
    """The TOML text that stands beneath every configuration."""
    return _read("default_policy.toml")


def know_model(model_id: str, own: Sequence[Model], facts: Sequence[ModelFact]) -> Model:
    """All that is known of a model. A field nobody knows stays None: unknown."""
    # Weight files and hubs put an owner before the name: facts are about the name.
    names = (model_id, model_id.rpartition("/")[2])
    for said in own:
        if said.id == model_id or make_matcher([said.id])(model_id):
            fact = _fact_of(names, facts)
            return Model(
                id=model_id,
                open_weights=said.open_weights if said.open_weights is not None else fact.open_weights,
                licence=said.licence or fact.licence,
                tokenizer=said.tokenizer or fact.tokenizer,
            )
    fact = _fact_of(names, facts)
    return Model(id=model_id, open_weights=fact.open_weights, licence=fact.licence, tokenizer=fact.tokenizer)


def _fact_of(names: Sequence[str], facts: Sequence[ModelFact]) -> ModelFact:
    for fact in facts:
        if any(map(make_matcher([fact.match]), names)):
            return fact
    return ModelFact(match="", source="nobody")


def _read(name: str) -> str:
    return files("freehold.data").joinpath(name).read_text("utf-8")
