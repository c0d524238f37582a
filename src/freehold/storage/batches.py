"""The rows of files and batches: who left them, and how far they are. What is in them lies in files beside the store.

Promised: a row is found only by its own caller (key and user), whatever id is asked for; every call is one short
transaction; a change of state is durable (`synchronous=FULL`) and never overwrites a later one it did not know of
(`change` reads and writes in one transaction). For threads: each call opens its own connection. Imports SQLAlchemy.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from freehold.features import Caller
from freehold.storage.batch_rows import BatchRow, FileRow
from freehold.storage.engine import create_tables, open_engine
from freehold.storage.schema import batches, files
from freehold.storage.store import StoreUnavailableError, sqlite_path

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


class BatchStore:
    """Reads and writes rows of files and batches."""

    def __init__(self, url: str, *, now_ms: Callable[[], int]) -> None:
        """Open the store at `url`; a fresh one gets its tables. Raises StoreError."""
        self._engine = open_engine(url)
        self._is_sqlite = sqlite_path(url) is not None
        create_tables(self._engine, now_ms=now_ms())

    def close(self) -> None:
        """Let go of what is open."""
        self._engine.dispose()

    def add_file(self, row: FileRow) -> None:
        """Keep a new file's row."""
        self._write(lambda connection: connection.execute(insert(files).values(**msgspec.structs.asdict(row))))

    def file(self, file_id: str, caller: Caller) -> FileRow | None:
        """The caller's file of that id."""
        found = self._rows(select(files).where(files.c.file_id == file_id, *_own(files, caller)))
        return FileRow(**found[0]) if found else None

    def list_files(self, caller: Caller, *, after: str | None, limit: int, purpose: str | None) -> list[FileRow]:
        """The caller's files, newest first; ids sort by time."""
        wanted = select(files).where(*_own(files, caller)).order_by(files.c.file_id.desc()).limit(limit)
        if after is not None:
            wanted = wanted.where(files.c.file_id < after)
        if purpose is not None:
            wanted = wanted.where(files.c.purpose == purpose)
        return [FileRow(**row) for row in self._rows(wanted)]

    def kept(self, caller: Caller | None = None) -> tuple[int, int]:
        """How many files there are, of the caller or of all, and their bytes."""
        wanted = select(func.count().label("count"), func.coalesce(func.sum(files.c.size_bytes), 0).label("size"))
        row = self._rows(wanted if caller is None else wanted.where(*_own(files, caller)))[0]
        return int(row["count"]), int(row["size"])

    def file_ids(self) -> frozenset[str]:
        """The ids of all files of all callers."""
        return frozenset(row["file_id"] for row in self._rows(select(files.c.file_id)))

    def drop_file(self, file_id: str, caller: Caller) -> bool:
        """Forget the caller's file, unless a batch that is not over reads it. Raises ValueError then."""

        def drop(connection: Connection) -> bool:
            used = and_(batches.c.input_file_id == file_id, batches.c.is_over.is_(False), *_own(batches, caller))
            if connection.execute(select(batches.c.batch_id).where(used)).first() is not None:
                raise ValueError("a batch that is not over reads it; cancel the batch first")
            return connection.execute(delete(files).where(files.c.file_id == file_id, *_own(files, caller))).rowcount > 0

        return self._write(drop)

    def add_batch(self, row: BatchRow) -> None:
        """Keep a new batch's row."""
        values: dict[str, Any] = {
            **msgspec.structs.asdict(row),
            "caller_key": row.caller.key,
            "caller_user": row.caller.user,
            "caller": _encode(row.caller).decode(),
            "headers": _encode(row.headers).decode(),
            "metadata": _encode(row.metadata).decode(),
            "state": bytes(row.state).decode(),
        }
        self._write(lambda connection: connection.execute(insert(batches).values(values)))

    def batch(self, batch_id: str, caller: Caller) -> BatchRow | None:
        """The caller's batch of that id."""
        found = self._rows(select(batches).where(batches.c.batch_id == batch_id, *_own(batches, caller)))
        return _read(found[0]) if found else None

    def list_batches(self, caller: Caller, *, after: str | None, limit: int) -> list[BatchRow]:
        """The caller's batches, newest first."""
        wanted = select(batches).where(*_own(batches, caller)).order_by(batches.c.batch_id.desc()).limit(limit)
        return [_read(row) for row in self._rows(wanted if after is None else wanted.where(batches.c.batch_id < after))]

    def unfinished(self) -> list[BatchRow]:
        """Every caller's batches that are not over, oldest first."""
        return [
            _read(row) for row in self._rows(select(batches).where(batches.c.is_over.is_(False)).order_by(batches.c.batch_id))
        ]

    def change(self, batch_id: str, turn: Callable[[msgspec.Raw], tuple[bytes, bool]]) -> msgspec.Raw:
        """Give a batch the state that `turn` makes of its present one, and whether it is over then; returns it."""

        def write(connection: Connection) -> msgspec.Raw:
            row = connection.execute(select(batches.c.state).where(batches.c.batch_id == batch_id)).one()
            state, is_over = turn(msgspec.Raw(row[0].encode()))
            changed = update(batches).where(batches.c.batch_id == batch_id).values(state=state.decode(), is_over=is_over)
            connection.execute(changed)
            return msgspec.Raw(state)

        return self._write(write)

    def _rows(self, wanted: Any) -> list[RowMapping]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(wanted).mappings())
        except SQLAlchemyError as error:
            raise StoreUnavailableError(f"the store cannot be read: {type(error).__name__}") from error

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        try:
            with self._engine.connect() as connection:
                if self._is_sqlite:
                    connection.connection.cursor().execute("PRAGMA synchronous=FULL")
                with connection.begin():
                    return work(connection)
        except SQLAlchemyError as error:
            raise StoreUnavailableError(f"the store cannot be written: {type(error).__name__}") from error


def _own(table: Any, caller: Caller) -> tuple[Any, Any]:
    return table.c.caller_key == caller.key, table.c.caller_user == caller.user


def _read(row: RowMapping) -> BatchRow:
    return BatchRow(
        batch_id=row["batch_id"],
        caller=msgspec.json.decode(row["caller"], type=Caller),
        headers=msgspec.json.decode(row["headers"], type=dict[str, str]),
        endpoint=row["endpoint"],
        input_file_id=row["input_file_id"],
        metadata=msgspec.json.decode(row["metadata"], type=dict[str, str]),
        created_ms=row["created_ms"],
        expires_ms=row["expires_ms"],
        is_over=row["is_over"],
        state=msgspec.Raw(row["state"].encode()),
    )
