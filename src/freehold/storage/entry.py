"""The entry of a process among those that write this ledger: under a mark that all its request ids bear. No SQLAlchemy.

Promised: an entry is made before its process gives an id, and stands until all that it had to write is written; only on a
store that has no tables yet it comes with the first sign of life. Not done: reading the entries of others (`processes`).
"""

import sqlite3
from contextlib import closing

from freehold.storage.store import StoreUnavailableError, sqlite_path

ENTRY = "process/"
"""How the row in `meta` is named; the mark follows. Its value: the process as `owners` names it, and how often it gave a sign."""
BUSY_TIMEOUT_S = 5.0
_PUT = "INSERT INTO meta VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM meta WHERE name = :name"


class Entry:
    """The process itself, in the ledger at `url`. Every call blocks; none is for two threads at once."""

    def __init__(self, url: str, mark: str, owner: str) -> None:
        """`mark` is in all ids that this process gives, `owner` its name as `owners` tells it."""
        self.url, self.mark, self._owner = url, mark, owner
        self._signs = 0

    def sign(self) -> None:
        """Enter, or give a sign of life. Raises StoreUnavailableError."""
        self._signs += 1
        self._run(_PUT, {"name": ENTRY + self.mark, "value": f"{self._owner} {self._signs}"})

    def leave(self) -> None:
        """All is written. Raises StoreUnavailableError."""
        self._run(_DELETE, {"name": ENTRY + self.mark})

    def _run(self, text: str, parameters: dict[str, str]) -> None:
        path = sqlite_path(self.url)
        if path is None:
            _run_on_server(self.url, text, parameters)
            return
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)) as database:
                if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
                    return
                database.execute("PRAGMA synchronous=NORMAL")
                with database:
                    database.execute(text, parameters)
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"{path}: {error}") from error


def _run_on_server(url: str, text: str, parameters: dict[str, str]) -> None:
    from sqlalchemy import text as sql  # noqa: PLC0415 - only where there is a server
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - the same

    from freehold.storage.engine import open_engine, shown  # noqa: PLC0415 - the same

    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            connection.execute(sql(text), parameters)
    except DBAPIError as error:
        raise StoreUnavailableError(f"{shown(engine)}: {type(error).__name__}") from error
    finally:
        engine.dispose()
