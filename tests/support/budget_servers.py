"""Places to keep budgets in, each real: a file, and servers of our own that nobody else can reach."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from freehold.storage.sqlite_budgets import sqlite_budgets
from freehold.storage.store import prepare, sqlite_url

Flag = tuple[str, str, str, int, int]
FLAGS = "SELECT attempt_id, flag, account, reserved, spent FROM money_flags ORDER BY 1, 2, 3"
ATTEMPTS = "SELECT request_id, number FROM attempts ORDER BY 1, 2"


class Backing(Protocol):
    """A place, and what its database says of it beside the store."""

    def address(self) -> str:
        """For `reopened`, from another process."""

    async def open(self) -> Any:
        """A store, as one more process would open it."""

    def attempts(self) -> list[str]:
        """Ids of the attempts whose rows are there."""

    def flags(self) -> list[Flag]:
        """What was flagged."""

    def stop(self) -> None:
        """Let go of it."""


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class SqliteBacking:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        prepare(sqlite_url(self.path))

    def address(self) -> str:
        return sqlite_url(self.path)

    async def open(self) -> Any:
        return await reopened(self.address())

    def _rows(self, text: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(text).fetchall()

    def attempts(self) -> list[str]:
        return [f"{row[0]}.{row[1]}" for row in self._rows(ATTEMPTS)]

    def flags(self) -> list[Flag]:
        return self._rows(FLAGS)

    def stop(self) -> None:
        pass


async def reopened(address: str) -> Any:
    """The store at that address."""
    return await sqlite_budgets(Path(address.removeprefix("sqlite:///")), wall_ms).open()


def backings() -> dict[str, Callable[[Path], Backing]]:
    """By name."""
    return {"sqlite": SqliteBacking}
