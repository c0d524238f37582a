"""What names mean: an asked model, an alias, an entry of `try`.

An asked name is tried exactly (alias, deployment id, model id), then without what clients append to ids (`[1m]`,
dates, `-latest`), then as Ollama reads it (`small` and `small:latest` are one), then against the alias globs, longest first. Asking for a deployment or a model by its own name pins
it. Not done here: judging whether a name is well chosen (`policy.references`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from freehold.policy.globs import is_glob, make_matcher
from freehold.runtime import Egress, Placed

MAX_NAME_CHARS = 200
"""Longer asked names are unknown: no model is called that, and matching them costs time."""

_VARIANT = re.compile(r"\[[0-9a-z]{1,8}\]$", re.IGNORECASE)
"""Claude Code's `claude-sonnet-4-5[1m]`."""
_DATED = re.compile(r"(?:[-@]20\d{2}-?[01]\d-?[0-3]\d|-latest)$")
"""`gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `...@20250929`, `...-latest`."""

_UNTAGGED = ":latest"
"""What Ollama takes a name without a tag for."""


class Names:
    """All deployments and aliases of a policy, ready to be looked up. Not changed once made."""

    __slots__ = ("_deployed", "_exact", "_globs", "_models", "_runtimes", "aliases", "placed")

    def __init__(self, placed: Mapping[str, Placed], aliases: Mapping[str, Sequence[str]]) -> None:
        self.placed = placed
        self.aliases = aliases
        self._models: dict[str, list[str]] = {}
        self._deployed: set[str] = set()
        self._runtimes: dict[str, list[str]] = {}
        for one in placed.values():
            self._deployed.add(one.deployment.model)
            if one.asked_by_model:
                self._models.setdefault(one.deployment.model, []).append(one.id)
            self._runtimes.setdefault(one.runtime.name, []).append(one.id)
        self._exact = {name for name in aliases if not is_glob(name)}
        longest_first = sorted((name for name in aliases if is_glob(name)), key=_specificity)
        self._globs = [(name, make_matcher([name])) for name in longest_first]

    def resolve(self, asked: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Deployment ids an asked model may mean, best first, and the aliases it went through. None: unknown."""
        if not asked or len(asked) > MAX_NAME_CHARS:
            return None
        for spelled in _spellings(asked):
            if spelled in self._exact or spelled in self.placed or spelled in self._models:
                return self._follow(spelled)
        plain = _VARIANT.sub("", asked.strip())
        for name, matches in self._globs:
            if matches(plain):
                return self._follow(name)
        return None

    def entry(self, name: str) -> tuple[str, ...] | None:
        """Deployment ids an entry of `try` or `to` means, in configured order. None: unknown."""
        if name in Egress._value2member_map_:
            return tuple(one.id for one in self.placed.values() if one.egress == name)
        if name in self._runtimes:
            return tuple(self._runtimes[name])
        if name in self.aliases or name in self.placed or name in self._models:
            return self._follow(name)[0]
        return None

    def kinds_of(self, name: str) -> list[str]:
        """Every kind of thing the name is the name of; more than one is ambiguous."""
        kinds = {
            "an egress class": name in Egress._value2member_map_,
            "a runtime": name in self._runtimes,
            "a deployment": name in self.placed,
            "a model": name in self._models,
            "an alias": name in self.aliases,
        }
        return [kind for kind, holds in kinds.items() if holds]

    def runtimes(self) -> Iterable[str]:
        """Names of runtimes that have a deployment."""
        return self._runtimes

    def models(self) -> Iterable[str]:
        """Ids of models that are deployed and may be asked for."""
        return self._models

    def deployed_models(self) -> Iterable[str]:
        """As `models`, those included that only a deployment's id reaches: gates bear on them too."""
        return self._deployed

    def listed(self) -> tuple[str, ...]:
        """Every name a client may ask for as it stands: aliases without wildcard, models, deployments."""
        return tuple(dict.fromkeys([*(name for name in self.aliases if name in self._exact), *self._models, *self.placed]))

    def _follow(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        ids: dict[str, None] = {}
        through: dict[str, None] = {}
        self._collect(name, ids, through)
        return tuple(ids), tuple(through)

    def _collect(self, name: str, ids: dict[str, None], through: dict[str, None]) -> None:
        if name in self.aliases:
            if name not in through:
                through[name] = None
                for target in self.aliases[name]:
                    self._collect(target, ids, through)
        elif name in self.placed:
            ids[name] = None
        else:
            ids.update(dict.fromkeys(self._models.get(name, ())))


def _specificity(glob: str) -> tuple[int, str]:
    return (-len(glob.replace("*", "")), glob)


def _spellings(asked: str) -> list[str]:
    plain = asked.strip()
    bare = _VARIANT.sub("", plain)
    tagged = bare if ":" in bare.rpartition("/")[2] else f"{bare}{_UNTAGGED}"
    return list(dict.fromkeys([plain, bare, _DATED.sub("", bare), bare.removesuffix(_UNTAGGED), tagged]))
