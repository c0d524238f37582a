"""The policy requests are decided with: an immutable snapshot, swapped as a whole when the configuration changes.

Its version is a hash of everything that can change a decision, so that a recorded decision names the policy it was
made with. Same content, same version, on every machine. Not done here: reading TOML (`freehold.config`), deciding
(`freehold.routing.plan`).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType

import msgspec

from freehold.policy.compiled import Compiler, Resolution
from freehold.policy.labels import BoundLabels, LabelSettings
from freehold.policy.names import Names
from freehold.policy.problems import PolicyError, close_names
from freehold.policy.references import problems_of
from freehold.policy.rules import Rule, held
from freehold.runtime import EGRESS_ORDER, Egress, Placed

RESOLUTIONS_KEPT = 1024
"""Asked names are chosen by clients, so what is worked out for them is kept for this many only."""
VERSION_HEX_DIGITS = 16
_NO_LABELS = LabelSettings()


class Policy:
    """Deployments, aliases and rules, compiled. Nothing in it changes once it is made."""

    __slots__ = (
        "_names",
        "aliases",
        "ceilings",
        "gates",
        "labels",
        "placed",
        "preferences",
        "redacts",
        "resolution",
        "rules",
        "server_ceiling",
        "server_rank",
        "source_json",
        "version",
    )

    def __init__(
        self,
        placed: Sequence[Placed],
        aliases: Mapping[str, Sequence[str]],
        rules: Sequence[Rule],
        server_ceiling: Egress,
        labels: LabelSettings = _NO_LABELS,
    ) -> None:
        """Raises PolicyError when names dangle, clash or mean two things; `freehold.config` reports them with paths."""
        if problems := problems_of(placed, aliases, rules):
            raise PolicyError(problems)
        self.placed = MappingProxyType({one.id: one for one in placed})
        """By deployment id, in configured order."""
        self.aliases = MappingProxyType({name: tuple(targets) for name, targets in aliases.items()})
        self.rules = tuple(rules)
        gates = (rule for rule in rules if rule.allow is not None or rule.deny is not None)
        self.gates = tuple(msgspec.structs.replace(rule, when=held(rule.when)) for rule in gates)
        """Rules with `allow` or `deny`, each with its `when` as a gate holds it."""
        self.preferences = tuple(rule for rule in rules if rule.try_)
        self.redacts = bool(labels.redact) and any(rule.redact for rule in self.gates)
        """Whether redaction can ever happen."""
        self.server_ceiling = server_ceiling
        self.server_rank = EGRESS_ORDER[server_ceiling]
        self.labels = labels
        """Where requests' labels come from."""
        self.ceilings = MappingProxyType(labels.ceilings if isinstance(labels, BoundLabels) else {})
        """By dataset: the highest egress class of requests that work on it."""
        self.source_json = _content_of(placed, self.aliases, rules, server_ceiling, labels).decode()
        """All that can change a decision, as JSON: what the version is a hash of."""
        self.version = sha256(self.source_json.encode()).hexdigest()[:VERSION_HEX_DIGITS]
        self._names = Names(self.placed, self.aliases)
        self.resolution = lru_cache(RESOLUTIONS_KEPT)(Compiler(self._names, tuple(rules)).resolution)
        """What an asked model means and how every rule bears on it; None: unknown. For `routing.plan`."""

    def resolve(self, asked_model: str) -> tuple[Placed, ...] | None:
        """Deployments an asked model or alias may mean, as configured, best first. None: unknown."""
        found: Resolution | None = self.resolution(asked_model)
        return None if found is None else found.placed

    def knows(self, asked_model: str) -> bool:
        """Whether a client may ask for this name."""
        return self.resolution(asked_model) is not None

    def listed(self) -> tuple[str, ...]:
        """Names for the models list: aliases without wildcard, models, deployments, in configured order."""
        return self._names.listed()

    def close_to(self, asked_model: str) -> list[str]:
        """Names that are spelled nearly like this one, best first."""
        return close_names(asked_model, self._names.listed())


def _content_of(
    placed: Sequence[Placed],
    aliases: Mapping[str, tuple[str, ...]],
    rules: Sequence[Rule],
    ceiling: Egress,
    labels: LabelSettings,
) -> bytes:
    content = {
        "deployments": [{"deployment": one.deployment, "runtime": one.runtime, "model": one.model} for one in placed],
        "aliases": list(aliases.items()),
        "rules": list(rules),
        "ceiling": ceiling,
    }
    by_id_only = [one.id for one in placed if not one.asked_by_model]
    if by_id_only:
        content["by_id_only"] = by_id_only
    if labels != _NO_LABELS:
        content["labels"] = labels
    return msgspec.json.encode(content, order="deterministic")
