"""Facts that come with Freehold: quirks, well-known models, the policy used when nothing is configured.

Each is a data file with its sources; nothing here decides. Facts of a model are found by its id: what the user's file
says holds first, then the built-in fact with the longest matching glob.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Literal

import msgspec

from freehold.policy.globs import make_matcher
from freehold.runtime import FillIn, Model


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


class FimFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models of a family, and how they are asked to fill in the middle."""

    match: tuple[str, ...]
    not_match: tuple[str, ...] = msgspec.field(default=(), name="except")
    prefix: str
    suffix: str
    middle: str = ""
    order: Literal["psm", "spm"] = "psm"
    stop: tuple[str, ...] = ()
    source: str

    @property
    def fill_in(self) -> FillIn:
        """The marks without the rest."""
        return FillIn(prefix=self.prefix, suffix=self.suffix, middle=self.middle, order=self.order, stop=self.stop)


class _FimFile(msgspec.Struct, forbid_unknown_fields=True):
    families: dict[str, FimFamily]


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


def read_fim_families() -> dict[str, FimFamily]:
    """How models fill in the middle, by family."""
    return msgspec.convert(tomllib.loads(_read("fim.toml")), _FimFile).families


def family_of(model: Model, families: Mapping[str, FimFamily]) -> str | None:
    """The family that a model belongs to: as the file says, else the first whose globs fit its name."""
    if model.fim is not None:
        return model.fim if model.fim in families else None
    names = _names_of(model.id)
    for name, family in families.items():
        if any(map(make_matcher(family.match), names)) and not any(map(make_matcher(family.not_match), names)):
            return name
    return None


def default_config_source() -> str:
    """The TOML text that stands beneath every configuration."""
    return _read("default_policy.toml")


def know_model(model_id: str, own: Sequence[Model], facts: Sequence[ModelFact]) -> Model:
    """All that is known of a model. A field nobody knows stays None: unknown."""
    names = _names_of(model_id)
    for said in own:
        if said.id == model_id or make_matcher([said.id])(model_id):
            fact = _fact_of(names, facts)
            return Model(
                id=model_id,
                open_weights=said.open_weights if said.open_weights is not None else fact.open_weights,
                licence=said.licence or fact.licence,
                tokenizer=said.tokenizer or fact.tokenizer,
                fim=said.fim,
            )
    fact = _fact_of(names, facts)
    return Model(id=model_id, open_weights=fact.open_weights, licence=fact.licence, tokenizer=fact.tokenizer)


def _names_of(model_id: str) -> tuple[str, ...]:
    """Weight files and hubs put an owner before the name, Ollama a colon before the size: facts are about the name."""
    bare = model_id.rpartition("/")[2]
    return model_id, bare, bare.replace(":", "-")


def _fact_of(names: Sequence[str], facts: Sequence[ModelFact]) -> ModelFact:
    for fact in facts:
        if any(map(make_matcher([fact.match]), names)):
            return fact
    return ModelFact(match="", source="nobody")


def _read(name: str) -> str:
    return files("freehold.data").joinpath(name).read_text("utf-8")
