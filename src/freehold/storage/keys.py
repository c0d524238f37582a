"""Changes virtual keys: each call is one durable transaction that also counts up the edition servers look at.

Promised: a name is used once, for good: who could take the name of a key that is gone would find its files; a digest
belongs to one key; a revoked key stays revoked. For threads and for the command line. Imports SQLAlchemy.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from freehold.storage.engine import create_tables, insert_once, open_engine
from freehold.storage.key_reader import EDITION, read_keys
from freehold.storage.key_rows import KeyRow, NameTakenError, NoKeyError, SecretRow
from freehold.storage.schema import key_secrets, meta, virtual_keys
from freehold.storage.store import StoreUnavailableError, sqlite_path

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


class KeyStore:
    """Reads and changes the keys of one store."""

    def __init__(self, url: str, *, now_ms: Callable[[], int]) -> None:
        """Open the store at `url`; a fresh one gets its tables. Raises StoreError."""
        self._url = url
        self._now_ms = now_ms
        self._engine = open_engine(url)
        self._is_sqlite = sqlite_path(url) is not None
        create_tables(self._engine, now_ms=now_ms())

    def close(self) -> None:
        """Let go of what is open."""
        self._engine.dispose()

    def all(self) -> tuple[KeyRow, ...]:
        """Every key, the revoked ones too, by name."""
        found = read_keys(self._url)
        assert found is not None
        return found.rows

    def find(self, name: str) -> KeyRow:
        """The key of that name, also a revoked one. Raises NoKeyError."""
        for row in self.all():
            if row.name == name:
                return row
        raise NoKeyError(f"there is no key {name!r}")

    def add(self, row: KeyRow) -> None:
        """Keep a new key. Raises NameTakenError."""
        values = {
            "name": row.name,
            "caller_user": row.user,
            "caller_team": row.team,
            "project": row.project,
            "ceiling": row.ceiling.value,
            "label": None if row.label is None else row.label.value,
            "rights": _encode(row.rights).decode(),
            "created_ms": row.created_ms,
            "created_by": row.created_by,
            "expires_ms": row.expires_ms,
            "revoked_ms": row.revoked_ms,
        }

        def work(connection: Connection) -> None:
            if connection.execute(select(virtual_keys.c.name).where(virtual_keys.c.name == row.name)).first() is not None:
                raise NameTakenError(f"there is, or was, a key {row.name!r}; names are never used again, choose another one")
            connection.execute(insert(virtual_keys).values(values))
            for secret in row.secrets:
                connection.execute(insert(key_secrets).values(key_name=row.name, **msgspec.structs.asdict(secret)))

        self._change(work)

    def revoke(self, *, name: str | None = None, user: str | None = None) -> tuple[str, ...]:
        """End a key, or every key of a user, now and for good; the names of those that had not ended. Raises NoKeyError."""
        assert (name is None) != (user is None)
        whose = virtual_keys.c.name == name if name is not None else virtual_keys.c.caller_user == user

        def work(connection: Connection) -> tuple[str, ...]:
            found = connection.execute(select(virtual_keys.c.name, virtual_keys.c.revoked_ms).where(whose)).all()
            if not found:
                raise NoKeyError(f"there is no key {name!r}" if name is not None else f"no key belongs to user {user!r}")
            names = tuple(sorted(row[0] for row in found if row[1] is None))
            connection.execute(
                update(virtual_keys).where(whose, virtual_keys.c.revoked_ms.is_(None)).values(revoked_ms=self._now_ms())
            )
            # What no longer opens anything need not lie here either.
            connection.execute(delete(key_secrets).where(key_secrets.c.key_name.in_(names)))
            return names

        return self._change(work)

    def rotate(self, name: str, secret: SecretRow, *, former_ends_ms: int) -> None:
        """Give a key a new secret; its present ones end then, or when they would anyway. Raises NoKeyError."""

        def work(connection: Connection) -> None:
            found = connection.execute(
                select(virtual_keys.c.name).where(virtual_keys.c.name == name, virtual_keys.c.revoked_ms.is_(None))
            ).first()
            if found is None:
                raise NoKeyError(f"there is no key {name!r} that could be rotated: none of this name, or it is revoked")
            mine = key_secrets.c.key_name == name
            connection.execute(delete(key_secrets).where(mine, key_secrets.c.ends_ms <= self._now_ms()))
            later = or_(key_secrets.c.ends_ms.is_(None), key_secrets.c.ends_ms > former_ends_ms)
            connection.execute(update(key_secrets).where(mine, later).values(ends_ms=former_ends_ms))
            connection.execute(insert(key_secrets).values(key_name=name, **msgspec.structs.asdict(secret)))

        self._change(work)

    def _change(self, work: Callable[[Connection], _T]) -> _T:
        try:
            with self._engine.connect() as connection:
                if self._is_sqlite:
                    connection.connection.cursor().execute("PRAGMA synchronous=FULL")
                with connection.begin():
                    self._count_up(connection)  # first: on a server this row is the lock that changes queue at
                    return work(connection)
        except IntegrityError as error:
            raise NameTakenError("there is a key of this name or with this secret already") from error
        except SQLAlchemyError as error:
            raise StoreUnavailableError(f"keys cannot be written: {type(error).__name__}") from error

    def _count_up(self, connection: Connection) -> None:
        connection.execute(insert_once(meta, self._engine).values(name=EDITION, value="0"))
        wanted: Any = select(meta.c.value).where(meta.c.name == EDITION).with_for_update()
        edition = int(connection.execute(wanted).scalar_one())
        connection.execute(update(meta).where(meta.c.name == EDITION).values(value=str(edition + 1)))
