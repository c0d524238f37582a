"""The deadlines of a runtime, as they hold for an attempt until its first content. Pure.

Measured from when the attempt began, less what it waited for a place or for money: pings and keep-alives push nothing on.
"""

from freehold.fault import Kind
from freehold.runtime import Runtime

SLOWEST_TOKEN_S = 0.25
"""An answer that comes slower is not waited for where it can only be had whole: people read faster."""


def head_timeout_s(runtime: Runtime, most_tokens: int | None, *, streams: bool) -> float:
    """A whole answer's head comes when all of it was made: its deadline grows with what the client lets it become."""
    if streams:
        return runtime.first_content_timeout_s
    if most_tokens is None:
        return runtime.total_timeout_s
    return min(runtime.total_timeout_s, runtime.first_content_timeout_s + most_tokens * SLOWEST_TOKEN_S)


def left_for_content(runtime: Runtime, began_s: float, now_s: float, *, streams: bool) -> tuple[float, Kind, float]:
    """Seconds left for the first content, or for all of an answer that is no stream; their kind; and when all of it ends."""
    ends_s = began_s + runtime.total_timeout_s
    if streams:
        return began_s + runtime.first_content_timeout_s - now_s, Kind.FIRST_CONTENT_TIMEOUT, ends_s
    return ends_s - now_s, Kind.TOTAL_TIMEOUT, ends_s
