"""The response cache: the very same request of the same caller, answered again without a call. A rule opts in.

Promised: an answer is found only by the caller it was made for, under the same label, ceiling, policy, rule and format,
and the same body but for how it is streamed; the key is a keyed hash over all of these, so nobody can aim at another's
entry, and whether one is there depends on the caller's own requests alone. Bounded in bytes, entries and time: room is
made by the oldest entry of whoever holds most. Only whole answers of served requests are kept: no fault, no cut, poor or
refused answer, none that ended for want of tokens, none above `LARGEST_BYTES`. In memory only.

Deliberately not done: joining requests that are under way, keeping answers across restarts, likeness of prompts.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec
from blake3 import blake3

from freehold.chat import Event, Reply, Usage, fold, unfold
from freehold.dispatch.answers import Answer
from freehold.dispatch.chat_attempt import PASSED_ON_HEADERS
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.verdicts import NOT_OF_COMPLETIONS
from freehold.fault import FaultError
from freehold.features import Caller, Label
from freehold.routing.judge import Evidence, judge

LARGEST_BYTES = 1024 * 1024
"""A longer answer is not kept, so that collecting one is bounded too."""
ENTRY_OVERHEAD_BYTES = 512
STREAMING_FIELDS = frozenset({"stream", "stream_options"})
"""They say how an answer is sent, not what it is."""
STATEFUL_FIELDS = frozenset({"conversation", "previous_response_id", "background", "thread", "container"})
"""A body with one of these means something else each time; nothing of it is kept."""
ENDED_WELL = frozenset({"stop", "stop_sequence", "tool_calls"})
CHECKS = ("empty", "refusal", "repeats")

Holder = tuple[str, str, str | None]


class Kept(msgspec.Struct, frozen=True):
    """An answer as it went out."""

    body: bytes
    """In the client's format."""
    streams: bool
    stream_options: bytes
    """As the client said them; b"" where it did not."""
    usage: Usage | None
    deployment: str
    request_id: str
    """Of the request it was made for, in the ledger."""
    until_s: float


class Place(msgspec.Struct, frozen=True):
    """Where the answer to a request is kept."""

    holder: Holder
    digest: bytes
    reads: bool
    """The client takes a kept answer."""


class AnswerCache:
    """What was answered. `now` is a monotonic clock in seconds, `key` 32 random bytes of this process."""

    def __init__(self, key: bytes, now: Callable[[], float], *, max_bytes: int, max_entries: int) -> None:
        self._key = key
        self._now = now
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: dict[Holder, OrderedDict[bytes, Kept]] = {}
        self._bytes: dict[Holder, int] = {}
        self.total_bytes = 0
        self.total_entries = 0

    def place(self, flight: ChatFlight) -> Place | None:
        """Where the answer to this request belongs; None: the rule, the label, the body or the client keeps it out."""
        plan, features = flight.plan, flight.features
        if plan.cache is None or features.redacted or (features.label is Label.RESTRICTED and not plan.cache.restricted):
            return None
        asked = _directives(flight.headers)
        top = flight.envelope.top
        if "no-store" in asked or not STATEFUL_FIELDS.isdisjoint(top):
            return None
        caller = features.caller
        digest = self._digest(flight, caller)
        return Place((caller.key, caller.user, caller.team), digest, reads="no-cache" not in asked)

    def find(self, place: Place, flight: ChatFlight) -> Kept | None:
        """The answer that is kept there, unless its time is over or a gate now blocks the deployment that made it."""
        entries = self._entries.get(place.holder)
        kept = None if entries is None else entries.get(place.digest)
        if kept is None or entries is None or not place.reads:
            return None
        if self._now() >= kept.until_s:
            self._drop(place.holder, place.digest)
            return None
        if any(one.deployment == kept.deployment and one.rule is not None for one in flight.plan.rejected):
            return None
        entries.move_to_end(place.digest)
        return kept

    def keep(self, place: Place, flight: ChatFlight, body: bytes, usage: Usage | None, deployment: str) -> None:
        """Keep an answer that went out whole, if it is one worth giving again."""
        assert flight.plan.cache is not None
        if len(body) > min(LARGEST_BYTES, self._max_bytes - ENTRY_OVERHEAD_BYTES) or not _is_good(flight, body):
            return
        self._drop(place.holder, place.digest)
        kept = Kept(
            body=body,
            streams=flight.envelope.stream,
            stream_options=_options(flight),
            usage=usage,
            deployment=deployment,
            request_id=flight.request_id,
            until_s=self._now() + flight.plan.cache.ttl_s,
        )
        self._entries.setdefault(place.holder, OrderedDict())[place.digest] = kept
        self._count(place.holder, kept, 1)
        while self.total_bytes > self._max_bytes or self.total_entries > self._max_entries:
            fullest = max(self._bytes, key=self._bytes.__getitem__)
            self._drop(fullest, next(iter(self._entries[fullest])))

    def _digest(self, flight: ChatFlight, caller: Caller) -> bytes:
        features, plan = flight.features, flight.plan
        words = (
            caller.key, caller.user, caller.team or "", features.label, plan.ceiling, flight.policy_version, plan.rule or "",
            flight.codec.FORMAT, flight.codec.PATH, features.operation, *(flight.headers.get(name, "") for name in PASSED_ON_HEADERS),
        )  # fmt: skip
        hasher = blake3(msgspec.json.encode(words), key=self._key)
        for field, value in flight.envelope.top.items():
            if field not in STREAMING_FIELDS:
                # Each piece behind its length: no two bodies run together into the same bytes.
                name = field.encode()
                hasher.update(b"%d:%d:" % (len(name), len(value)) + name + bytes(value))
        return hasher.digest()

    def _drop(self, holder: Holder, digest: bytes) -> None:
        entries = self._entries.get(holder)
        kept = None if entries is None else entries.pop(digest, None)
        if kept is None:
            return
        self._count(holder, kept, -1)
        if not entries:
            del self._entries[holder], self._bytes[holder]

    def _count(self, holder: Holder, kept: Kept, sign: int) -> None:
        size = sign * (len(kept.body) + ENTRY_OVERHEAD_BYTES)
        self._bytes[holder] = self._bytes.get(holder, 0) + size
        self.total_bytes += size
        self.total_entries += sign


