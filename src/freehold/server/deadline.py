"""How long a client is ready to wait, read from its headers. It can only shorten what the runtimes' own deadlines allow.

`x-freehold-timeout-s` is ours: a whole answer is due by then, streamed or not, and what is no number is refused.
`x-request-timeout-s` means the same where it can be read. `x-stainless-timeout`, which the official SDKs send with each
request, is how long they wait for the next byte: for a whole answer that is all of it, for a stream it says nothing
about the end, so there it is passed over. Of several the shortest holds.
"""

import re
from collections.abc import Mapping

from freehold.fault import FaultError, Kind, faulty

TIMEOUT_HEADER = "x-freehold-timeout-s"
LONGEST_TIMEOUT_S = 86_400.0
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,20})?", re.ASCII)


def timeout_of(headers: Mapping[str, str], *, streams: bool) -> float | None:
    """Seconds the client gives the whole answer; None: it does not say. Raises FaultError(INVALID_REQUEST)."""
    shortest_s: float | None = None
    said = headers.get(TIMEOUT_HEADER)
    if said is not None:
        shortest_s = _read(said)
        if shortest_s is None:
            raise _refusal()
    for name in ("x-request-timeout-s",) if streams else ("x-request-timeout-s", "x-stainless-timeout"):
        said = headers.get(name)
        if said is not None:
            seconds = _read(said)
            if seconds is not None and (shortest_s is None or seconds < shortest_s):
                shortest_s = seconds
    return shortest_s


def _read(said: str) -> float | None:
    """A number over 0 and up to a day."""
    said = said.strip(" \t")
    if _SECONDS.fullmatch(said) is None:
        return None
    seconds = float(said)
    return seconds if 0 < seconds <= LONGEST_TIMEOUT_S else None


def _refusal() -> FaultError:
    return faulty(
        Kind.INVALID_REQUEST,
        f"header {TIMEOUT_HEADER}: send seconds as a plain number over 0 and up to {LONGEST_TIMEOUT_S:g}, such as 30 or 2.5",
        param=TIMEOUT_HEADER,
    )
