"""How many calls are under way on each runtime for somebody who waits, so that other work can stand back.

Counted are attempts, from their beginning to their end. Work that yields (a batch's lines) is not counted; it waits for
`quiet`. On one event loop.
"""

import asyncio
from collections.abc import Collection


class InFlight:
    """The count, and who waits for it to be nothing."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def begin(self, runtime: str) -> None:
        """An attempt begins there."""
        self._calls[runtime] = self._calls.get(runtime, 0) + 1

    def end(self, runtime: str) -> None:
        """An attempt ended there."""
        left = self._calls[runtime] = self._calls[runtime] - 1
        if left <= 0 and self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def on(self, runtime: str) -> int:
        """How many are under way there."""
        return self._calls.get(runtime, 0)

    async def quiet(self, runtimes: Collection[str]) -> None:
        """Wait until none is under way on any of them."""
        while any(map(self.on, runtimes)):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
