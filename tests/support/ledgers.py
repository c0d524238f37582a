"""A real store in a folder of its own, with its writer, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text

from freehold.storage.engine import open_engine
from freehold.storage.store import prepare, sqlite_url
from freehold.storage.writer import Bounds, Writer

QUICK = Bounds(linger_s=0.005, warm_after_s=0.0, first_retry_s=0.002, last_retry_s=0.02)


class Kept:
    """A store, its writer, and what the writer told the log."""

    def __init__(self, path: Path, bounds: Bounds = QUICK) -> None:
        self.path, self.url = path, sqlite_url(path)
        self.told: list[tuple[str, dict[str, Any]]] = []
        prepare(self.url)
        clock = count(1_760_000_000_000)
        self.writer = Writer(self.url, now_ms=lambda: next(clock), tell=self._tell, bounds=bounds)

    def _tell(self, event: str, /, **fields: Any) -> None:
        self.told.append((event, fields))

    def events(self) -> list[str]:
        return [event for event, _ in self.told]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        engine = open_engine(self.url, read_only=True)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]


@contextmanager
def kept(path: Path, bounds: Bounds = QUICK) -> Iterator[Kept]:
    """A store whose writer runs until the block ends."""
    store = Kept(path, bounds)
    store.writer.start()
    try:
        yield store
    finally:
        store.writer.close()
