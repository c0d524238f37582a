"""Which store keeps the budgets, by what is configured; its driver is imported here, with the first attempt that is paid for."""

from collections.abc import Callable

from freehold.storage.reservations import BudgetStore
from freehold.storage.store import sqlite_path


async def open_budgets(url: str, now_ms: Callable[[], int]) -> BudgetStore:
    """Open the budgets beside the ledger at `url`. Raises StoreError while their database is away."""
    path = sqlite_path(url)
    if path is not None:
        from freehold.storage.sqlite_budgets import sqlite_budgets  # noqa: PLC0415 - only where it is used

        return await sqlite_budgets(path, now_ms).open()
    from freehold.storage.postgres_budgets import postgres_budgets  # noqa: PLC0415 - an extra, only where it is used

    return await postgres_budgets(url).open()
