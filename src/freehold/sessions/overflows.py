"""Ends the rounds of a client that shortens its conversation again and again and is told each time that it is too long.

A client that compacts takes an overflow for "shorten it and ask again". What it cannot shorten (its own prompt and tools, the
newest turn) may be too long by itself, and then it goes on without an end, each round a summary that somebody's machine writes.
Told something else than an overflow, every client reports it and stops.

Promised: only what would have been refused anyway is told otherwise, so nothing is stopped that fits; a conversation is its
caller's; each lane of a session, and each sub-agent, counts for itself; as long as a client gets somewhere, it is told the truth;
memory is constant. Not done: sharing between processes, and requests without a session.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from freehold.fault import Fault, Kind
from freehold.features import Features
from freehold.routing.agents import part_of
from freehold.sessions.sticky import lane_of

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


class _Row:
    """Overflows with nothing served between them."""

    __slots__ = ("last_s", "shortest", "times")

    def __init__(self, shortest: int, now_s: float) -> None:
        self.shortest = shortest
        """Tokens of the prompt."""
        self.times = 1
        self.last_s = now_s


class Overflows:
    """Which conversations do not fit, again and again. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float], limit: Callable[[], OverflowLimit]) -> None:
        self._now = now
        self._limit = limit
        self._rows: OrderedDict[_Key, _Row] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def fits(self, features: Features, headers: Mapping[str, str]) -> None:
        """A request was served: whatever did not fit before it is over."""
        if self._rows and features.session is not None:
            self._rows.pop(_key(features, features.session, headers), None)

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
        if row is None or now_s - row.last_s > REST_S:
            self._rows[key] = _Row(tokens, now_s)
            self._rows.move_to_end(key)
            if len(self._rows) > MOST_KEPT:
                self._rows.popitem(last=False)
            return 1
        self._rows.move_to_end(key)
        row.last_s = now_s
        if tokens <= row.shortest * GETS_SOMEWHERE:
            row.shortest = tokens
        else:
            row.times += 1
        return row.times


def _key(features: Features, session: str, headers: Mapping[str, str]) -> _Key:
    return features.caller.key, features.caller.user, session, part_of(headers), lane_of(features)
