"""Which store keeps the budgets, by what is configured; its driver is imported here, with the first attempt that is paid for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from freehold.storage.reservations import BudgetStore
from freehold.storage.store import StoreError, sqlite_path

if TYPE_CHECKING:
    from freehold.storage.sql_budgets import SqlBudgets


async def open_budgets(url: str, now_ms: Callable[[], int], redis: str | None = None, password: str | None = None) -> BudgetStore:
    """Open the budgets beside the ledger at `url`, or in this Redis. Raises StoreError while their database is away."""
    rows = sql_rows(url, now_ms)
    if redis is None:
        return await rows.open()
    try:
        from freehold.storage.redis_budgets import RedisBudgets  # noqa: PLC0415 - an extra, only where it is used
    except ImportError as error:
        raise StoreError("budgets in Redis need its driver: install `freehold[redis]`") from error
    return await RedisBudgets(redis, rows, password).open()


def sql_rows(url: str, now_ms: Callable[[], int]) -> "SqlBudgets":
    """The ledger's own database at `url`, by the thread that commits for many at once. Nothing is opened yet. Raises StoreError."""
    path = sqlite_path(url)
    if path is not None:
        from freehold.storage.sqlite_budgets import sqlite_budgets  # noqa: PLC0415 - only where it is used

        return sqlite_budgets(path, now_ms)
    try:
        from freehold.storage.postgres_budgets import postgres_budgets  # noqa: PLC0415 - an extra, only where it is used
    except ImportError as error:
        raise StoreError("a ledger in PostgreSQL needs its driver: install `freehold[postgres]`") from error
    return postgres_budgets(url)
