"""Where labels come from, as `[labels]` spells it: the words only.

Not done here: finding anything in a prompt (`routing.detectors`), joining the sources (`routing.labels`).
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from freehold.features import Label
from freehold.runtime import Egress

RaisesTo = Literal["off", "public", "internal", "confidential", "restricted"]
"""A label, or `off`: not looked for."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for every request that works on a dataset: `[datasets.NAME]`."""

    label: Label | None = None
    """The least label; None: it raises nothing."""
    ceiling: Egress | None = None
    """The highest egress class; None: it lowers nothing."""


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something of your own to look for: `[[labels.patterns]]`. Case counts."""

    name: str
    """Named in decisions as `pattern:NAME`."""
    starts: tuple[str, ...]
    """What every match begins with: plain texts of 3 to 64 characters, not behind a letter or digit."""
    then: str = ""
    """What must follow, as a regular expression without references or nested repeats; 256 characters are looked at."""
    label: Label
    """What a match raises the request to."""


class LabelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a request's label comes from, beside its key and its header `x-freehold-label`. The highest of all holds."""

    default: Label = Label.INTERNAL
    """Of every request; what else is found can only raise it."""
    datasets: dict[str, Label] = {}
    """By the name a client sends as `x-freehold-dataset`; several are separated by commas, an unknown one is refused.
    `[datasets.NAME]` says more about one."""
    paths: dict[str, Label] = {}
    """By globs over file paths that the prompt names: `secrets/**`, `**/*.pem`. `*` stays within a folder."""
    detectors: dict[str, RaisesTo] = {}
    """By detector, or a group of them, the label to raise to, or `off` (docs/privacy.md lists them)."""
    internal_hosts: tuple[str, ...] = ()
    """Domains of your own, such as `corp.example.com`: names below them are internal hosts."""
    redact: tuple[str, ...] = ()
    """Detectors, groups of them, `pattern:NAME` or `patterns`: what may be replaced by placeholders where a rule says `redact`."""
    patterns: tuple[Pattern, ...] = ()
    """What else to look for: `[[labels.patterns]]`."""


class BoundLabels(LabelSettings, frozen=True, kw_only=True):
    """The same with what `[datasets]` adds: their labels are among `datasets`."""

    ceilings: dict[str, Egress] = {}
    """By dataset: the highest egress class of requests that work on it."""


def bind(labels: LabelSettings, datasets: Mapping[str, Dataset]) -> LabelSettings:
    """`[labels]` and `[datasets]` as one. A dataset that says no label raises nothing."""
    if not datasets:
        return labels
    said = {name: one.label or labels.datasets.get(name, Label.PUBLIC) for name, one in datasets.items()}
    ceilings = {name: one.ceiling for name, one in datasets.items() if one.ceiling is not None}
    values = {field: getattr(labels, field) for field in LabelSettings.__struct_fields__}
    values["datasets"] = {**labels.datasets, **said}
    return BoundLabels(**values, ceilings=ceilings) if ceilings else LabelSettings(**values)
