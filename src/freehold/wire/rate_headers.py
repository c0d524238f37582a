"""How rates stand, in the response headers that each client looks for.

Sources: OpenAI, "Rate limits in headers" (`x-ratelimit-*`, resets as durations such as `6m0s`); Anthropic, "Rate limits:
response headers" (`anthropic-ratelimit-*`, resets as RFC 3339 times).
"""

from collections.abc import Iterable
from datetime import UTC, datetime


def openai_headers(unit: str, *, limit: int, remaining: int, reset_s: float) -> Iterable[tuple[bytes, bytes]]:
    """`unit` is `requests` or `tokens`; `reset_s` seconds until all of the limit is there again."""
    yield f"x-ratelimit-limit-{unit}".encode(), b"%d" % limit
    yield f"x-ratelimit-remaining-{unit}".encode(), b"%d" % remaining
    yield f"x-ratelimit-reset-{unit}".encode(), spell_duration(reset_s).encode()


def anthropic_headers(unit: str, *, limit: int, remaining: int, reset_s: float, now_ms: int) -> Iterable[tuple[bytes, bytes]]:
    """As `openai_headers`; `now_ms` is the time of day in Unix milliseconds."""
    reset = datetime.fromtimestamp(-(-(now_ms + reset_s * 1000) // 1000), UTC)
    yield f"anthropic-ratelimit-{unit}-limit".encode(), b"%d" % limit
    yield f"anthropic-ratelimit-{unit}-remaining".encode(), b"%d" % remaining
    yield f"anthropic-ratelimit-{unit}-reset".encode(), reset.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def spell_duration(seconds: float) -> str:
    """`120ms`, `8.64s`, `6m0s`, `1h0m5s`: never shorter than it is."""
    milliseconds = -int(-seconds * 1000 // 1)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    said = f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{said}"
    return f"{minutes}m{said}" if minutes else said
