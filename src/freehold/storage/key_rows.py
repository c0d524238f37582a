"""Rows of virtual keys, as values. Free of SQLAlchemy, so that a server reads its keys before its driver is loaded."""

import msgspec

from freehold.features import Label, Rights
from freehold.runtime import Egress


class NameTakenError(ValueError):
    """There is, or was, a key of this name."""


class NoKeyError(LookupError):
    """There is no such key, or it is revoked."""


class SecretRow(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of a key. While a key is rotated it has two."""

    digest: str
    """Hexadecimal; the secret itself is kept nowhere."""
    hint: str
    """How it begins, to recognise it by."""
    created_ms: int
    ends_ms: int | None = None
    """From then on it opens nothing; None: as long as its key."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One virtual key."""

    name: str
    user: str
    team: str | None = None
    project: str | None = None
    ceiling: Egress = Egress.VENDOR
    label: Label | None = None
    rights: Rights = Rights()
    created_ms: int
    created_by: str
    expires_ms: int | None = None
    revoked_ms: int | None = None
    secrets: tuple[SecretRow, ...] = ()
    """Newest first."""
