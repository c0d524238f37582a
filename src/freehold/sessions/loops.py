"""Stops a session that asks the same again and again, or far faster than anybody works: an agent that runs in circles.

Agents have been seen to send a history that no longer fits two thousand times a minute, and one request hundreds of times
because an answer lacked a word. Nobody waits for those answers, and some are paid for.

Promised: a session is its caller's, so nobody stops another's; memory is constant, and no text is kept, only hashes under a key
of this process; an ordinary turn costs a look-up, because a request is hashed only where the one before was as long. Not done:
sharing these counts between processes (overflows may be), requests without a session, and judging what is asked
(`freehold.routing.repeats` judges answers).
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from blake3 import blake3

from freehold.fault import Kind, faulty
from freehold.features import Caller, Features
from freehold.sessions.overflows import OverflowLimit, Overflows, Rows
from freehold.wire.codec import Envelope

SPAN_S = 60.0
"""What counts as again: so long after the last time. And what rates are counted in."""
MOST_SESSIONS = 10_000
MOST_REQUESTS = 4
"""Of a session: an agent has a few conversations at a time."""

_CONVERSATIONS = ("messages", "input", "prompt")


class LoopLimits(OverflowLimit, Protocol):
    """How often is too often. 0: never."""

    @property
    def same_request_most(self) -> int:
        """The same request of one session, each within a minute of the one before."""

    @property
    def requests_per_minute(self) -> int:
        """Requests of one session, whatever they ask."""


class _Repeated:
    """A request of a session: how long it is, what it is, how often it came."""

    __slots__ = ("digest", "last_s", "size", "times")

    def __init__(self, size: int, now_s: float) -> None:
        self.size = size
        self.digest: int | None = None
        """None: nothing of this length came before, so nothing had to be told apart."""
        self.times = 1
        self.last_s = now_s


class _Session:
    __slots__ = ("in_minute", "minute_s", "requests")

    def __init__(self, now_s: float) -> None:
        self.requests: list[_Repeated] = []
        self.minute_s = now_s
        self.in_minute = 0


class Loops:
    """What sessions asked lately. `now` is a monotonic clock in seconds; `key` is 32 random bytes of this process."""

    def __init__(
        self, key: bytes, now: Callable[[], float], limits: Callable[[], LoopLimits], overflows: Rows | None = None
    ) -> None:
        self._key = key
        self._now = now
        self._limits = limits
        self._sessions: OrderedDict[tuple[str, str, str], _Session] = OrderedDict()
        self.overflows = Overflows(now, limits, overflows)
        """What did not fit lately, and is refused otherwise when shortening does not help."""
        self._digest: Callable[[bytes], int] = hash if sys.flags.hash_randomization else self._blake3
        """As `routing.features.FactsCache.digest`."""

    def __len__(self) -> int:
        return len(self._sessions)

    def admit(self, features: Features, envelope: Envelope) -> None:
        """Count a request. Raises FaultError(LOOP_STOPPED)."""
        if features.session is None:
            return
        limits = self._limits()
        same_most, per_minute = limits.same_request_most, limits.requests_per_minute
        if not same_most and not per_minute:
            return
        now_s = self._now()
        session = self._session(features.caller, features.session, now_s)
        if per_minute and _count(session, now_s) > per_minute:
            raise faulty(
                Kind.LOOP_STOPPED,
                f"this session sent over {per_minute} requests within a minute: it runs in circles and was stopped; "
                "start it anew, or raise `sessions.requests_per_minute`",
            )
        if same_most and self._times(session, features, envelope, now_s) > same_most:
            raise faulty(
                Kind.LOOP_STOPPED,
                f"this session sent the same request over {same_most} times: it runs in circles and was stopped; "
                "start it anew, or raise `sessions.same_request_most`",
            )

    def _session(self, caller: Caller, name: str, now_s: float) -> _Session:
        key = (caller.key, caller.user, name)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session(now_s)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(key)
        return session

    def _times(self, session: _Session, features: Features, envelope: Envelope, now_s: float) -> int:
        """How often the request came now."""
        size = len(envelope.body)
        one = next((one for one in session.requests if one.size == size), None)
        if one is None:
            if len(session.requests) >= MOST_REQUESTS:
                del session.requests[0]
            session.requests.append(_Repeated(size, now_s))
            return 1
        session.requests.remove(one)
        session.requests.append(one)  # the newest stand last
        digest = self._digest(_told_apart_by(features, envelope))
        if one.digest == digest and now_s - one.last_s <= SPAN_S:
            one.times += 1
        else:
            one.digest, one.times = digest, 1
        one.last_s = now_s
        return one.times

    def _blake3(self, data: bytes) -> int:
        return int.from_bytes(blake3(data, key=self._key).digest(8), "big")


def _count(session: _Session, now_s: float) -> int:
    if now_s - session.minute_s > SPAN_S:
        session.minute_s, session.in_minute = now_s, 0
    session.in_minute += 1
    return session.in_minute


def _told_apart_by(features: Features, envelope: Envelope) -> bytes:
    """The whole body; of Claude Code's the conversation, since its system prompt changes with every request (`wire.steady`)."""
    if features.agent == "claude-code":
        for field in _CONVERSATIONS:
            if (raw := envelope.top.get(field)) is not None:
                return bytes(raw)
    return envelope.body
