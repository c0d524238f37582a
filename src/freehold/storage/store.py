"""The store before its engine: where it lies, who may read it, and whether this version can use it.

Free of SQLAlchemy and Alembic, so that a start with an up-to-date store imports neither. `prepare` is called once
before a server is ready: it makes the SQLite file (0600, its folder 0700), and brings an older schema up to date.
Not done here: writing rows (`writer`), reading them (`ledger.queries`).
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

SCHEMA_VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""Every schema version this code can upgrade from, oldest first; the last is the one it works with."""
SCHEMA_VERSION = SCHEMA_VERSIONS[-1]

_SQLITE = "sqlite:///"


class StoreError(Exception):
    """The store cannot be used; the message names it and the remedy."""


class StoreUnavailableError(StoreError):
    """The store cannot be used *now* (locked, full, gone): what was to be written is to be kept and tried again."""


class StoreMissingError(StoreError):
    """There is no store at that place yet."""


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite store in this file."""
    return f"{_SQLITE}{path.absolute()}"


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL (`sqlite:////absolute/file`); None for another database."""
    if not url.startswith("sqlite:"):
        return None
    path = url.removeprefix(_SQLITE)
    if path == url or path in {"", ":memory:"} or "?" in path or path.startswith("file:"):
        raise StoreError(f"{url!r} is no store: it must be sqlite:/// and a file's path, such as sqlite:////var/lib/freehold.db")
    return Path(path)


def sqlite_version(path: Path) -> str | None:
    """The schema version of a SQLite file, by one cheap query. None: there are no tables yet."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5.0)) as connection:
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if named else None
    except sqlite3.OperationalError as error:
        raise StoreUnavailableError(
            f"{path}: cannot be read ({error}); check that it is yours and that the disk is whole"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: is no SQLite database ({error}); move it away and start again") from error
    return str(found[0]) if found else None


def judge(version: str | None, where: str) -> bool:
    """Whether a store of this schema version must be upgraded first. Raises StoreError where it is newer than this code."""
    if version is not None and version not in SCHEMA_VERSIONS:
        raise StoreError(
            f"{where}: has schema version {version}, this Freehold knows up to {SCHEMA_VERSION}; it was written by a newer one. "
            "Install that version again, or name another store"
        )
    return version not in {None, SCHEMA_VERSION}


def prepare(url: str) -> None:
    """Make the store usable: its file there and private, its schema not behind.

    A fresh store gets its tables from the writer's thread, so that a first start does not wait for them. Raises
    StoreError with a remedy where the store is unreadable, or newer than this code.
    """
    path = sqlite_path(url)
    if path is None:
        _prepare_server(url)
        return
    make_private(path)
    if judge(sqlite_version(path), str(path)):
        from freehold.storage.migrations import upgrade  # noqa: PLC0415 - Alembic is imported only when behind

        upgrade(url)


def make_private(path: Path) -> None:
    """Make the file (0600) and its folder (0700) where they are missing, and close the file to others."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not path.exists()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if is_new:
            _sync(path.parent)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be made ({error.strerror}); name a folder that you may write to") from error


def _sync(folder: Path) -> None:
    """Make the names in a folder durable: a power cut would else take a new file as a whole."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prepare_server(url: str) -> None:
    from freehold.storage.engine import create_tables, open_engine, read_version, shown  # noqa: PLC0415 - only where there is a server

    engine = open_engine(url)
    try:
        version = read_version(engine)
        if judge(version, shown(engine)):
            from freehold.storage.migrations import upgrade  # noqa: PLC0415 - Alembic is imported only when behind

            upgrade(url)
        elif version is None:
            create_tables(engine)
    finally:
        engine.dispose()
