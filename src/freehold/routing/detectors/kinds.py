"""Every kind of finding with its group and the label it raises to when nothing is configured.

Why these: a secret opens a door by itself, so text with one stays on the machine (`restricted`). A card, an account or a
national id identifies and can be misused, but does not open anything alone, and laws ask that it be passed on with a
reason: `confidential`. E-mail addresses, phones, internal hosts and private addresses stand in every commit log,
lock file and configuration: they make a text `internal`, which is what a request is anyway unless `[labels] default`
says `public`, so by default they cost nothing.
"""

from collections.abc import Mapping

from freehold.features import Label
from freehold.policy.labels import RaisesTo
from freehold.routing.detectors.number_shapes import SHAPES
from freehold.routing.detectors.secret_rules import SECRET_RULES

SECRETS, CARDS, IBANS, IDS = "secrets", "cards", "ibans", "national-ids"
EMAILS, PHONES, HOSTS, ADDRESSES = "emails", "phones", "internal-hosts", "private-addresses"
ERROR = "detector-error"
"""A detector failed: what it would have found is not known."""
PATH, PATTERN = "path:", "pattern:"
"""What stands before a glob or a pattern's name in the kind of a finding."""

DEFAULTS: dict[str, Label] = {
    SECRETS: Label.RESTRICTED,
    CARDS: Label.CONFIDENTIAL,
    IBANS: Label.CONFIDENTIAL,
    IDS: Label.CONFIDENTIAL,
    EMAILS: Label.INTERNAL,
    PHONES: Label.INTERNAL,
    HOSTS: Label.INTERNAL,
    ADDRESSES: Label.INTERNAL,
}
"""By group."""
KINDS: dict[str, str] = {
    **{rule.kind: SECRETS for rule in SECRET_RULES},
    **{shape.kind: CARDS if shape.kind == "card" else IDS for shape in SHAPES},
    "iban": IBANS,
    "email": EMAILS,
    "phone": PHONES,
    "internal-host": HOSTS,
    "private-address": ADDRESSES,
}
"""Kind to group."""


def labels_of(configured: Mapping[str, RaisesTo]) -> dict[str, Label]:
    """What each kind raises to: said of the kind, else of its group, else by default. Kinds that are off are left out."""
    said = {kind: configured.get(kind, configured.get(group, DEFAULTS[group].value)) for kind, group in KINDS.items()}
    return {kind: Label(label) for kind, label in said.items() if label != "off"}
