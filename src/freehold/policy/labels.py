"""Where labels come from, as `[labels]` spells it: the words only.

Not done here: finding anything in a prompt (`routing.detectors`), joining the sources (`routing.labels`).
"""

from typing import Literal

import msgspec

from freehold.features import Label

RaisesTo = Literal["off", "public", "internal", "confidential", "restricted"]
"""A label, or `off`: not looked for."""


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
    """By the name a client sends as `x-freehold-dataset`; several are separated by commas, an unknown one is refused."""
    paths: dict[str, Label] = {}
    """By globs over file paths that the prompt names: `secrets/**`, `**/*.pem`. `*` stays within a folder."""
    detectors: dict[str, RaisesTo] = {}
    """By detector, or a group of them, the label to raise to, or `off` (docs/privacy.md lists them)."""
    internal_hosts: tuple[str, ...] = ()
    """Domains of your own, such as `corp.example.com`: names below them are internal hosts."""
    patterns: tuple[Pattern, ...] = ()
    """What else to look for: `[[labels.patterns]]`."""
