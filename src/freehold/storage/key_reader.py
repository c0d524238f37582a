"""Reads virtual keys, and whether they changed: the part of their store that a running server asks again and again.

For threads, and for a start: an SQLite store is read with the standard library's driver, since SQLAlchemy takes a fifth
of a second to import and a server is ready before that. Not done here: changing keys (`storage.keys`).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

import msgspec

from freehold.features import Label, Rights
from freehold.runtime import Egress
from freehold.storage.key_rows import KeyRow, SecretRow
from freehold.storage.store import StoreUnavailableError, sqlite_path

EDITION = "keys_edition"
"""The row of `meta` that every change of a key counts up, in the same transaction."""
READ_EDITION = f"SELECT value FROM meta WHERE name = '{EDITION}'"  # noqa: S608 - a constant
READ_KEYS = (
    "SELECT name, caller_user, caller_team, project, ceiling, label, rights, created_ms, created_by, expires_ms, revoked_ms "
    "FROM virtual_keys ORDER BY name"
)
READ_SECRETS = "SELECT key_name, digest, hint, created_ms, ends_ms FROM key_secrets ORDER BY created_ms DESC, digest"

_rights = msgspec.json.Decoder(Rights).decode
Rows = Sequence[Sequence[Any]]


class KeysRead(msgspec.Struct, frozen=True):
    """All keys as they were at one moment."""

    edition: int
    rows: tuple[KeyRow, ...]


def read_keys(url: str, unless: int | None = None) -> KeysRead | None:
    """All keys of a store, in one transaction; None: its edition is still `unless`. A store without tables has no keys.

    Raises StoreUnavailableError.
    """
    path = sqlite_path(url)
    if path is None:
        return _read_server(url, unless)
    if not path.exists():
        return None if unless == 0 else KeysRead(0, ())
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=1.0, isolation_level=None)
        ) as store:
            store.execute("PRAGMA query_only=ON")
            store.execute("BEGIN")
            made = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'virtual_keys'").fetchone()
            edition = _edition(store.execute(READ_EDITION).fetchall()) if made else 0
            if edition == unless:
                return None
            if not made:
                return KeysRead(0, ())
            return KeysRead(edition, join(store.execute(READ_KEYS).fetchall(), store.execute(READ_SECRETS).fetchall()))
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"{path}: keys cannot be read ({error})") from error


def _read_server(url: str, unless: int | None) -> KeysRead | None:
    from sqlalchemy import text  # noqa: PLC0415 - only where there is a server
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from freehold.storage.engine import open_engine  # noqa: PLC0415

    engine = open_engine(url, read_only=True)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            edition = _edition([tuple(row) for row in connection.execute(text(READ_EDITION))])
            if edition == unless:
                return None
            return KeysRead(
                edition,
                join(
                    [tuple(row) for row in connection.execute(text(READ_KEYS))],
                    [tuple(row) for row in connection.execute(text(READ_SECRETS))],
                ),
            )
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"keys cannot be read: {type(error).__name__}") from error
    finally:
        engine.dispose()


def _edition(found: Rows) -> int:
    return int(found[0][0]) if found else 0


def join(keys: Rows, secrets: Rows) -> tuple[KeyRow, ...]:
    """Rows of both tables as keys with their secrets."""
    by_key: dict[str, list[SecretRow]] = {}
    for name, digest, hint, created_ms, ends_ms in secrets:
        by_key.setdefault(name, []).append(SecretRow(digest=digest, hint=hint, created_ms=created_ms, ends_ms=ends_ms))
    return tuple(_read(row, by_key.get(row[0], ())) for row in keys)


def _read(row: Sequence[Any], secrets: Iterable[SecretRow]) -> KeyRow:
    name, user, team, project, ceiling, label, rights, created_ms, created_by, expires_ms, revoked_ms = row
    return KeyRow(
        name=name,
        user=user,
        team=team,
        project=project,
        ceiling=Egress(ceiling),
        label=None if label is None else Label(label),
        rights=_rights(rights),
        created_ms=created_ms,
        created_by=created_by,
        expires_ms=expires_ms,
        revoked_ms=revoked_ms,
        secrets=tuple(secrets),
    )
