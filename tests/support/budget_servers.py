"""Places to keep budgets in, each real: a file, and servers of our own that nobody else can reach."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from freehold.storage.opened_budgets import open_budgets
from freehold.storage.postgres_address import read_address
from freehold.storage.postgres_connection import PostgresConnection
from freehold.storage.store import prepare, sqlite_path, sqlite_url
from support.servers import Postgres, Redis

Flag = tuple[str, str, str, int, int]
KINDS = ("sqlite", "postgres", "redis", "redis+postgres")


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Servers:
    """Started when first asked for, and used by all tests of a run. One that a test killed and left so is started again."""

    def __init__(self) -> None:
        self._postgres: Postgres | None = None
        self._redis: Redis | None = None

    def postgres(self) -> Postgres:
        """The one PostgreSQL."""
        if self._postgres is None:
            self._postgres = Postgres()
        self._postgres.start()
        return self._postgres

    def redis(self) -> Redis:
        """The one Redis, emptied."""
        if self._redis is None:
            self._redis = Redis()
        self._redis.start()
        with redis.Redis.from_url(self._redis.url) as client:
            client.flushall()
        return self._redis

    def remove(self) -> None:
        """End them."""
        for server in (self._postgres, self._redis):
            if server is not None:
                server.remove()


class Backing:
    """A fresh place for the ledger and its budgets, and what its database says of it beside the store."""

    def __init__(self, kind: str, folder: Path, servers: Servers) -> None:
        self.url = servers.postgres().fresh() if "postgres" in kind else sqlite_url(folder / "ledger.db")
        cache = servers.redis() if "redis" in kind else None
        self.redis = None if cache is None else cache.url
        self.server = cache or (servers.postgres() if "postgres" in kind else None)
        """That which keeps the money, where it is a server."""
        prepare(self.url)

    @property
    def address(self) -> str:
        """For `reopened`, from another process."""
        return f"{self.url} {self.redis or ''}"

    async def open(self) -> Any:
        """A store, as one more process would open it."""
        return await reopened(self.address)

    def rows(self, text: str) -> list[Any]:
        """What the database answers."""
        path = sqlite_path(self.url)
        if path is None:
            with PostgresConnection(read_address(self.url)) as server:
                return [tuple(row) for row in server.execute_simple(text).rows]
        with closing(sqlite3.connect(path)) as database:
            return database.execute(text).fetchall()

    def attempts(self) -> list[str]:
        """Ids of the attempts whose rows are there."""
        return sorted(f"{row[0]}.{row[1]}" for row in self.rows("SELECT request_id, number FROM attempts"))

    def flags(self) -> list[Flag]:
        """What was flagged."""
        return sorted(self.rows("SELECT attempt_id, flag, account, reserved, spent FROM money_flags"))


async def reopened(address: str) -> Any:
    """The store at that address."""
    url, _, redis_url = address.partition(" ")
    return await open_budgets(url, wall_ms, redis_url or None)
