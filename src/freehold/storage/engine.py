"""The engine: a database opened the way Freehold needs it, and the little that differs between databases.

SQLite: WAL, `synchronous=NORMAL` (a power cut may lose the last rows of telemetry, never the file's integrity; rows
of money will ask for FULL), a busy timeout, foreign keys, explicit transactions. Everything else is SQLAlchemy Core
and runs on PostgreSQL unchanged. Importing this module imports SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Table, create_engine, event, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from freehold import __version__
from freehold.storage.schema import alembic_version, meta, metadata
from freehold.storage.sqlite_opening import enter_wal
from freehold.storage.store import SCHEMA_VERSION, StoreError, StoreMissingError, StoreUnavailableError, judge, sqlite_path

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

PAGE_BYTES = 8192
"""Of a new file. Rows are appended: larger pages are filled, logged and copied in fewer steps."""
WAL_PAGES = 2000
"""The log is copied into the file when it is this long (16 MiB): the tail page of a table is then copied more seldom."""
_WRITING = (f"wal_autocheckpoint={WAL_PAGES}", "synchronous=NORMAL", "foreign_keys=ON")
BUSY_TIMEOUT_S = 5.0
"""How long SQLite waits for another process's lock before the writer backs off."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Open the database at `url`, with positional parameters on every driver.

    A read-only engine neither makes the file nor can write to it. Raises StoreMissingError where its file is missing.
    """
    path = sqlite_path(url)
    if path is None:
        return _open_postgres(url)
    if read_only and not path.exists():
        raise StoreMissingError(f"{path}: nothing is recorded there yet; `freehold serve` makes it")
    engine = create_engine(
        f"sqlite:///{path.absolute().as_uri()}?mode=rw&uri=true",
        poolclass=NullPool,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": True, "isolation_level": None},
    )
    pragmas = ["foreign_keys=ON", "query_only=ON"] if read_only else _WRITING
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "connect")
    def _tune(connection: Any, _record: object) -> None:
        if not read_only:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            enter_wal(connection, BUSY_TIMEOUT_S)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _open_postgres(url: str) -> Engine:
    from freehold.storage.postgres_address import read_address  # noqa: PLC0415 - only where there is a server

    address = read_address(url)
    try:
        from pg8000 import dbapi  # noqa: PLC0415 - an extra, only where it is used

        from freehold.storage.postgres_connection import PostgresConnection  # noqa: PLC0415 - the same
    except ImportError as error:
        raise StoreError("a ledger in PostgreSQL needs its driver: install `freehold[postgres]`") from error
    return create_engine(
        make_url(url).set(drivername="postgresql+pg8000"),
        module=dbapi,
        creator=lambda: PostgresConnection(address),
        paramstyle="format",
        pool_pre_ping=True,
    )


def read_version(engine: Engine) -> str | None:
    """The schema version of the database. None: there are no tables yet."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(alembic_version.name):
                return None
            return connection.execute(select(alembic_version.c.version_num)).scalar()
    except DBAPIError as error:
        raise StoreUnavailableError(f"{shown(engine)}: cannot be read ({error.orig})") from error


def create_tables(engine: Engine, *, now_ms: int | None = None) -> None:
    """Make all tables of an empty database at the newest version, in one transaction; nothing where they are there."""
    with engine.begin() as connection:
        if inspect(connection).has_table(alembic_version.name):
            found = connection.execute(select(alembic_version.c.version_num)).scalar()
            judge(found, shown(engine))
            return
        metadata.create_all(connection, checkfirst=False)
        alembic_version.create(connection, checkfirst=False)
        connection.execute(alembic_version.insert().values(version_num=SCHEMA_VERSION))
        connection.execute(meta.insert(), [{"name": "created_by", "value": f"freehold {__version__}"}])
        if now_ms is not None:
            connection.execute(meta.insert(), [{"name": "created_ms", "value": str(now_ms)}])


def insert_once(table: Table, engine: Engine) -> "SqliteInsert | PostgresqlInsert":
    """An INSERT that leaves a row alone whose key is there already: writing twice is writing once. It returns nothing."""
    match engine.dialect.name:
        case "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing().inline()
        case _:
            return sqlite.insert(table).on_conflict_do_nothing().inline()


def shown(engine: Engine) -> str:
    """Where it is, for messages: no password, no driver."""
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=True)
