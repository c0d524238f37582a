"""After a start: what the process before this one left without an end, because it was killed, gets one.

Promised: it waits for what is written late (a journal that comes back, reservations that are settled), holds nobody up, and
does nothing where other processes may have requests under way. Not done: what was queued in memory when it was killed.
"""

import asyncio

from freehold.fault import FaultError
from freehold.ledger.ids import PREFIX, RANDOM_BYTES, new_id
from freehold.limits.budgets import Budgets
from freehold.storage.store import StoreError
from freehold.storage.writer import Writer
from freehold.telemetry.log import Log

AFTER_S = 1.0
"""When the writer has loaded its driver by itself, off the way of the first answers."""
FLUSHES_WITHIN_S = 60.0


async def finish_left(writer: Writer, store_url: str, started_ms: int, budgets: Budgets | None, log: Log) -> None:
    """Write the final rows that are missing of requests before `started_ms`; `budgets`: None where there are none."""
    await asyncio.sleep(AFTER_S)
    before = new_id(PREFIX, started_ms, bytes(RANDOM_BYTES))
    try:
        if budgets is not None:
            await budgets.store()
        count = await asyncio.to_thread(_finish, writer, store_url, before)
    except (StoreError, FaultError) as error:
        log.event("ledger.unfinished", level="warning", reason=str(error), says="the next start tries again")
        return
    if count:
        log.event(
            "ledger.finished", level="warning", rows=count, says="requests of a server that was killed got their final rows"
        )


def _finish(writer: Writer, store_url: str, before: str) -> int:
    """Blocks."""
    from freehold.storage.engine import open_engine  # noqa: PLC0415 - SQLAlchemy, which the writer has loaded by now
    from freehold.storage.unfinished import finish_rows  # noqa: PLC0415 - the same

    if not writer.flush(FLUSHES_WITHIN_S):
        return 0
    engine = open_engine(store_url)
    try:
        return finish_rows(engine, before)
    finally:
        engine.dispose()
