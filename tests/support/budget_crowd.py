"""One of several processes that spend from one budget, and write what upstream would bill into a journal.

Arguments: the store's address (see `budget_servers`), the journal, a tag, how many ask at once, the limit, the amount of each.
"""

import asyncio
import os
import sys
from typing import Any

from freehold.storage.reservations import Charge
from freehold.storage.store import StoreError
from support.budget_cases import LEASE_S, paid
from support.budget_servers import reopened

RETRY_S = 0.05


async def opened(address: str) -> Any:
    """The store, as soon as it is there."""
    while True:
        try:
            return await reopened(address)
        except StoreError:
            await asyncio.sleep(RETRY_S)


async def main(address: str, journal: str, tag: str, count: int, limit: int, amount: int) -> None:
    """Ask that often at once; whoever is admitted sends, and settles however often it must try."""
    store = await opened(address)
    sent = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def one(number: int) -> None:
        tries = 0
        while True:
            tries += 1
            attempt_id = f"{tag}{number}.{tries}"
            try:
                if await store.reserve(attempt_id, (Charge("team", limit, amount),), LEASE_S) is not None:
                    return
                break
            except StoreError:
                await asyncio.sleep(RETRY_S)
        os.write(sent, f"{amount} {attempt_id}\n".encode())
        while True:
            try:
                await store.settle(attempt_id, {"team": amount}, paid(attempt_id, cost_nano_usd=amount))
            except StoreError:
                await asyncio.sleep(RETRY_S)
            else:
                return

    await asyncio.gather(*(one(number) for number in range(count)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], *(int(one) for one in sys.argv[4:7])))
