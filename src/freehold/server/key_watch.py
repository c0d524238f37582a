"""Keeps this process's table of virtual keys at what the store says.

Promised: a change made through this process holds before its answer goes out; one made elsewhere (another worker, the
command line, another node) within `LOOK_EACH_S` and a read of the store; where the store cannot be asked for
`TRUSTED_S`, virtual keys open nothing until it can. No request waits for the store.
"""

import asyncio
import contextlib
from collections.abc import Callable

from freehold.identity.callers import Register
from freehold.identity.issuing import make_table
from freehold.storage.key_reader import read_keys
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log

LOOK_EACH_S = 1.0
TRUSTED_S = 30.0


class KeyWatch:
    """One per process."""

    def __init__(self, store_url: str, *, now: Callable[[], float], log: Log) -> None:
        self.register = Register()
        """The keys as they were read last."""
        self._store_url, self._now, self._log = store_url, now, log
        self._edition: int | None = None
        self._read_s = now()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the keys there are, then follow. A store that cannot be read now is followed all the same."""
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="keys")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Read what changed. What is in the store when this is called holds when it returns, unless that cannot be read."""
        async with self._reading:
            asked_s = self._now()
            try:
                found = await asyncio.to_thread(read_keys, self._store_url, self._edition)
                table = None if found is None else await asyncio.to_thread(make_table, found.rows)
            except (StoreError, ValueError) as error:  # the second: rows that no key of this version can have
                self._was_unreadable(error)
                return
            self._read_s = asked_s
            if table is not None and found is not None:
                self.register.virtual, self._edition = table, found.edition
            if self.register.is_stale:
                self.register.is_stale = False
                self._log.event("keys.readable", says="virtual keys open again")

    def _was_unreadable(self, error: Exception) -> None:
        is_late = self._edition is None or self._now() - self._read_s > TRUSTED_S
        if is_late and not self.register.is_stale:
            self.register.is_stale = True
            self._log.event(
                "keys.unreadable", level="error", reason=str(error), says="virtual keys are refused until they can be"
            )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EACH_S)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a defect here must not end the watch: revocations go by it
                self._log.defect("keys.watch_failed", error)
                self._was_unreadable(error)
