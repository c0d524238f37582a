"""Ends the rounds of a client that shortens its conversation again and again and is told each time that it is too long.

A client that compacts takes an overflow for "shorten it and ask again". What it cannot shorten (its own prompt and tools, the
newest turn) may be too long by itself, and then it goes on without an end, each round a summary that somebody's machine writes.
Told something else than an overflow, every client reports it and stops.

Promised: only what would have been refused anyway is told otherwise, so nothing is stopped that fits; a conversation is its
caller's; each lane of a session, and each sub-agent, counts for itself; as long as a client gets somewhere, it is told the truth;
memory is constant; a request that is served costs no more than a look whether anything did not fit lately. Not done: requests
without a session.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from freehold.fault import Fault, Kind
from freehold.features import Features
from freehold.routing.agents import part_of
from freehold.sessions.sticky import lane_of
from freehold.storage.host_overflows import OverflowRow

REST_S = 600.0
"""Whoever comes back later, starts anew: a summary on a slow machine takes a minute or two."""
GETS_SOMEWHERE = 0.9
"""A prompt that is a tenth shorter than any before it in its row is on its way to fit."""
MOST_KEPT = 10_000

_Key = tuple[str, str, str, str, str]


class OverflowLimit(Protocol):
    """How often is too often."""

    @property
    def overflows_most(self) -> int:
        """Overflows in a row that a session is told of. 0: as many as there are."""


class Rows(Protocol):
    """Where overflows are counted: `OwnRows`, or `storage.host_overflows` for the processes of one machine together."""

    @property
    def newest_s(self) -> float:
        """When the newest row was written."""

    def get(self, names: _Key, /) -> OverflowRow | None:
        """The row of a conversation."""

    def put(self, names: _Key, row: OverflowRow, /) -> None:
        """Keep it."""

    def drop(self, names: _Key, /) -> None:
        """Forget it."""


class OwnRows:
    """The rows of this process alone."""

    def __init__(self) -> None:
        self._rows: OrderedDict[_Key, OverflowRow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def newest_s(self) -> float:
        """As `Rows.newest_s`."""
        return next(reversed(self._rows.values())).last_s if self._rows else -math.inf

    def get(self, names: _Key, /) -> OverflowRow | None:
        """As `Rows.get`."""
        return self._rows.get(names)

    def put(self, names: _Key, row: OverflowRow, /) -> None:
        """As `Rows.put`; instead of the oldest where there are too many."""
        self._rows[names] = row
        self._rows.move_to_end(names)
        if len(self._rows) > MOST_KEPT:
            self._rows.popitem(last=False)

    def drop(self, names: _Key, /) -> None:
        """As `Rows.drop`."""
        self._rows.pop(names, None)


class Overflows:
    """Which conversations do not fit, again and again. `now` is a monotonic clock in seconds, the same for all who share `rows`."""

    def __init__(self, now: Callable[[], float], limit: Callable[[], OverflowLimit], rows: Rows | None = None) -> None:
        self._now = now
        self._limit = limit
        self._rows = OwnRows() if rows is None else rows

    def fits(self, features: Features, headers: Mapping[str, str]) -> None:
        """A request was served: whatever did not fit before it is over."""
        newest_s = self._rows.newest_s
        if features.session is not None and newest_s > -math.inf and self._now() - newest_s <= REST_S:
            self._rows.drop(_key(features, features.session, headers))

    def tell(self, fault: Fault, features: Features, headers: Mapping[str, str]) -> Fault:
        """What the client is told of this fault: an overflow too many is LOOP_STOPPED, all else is what it is."""
        most = self._limit().overflows_most
        if fault.kind is not Kind.CONTEXT_OVERFLOW or features.session is None or not most:
            return fault
        if self._times(_key(features, features.session, headers), features.prompt_tokens) <= most:
            return fault
        # No word of this may read as an overflow to any client, and no number as a status that is worth asking again.
        return Fault(
            kind=Kind.LOOP_STOPPED,
            message="what this session sends still does not fit its model, although it was asked to shorten it again and again: "
            "it runs in circles and was stopped; begin a new one, ask for a model that takes more, offer fewer tools, or raise "
            "`sessions.overflows_most`",
        )

    def _times(self, key: _Key, tokens: int) -> int:
        """How many overflows there were in a row, with this one."""
        now_s = self._now()
        row = self._rows.get(key)
        if row is None or not 0 <= now_s - row.last_s <= REST_S:
            row = OverflowRow(tokens, 1, now_s)
        elif tokens <= row.shortest * GETS_SOMEWHERE:
            row = OverflowRow(tokens, row.times, now_s)
        else:
            row = OverflowRow(row.shortest, row.times + 1, now_s)
        self._rows.put(key, row)
        return row.times


def _key(features: Features, session: str, headers: Mapping[str, str]) -> _Key:
    return features.caller.key, features.caller.user, session, part_of(headers), lane_of(features)
