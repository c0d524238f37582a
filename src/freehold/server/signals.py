"""What signals mean to a process that serves: handlers that run in its loop, and the last moments of its life.

Promised: who is told to stop, and told so again while it ends, ends as it would have. A loop's own signal handlers do not
give that: the loop gives signals their default meaning back when it closes, which is to die of them.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from signal import SIG_BLOCK, SIG_IGN, SIG_UNBLOCK, SIGHUP, SIGINT, SIGTERM, SIGUSR2, pthread_sigmask, signal

STOPPING = (SIGINT, SIGTERM)
HEEDED = (SIGHUP, SIGINT, SIGTERM, SIGUSR2)


def stop_at_once() -> None:
    """While a process begins, and has nothing to end: who tells it to stop is obeyed on the spot."""
    for number in STOPPING:
        signal(number, lambda _number, _frame: sys.exit(0))
    pthread_sigmask(SIG_UNBLOCK, STOPPING)


def wait_to_stop() -> None:
    """Before a process becomes another program: who tells it to stop is heard when that one begins."""
    pthread_sigmask(SIG_BLOCK, STOPPING)


def on_signal(number: int, act: Callable[[], object]) -> None:
    """From now on do this in the running loop when the signal comes. In the main thread only, below `to_the_end`."""
    loop = asyncio.get_running_loop()
    signal(number, lambda _number, _frame: loop.call_soon_threadsafe(act))


async def to_the_end(work: Awaitable[None]) -> None:
    """Do all that a process is for; behind it signals mean nothing any more."""
    try:
        await work
    finally:
        for number in HEEDED:
            signal(number, SIG_IGN)
