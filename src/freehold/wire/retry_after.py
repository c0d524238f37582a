"""How long an upstream asks us to wait, read from its response headers.

Sources: RFC 9110 section 10.2.3 (`retry-after`: seconds or an HTTP date) and the `retry-after-ms` header OpenAI-style
vendors add. A date is measured against the response's own `date` header, so no clock is needed here; a date without
that reference says nothing we can use.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_S = 86_400.0
"""A wait is capped at a day: beyond that a number is a mistake, not a plan."""

_BLANKS = " \t"
"""What may stand around a header's value. `str.strip` takes more, among it what `float` does not."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from lower-case header names; None where the upstream did not say anything readable."""
    milliseconds = headers.get("retry-after-ms", "").strip(_BLANKS)
    if _SECONDS.fullmatch(milliseconds):
        return min(float(milliseconds) / 1000.0, LONGEST_S)
    value = headers.get("retry-after")
    if value is None:
        return None
    value = value.strip(_BLANKS)
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_S)
    until, now = _read_date(value), _read_date(headers.get("date", "").strip(_BLANKS))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), LONGEST_S)


def _read_date(text: str) -> datetime | None:
    """An IMF-fixdate, the one form RFC 9110 lets senders write. Not by `strptime`: that follows the locale."""
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    try:
        return datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
