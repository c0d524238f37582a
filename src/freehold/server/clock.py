"""Clocks: the time of day in milliseconds and microseconds, and the local hour."""

import time


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def wall_us() -> int:
    """Unix microseconds."""
    return time.time_ns() // 1000


class Hours:
    """The local hour of a moment, worked out once per minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._hour = 0

    def hour_of(self, now_ms: int) -> int:
        """0-23."""
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute, self._hour = minute, time.localtime(now_ms / 1000).tm_hour
        return self._hour
