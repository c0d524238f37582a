"""Who waits for room in an account, first come, first served.

Only the head of a line tries; when it has what it wanted, or gives up, the next one is woken. Woken by what frees room,
so that nobody polls, but for the head: another process may have freed some, and tells nobody here.
"""

import asyncio
from collections import deque

LOOKS_EACH_S = 0.25
"""How often the head of a line looks whether another process has freed room."""


class Turn:
    """One who waits."""

    __slots__ = ("_future", "_is_roused")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._is_roused = False

    def rouse(self) -> None:
        """Something changed: look again."""
        self._is_roused = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Until roused, or as long as this."""
        if not self._is_roused:
            loop = asyncio.get_running_loop()
            self._future = future = loop.create_future()
            timer = loop.call_later(max(timeout_s, 0.0), _wake, future)
            try:
                await future
            finally:
                timer.cancel()
                self._future = None
        self._is_roused = False


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Lines:
    """All lines, by account."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Turn]] = {}

    def __contains__(self, account: str) -> bool:
        return account in self._lines

    def join(self, account: str) -> Turn:
        """Stand at the end."""
        turn = Turn()
        self._lines.setdefault(account, deque()).append(turn)
        return turn

    def is_head(self, account: str, turn: Turn) -> bool:
        """Whether it is this one's turn."""
        return self._lines[account][0] is turn

    def leave(self, account: str, turn: Turn) -> None:
        """Go; the one that is at the head now looks."""
        line = self._lines[account]
        line.remove(turn)
        if line:
            line[0].rouse()
        else:
            del self._lines[account]

    def rouse(self, account: str) -> None:
        """Room may have come free there."""
        line = self._lines.get(account)
        if line is not None:
            line[0].rouse()
