"""Makes virtual keys: what may be asked for, how a secret is drawn, and what one key may give to another.

Promised: a secret is drawn from the system's own randomness and leaves this module once; what is kept is its digest. A key
that may make keys makes none that may do more than itself. Not done here: keeping them (`storage.keys`).
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from freehold.features import LABEL_ORDER, Caller, Label, Right, Rights
from freehold.identity.callers import LOCAL, NOBODY, SERVER, KeyTable, Opening, digest_of
from freehold.routing.detectors.own_keys import ALPHABET, PREFIX, RANDOM_CHARS, checksum
from freehold.runtime import EGRESS_ORDER, Egress
from freehold.secret import Secret
from freehold.storage.key_rows import KeyRow, SecretRow

RESERVED = frozenset({LOCAL, SERVER, NOBODY, "cli"})
HINT_CHARS = len(PREFIX) + 6
LONGEST_OVERLAP_S = 30 * 86400
MOST_ENTRIES = 100
LONGEST_ENTRY = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,99}")


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that somebody asks for. What is left out does not limit it."""

    name: str
    """Named in rows, rules and budgets. Never used again, also after the key has ended."""
    user: str | None = None
    """Whose it is; None: a user of the key's own name."""
    team: str | None = None
    project: str | None = None
    """What all its requests are tagged with; None: what `x-freehold-project` says."""
    ceiling: Egress = Egress.VENDOR
    """The highest egress class its requests may reach."""
    label: Label | None = None
    """The least label of its requests."""
    operations: tuple[Right, ...] | None = None
    """What it may do; None: everything but `admin`."""
    models: tuple[str, ...] | None = None
    """Globs over what may be asked for, or over ids of models and deployments."""
    datasets: tuple[str, ...] | None = None
    """Datasets that its requests may be tagged with; the first one holds where a request names none."""
    expires_ms: int | None = None
    """Unix milliseconds."""


def issue(wanted: KeyWanted, *, by: str, now_ms: int) -> tuple[KeyRow, Secret]:
    """A new key and its secret. Raises ValueError, naming the field, for what cannot be a key."""
    _check(wanted, now_ms)
    secret, kept = draw(now_ms)
    row = KeyRow(
        name=wanted.name,
        user=wanted.user or wanted.name,
        team=wanted.team,
        project=wanted.project,
        ceiling=wanted.ceiling,
        label=wanted.label,
        rights=Rights(operations=wanted.operations, models=wanted.models, datasets=wanted.datasets),
        created_ms=now_ms,
        created_by=by,
        expires_ms=wanted.expires_ms,
        secrets=(kept,),
    )
    return row, secret


def draw(now_ms: int) -> tuple[Secret, SecretRow]:
    """A new secret, and what is kept of it."""
    drawn = ""
    while len(drawn) < RANDOM_CHARS:
        # 248 is four times 62: what is above would make some characters likelier than others.
        drawn += "".join(ALPHABET[byte % len(ALPHABET)] for byte in os.urandom(2 * RANDOM_CHARS) if byte < 4 * len(ALPHABET))
    drawn = drawn[:RANDOM_CHARS]
    value = f"{PREFIX}{drawn}{checksum(drawn)}"
    return Secret(value), SecretRow(digest=digest_of(value).hex(), hint=value[:HINT_CHARS], created_ms=now_ms)


def why_beyond(row: KeyRow, maker: Caller) -> str | None:
    """What a key may do that its maker may not; None: nothing. The server's own key, and the command line, may do everything."""
    rights = maker.rights
    if EGRESS_ORDER[row.ceiling] > EGRESS_ORDER[maker.ceiling]:
        return f"ceiling {row.ceiling}"
    if maker.label is not None and (row.label is None or LABEL_ORDER[row.label] < LABEL_ORDER[maker.label]):
        return f"a label below {maker.label}"
    if maker.project is not None and row.project != maker.project:
        return f"a project other than {maker.project}"
    if rights is None:
        return None
    for field, may, asks in (
        ("operations", rights.operations, row.rights.operations),
        ("models", rights.models, row.rights.models),
        ("datasets", rights.datasets, row.rights.datasets),
    ):
        if may is not None and (asks is None or not set(asks) <= set(may)):
            return f"{field} beyond {', '.join(may) or 'none'}"
    return None


