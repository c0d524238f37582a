"""What is the same wherever an SQLite file is opened to be written."""

import sqlite3
import time

_ASKS_AGAIN_S = 0.005


def enter_wal(database: sqlite3.Connection, within_s: float) -> None:
    """Keep this file's changes in a write-ahead log, as it does for ever after.

    Only the first connection has something to change, and while it does SQLite refuses all others at once, whatever their
    busy timeout (https://www.sqlite.org/c3ref/busy_handler.html: a lock that could deadlock is not waited for). So they ask
    again here, for `within_s` seconds. Raises sqlite3.OperationalError after that.
    """
    until_s = time.monotonic() + within_s
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
            time.sleep(_ASKS_AGAIN_S)
        else:
            return