class Copy:
    """The answer to one request, collected while it goes out."""

    def __init__(self, cache: AnswerCache, place: Place, flight: ChatFlight) -> None:
        self._cache = cache
        self._place = place
        self._flight = flight
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, data: bytes) -> None:
        """More of it went out."""
        self._size += len(data)
        if self._size <= LARGEST_BYTES:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def keep(self, answer: Answer) -> None:
        """All of it went out: keep it, unless a check found fault with it."""
        attempt = answer.attempt
        if self._size <= LARGEST_BYTES and not any(verdict.poor for verdict in attempt.verdicts):
            self._cache.keep(self._place, self._flight, b"".join(self._pieces), attempt.usage, answer.placed.id)


def _directives(headers: Mapping[str, str]) -> frozenset[str]:
    said = headers.get("cache-control")
    return frozenset(word.strip().lower() for word in said.split(",")) if said else frozenset()


def _options(flight: ChatFlight) -> bytes:
    return bytes(flight.envelope.top.get("stream_options", b""))


def _is_good(flight: ChatFlight, body: bytes) -> bool:
    """Whole, ended well, and by the checks that need no more than the answer neither empty nor a refusal."""
    try:
        reply = fold(_events(flight, body, streams=flight.envelope.stream))
    except FaultError:
        return False
    if not reply.choices or any(one.finish not in ENDED_WELL or one.refusal is not None for one in reply.choices):
        return False
    checks: tuple[str, ...] = CHECKS
    if flight.features.operation == "completion":
        checks = tuple(name for name in CHECKS if name not in NOT_OF_COMPLETIONS)
    return not any(verdict.poor for verdict in judge(Evidence(reply=reply), checks))


def replay(kept: Kept, flight: ChatFlight) -> bytes | None:
    """A kept answer as this request wants it: streamed or whole. None: its form cannot be changed, so it must be asked for."""
    streams, asked = flight.envelope.stream, flight.asked
    if kept.streams == streams and (not streams or kept.stream_options == _options(flight)):
        return kept.body
    try:
        reply = fold(_events(flight, kept.body, streams=kept.streams))
        if reply.usage is None and kept.usage is not None:
            reply = msgspec.structs.replace(reply, usage=kept.usage)
        return _stream(reply, flight) if streams else flight.codec.write_whole(reply, asked)
    except FaultError:
        return None


def _events(flight: ChatFlight, body: bytes, *, streams: bool) -> list[Event]:
    reader = flight.codec.reader()
    return [*reader.feed(body), *reader.end()] if streams else reader.whole(body)


def _stream(reply: Reply, flight: ChatFlight) -> bytes:
    writer = flight.codec.writer(flight.asked)
    return b"".join(map(writer.write, unfold(reply))) + writer.close()