def make_table(rows: Iterable[KeyRow]) -> KeyTable:
    """The table of the keys that are not revoked. Expired ones stay: the clock is asked when a key is used."""
    by_digest: dict[bytes, Opening] = {}
    by_name: dict[str, Opening] = {}
    for row in rows:
        if row.revoked_ms is not None or row.name in RESERVED:
            continue
        unlimited = row.rights == Rights()
        caller = Caller(
            key=row.name,
            user=row.user,
            team=row.team,
            project=row.project,
            ceiling=row.ceiling,
            label=row.label,
            rights=None if unlimited else row.rights,
        )
        whole = Opening(caller) if row.expires_ms is None else Opening(caller, row.expires_ms)
        by_name[row.name] = whole
        for secret in row.secrets:
            ends_ms = whole.ends_ms if secret.ends_ms is None else min(secret.ends_ms, whole.ends_ms)
            by_digest[bytes.fromhex(secret.digest)] = whole if ends_ms == whole.ends_ms else Opening(caller, ends_ms)
    return KeyTable(by_digest, by_name)


def told_key(row: KeyRow, now_ms: int) -> dict[str, Any]:
    """A key as it is shown: everything but what opens it."""
    return {
        "name": row.name,
        "state": state_of(row, now_ms),
        "user": row.user,
        "team": row.team,
        "project": row.project,
        "ceiling": row.ceiling,
        "label": row.label,
        "operations": row.rights.operations,
        "models": row.rights.models,
        "datasets": row.rights.datasets,
        "created_ms": row.created_ms,
        "created_by": row.created_by,
        "expires_ms": row.expires_ms,
        "revoked_ms": row.revoked_ms,
        "secrets": [
            {"begins": one.hint, "created_ms": one.created_ms, "ends_ms": one.ends_ms}
            for one in row.secrets
            if one.ends_ms is None or one.ends_ms > now_ms
        ],
    }


def state_of(row: KeyRow, now_ms: int) -> str:
    """`active`, `expired` or `revoked`."""
    if row.revoked_ms is not None:
        return "revoked"
    return "expired" if row.expires_ms is not None and row.expires_ms <= now_ms else "active"


def _check(wanted: KeyWanted, now_ms: int) -> None:
    if _NAME.fullmatch(wanted.name) is None:
        raise ValueError("name: 1 to 64 letters, digits and . _ @ -, a letter or digit first")
    if wanted.name in RESERVED:
        raise ValueError(f"name: {', '.join(sorted(RESERVED))} are taken; choose another one")
    said: Mapping[str, str | None] = {"user": wanted.user, "team": wanted.team, "project": wanted.project}
    for field, value in said.items():
        if value is not None and _TAG.fullmatch(value) is None:
            raise ValueError(f"{field}: 1 to 100 letters, digits and . _ : @ / + -, a letter or digit first")
    lists: Mapping[str, tuple[str, ...] | None] = {"models": wanted.models, "datasets": wanted.datasets}
    for field, values in lists.items():
        if values is not None and len(values) > MOST_ENTRIES:
            raise ValueError(f"{field}: at most {MOST_ENTRIES}")
        if any(not value or len(value) > LONGEST_ENTRY or not value.isprintable() for value in values or ()):
            raise ValueError(f"{field}: each 1 to {LONGEST_ENTRY} printable characters")
    if wanted.datasets is not None and any("," in value for value in wanted.datasets):
        raise ValueError("datasets: names have no commas")
    if wanted.expires_ms is not None and not now_ms < wanted.expires_ms < 2**53:
        raise ValueError("expires_ms: must be a time that is still to come, in Unix milliseconds")
