"""A process that reserves and settles without end, and says on its standard output what was acknowledged.

Lines: `r ID AMOUNT` reserved; `s ID AMOUNT` is about to be settled, `S ID` it was; `v ID` is about to be let go, `V ID` it was;
`p ID` a request's final row was queued with the ledger's ordinary writer.
"""

import asyncio
import os
import sys
from pathlib import Path
from random import Random

from freehold.storage import engine, sqlite_budgets
from freehold.storage.reservations import Charge
from freehold.storage.writer import Bounds, Writer
from support import records
from support.budget_cases import LEASE_S, paid
from support.budget_servers import wall_ms

ACCOUNTS = ("team", "user")
LIMIT = 10**9
AT_ONCE = 6
PAGES = 60
"""The log is copied into the file this often, so that cuts fall into that too."""


def say(line: str) -> None:
    """Tell it in one call."""
    os.write(1, f"{line}\n".encode())


async def work(store: object, seed: int, tag: str, attempts: int) -> None:
    """Make that many attempts, `AT_ONCE` at a time."""
    chance = Random(seed)
    numbers = iter(range(attempts))

    async def one_after_the_other() -> None:
        for number in numbers:
            attempt_id, amount = f"{tag}_{number}.1", chance.randrange(1, 100)
            charges = [Charge(account, LIMIT, amount) for account in ACCOUNTS]
            if await store.reserve(attempt_id, charges, LEASE_S) is not None:  # type: ignore[attr-defined] - any store
                raise AssertionError("the limit is far away")
            say(f"r {attempt_id} {amount}")
            if chance.random() < 0.2:
                say(f"v {attempt_id}")
                await store.void(attempt_id, None)  # type: ignore[attr-defined] - any store
                say(f"V {attempt_id}")
            else:
                cost = chance.randrange(amount + 1)
                say(f"s {attempt_id} {cost}")
                spent = dict.fromkeys(ACCOUNTS, cost)
                await store.settle(attempt_id, spent, paid(attempt_id, cost_nano_usd=cost))  # type: ignore[attr-defined] - any store
                say(f"S {attempt_id}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_the_other())


async def main(path: Path, seed: int, attempts: int, synchronous: str) -> None:
    """Work on this file, beside its ordinary writer."""
    engine._WRITING = ("page_size=4096", f"wal_autocheckpoint={PAGES}", *engine._WRITING[2:])
    sqlite_budgets.WAL_PAGES = PAGES * 2
    if synchronous != "FULL":
        connect = sqlite_budgets._connect

        def weaker(*arguments: object) -> object:
            database = connect(*arguments)  # type: ignore[arg-type] - passed on as it came
            database.execute(f"PRAGMA synchronous={synchronous}")
            return database

        sqlite_budgets._connect = weaker  # type: ignore[assignment] - a weaker disk, which the proof must notice
    writer = Writer(
        f"sqlite:///{path}", now_ms=wall_ms, tell=lambda *_a, **_k: None, bounds=Bounds(warm_after_s=0, linger_s=0.004)
    )
    writer.start()
    store = await sqlite_budgets.sqlite_budgets(path, wall_ms).open()
    for number in range(attempts // 4):
        writer.put("requests", records.request(f"plain_{number}"))
    await work(store, seed, f"q{seed}", attempts)
    await store.close()
    writer.close()
    say("end")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
