"""The ledger's reading side: rows as the records they were made from. For the command line and the dashboard.

Works on an engine of its own (`storage.engine.open_engine(url, read_only=True)`), never on a server's loop. A store
without tables yet reads as empty. Raises StoreError where the store is locked or gone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, Engine, Select, func, select, union
from sqlalchemy.exc import DBAPIError

from freehold.ledger.ids import PREFIX, RANDOM_BYTES, new_id
from freehold.record import AttemptRecord, DecisionRecord, Outcome, RequestRecord
from freehold.storage.engine import read_version
from freehold.storage.rows import attempt_record, decision_record, request_record
from freehold.storage.schema import attempts, decisions, policies, requests
from freehold.storage.store import StoreUnavailableError, judge

RequestView = RequestRecord
"""A request in a list is its final row, whole."""
_LAST_OF_ALPHABET = "z" * 26
_SLACK_MS = 60_000
"""An id and `at_ms` are made one after the other; so far apart they never are, whatever the clock did in between."""
_MS_LIMIT = 2**48
"""Of the time within an id."""
_OVERLAP = 4_096
"""Rows that several processes write at once may become visible a little after younger ones did, on PostgreSQL;
`follow` looks back this many places, more than two processes write at once."""


class RequestDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that is recorded of a request. One that is still running may have a decision and no final row yet."""

    request: RequestRecord | None
    decision: DecisionRecord | None
    attempts: tuple[AttemptRecord, ...]
    policy_source: str | None
    """JSON of the policy that decided."""


class Place(msgspec.Struct, frozen=True):
    """How far `follow` has read."""

    place: int
    seen: frozenset[int] = frozenset()
    """Places within the overlap before that one, which were handed out already."""


class AmbiguousIdError(LookupError):
    """More than one request begins so; the message names some."""


def recent(
    engine: Engine,
    *,
    limit: int = 50,
    since_ms: int | None = None,
    until_ms: int | None = None,
    deployment: str | None = None,
    outcome: Outcome | None = None,
    session: str | None = None,
    task: str | None = None,
    label: str | None = None,
    user: str | None = None,
    runtime: str | None = None,
    egress: str | None = None,
    asked_model: str | None = None,
    fault: str | None = None,
) -> list[RequestView]:
    """The newest finished requests, newest first. `since_ms` is included, `until_ms` is not; None: any."""
    wanted = select(requests)
    if since_ms is not None:
        wanted = wanted.where(requests.c.at_ms >= since_ms, requests.c.request_id >= _earliest_id(since_ms - _SLACK_MS))
    if until_ms is not None:
        wanted = wanted.where(requests.c.at_ms < until_ms, requests.c.request_id < _earliest_id(until_ms + _SLACK_MS))
    equal = {
        requests.c.deployment: deployment,
        requests.c.outcome: outcome,
        requests.c.session: session,
        requests.c.task: task,
        requests.c.label: label,
        requests.c.caller_user: user,
        requests.c.runtime: runtime,
        requests.c.egress: egress,
        requests.c.asked_model: asked_model,
        requests.c.fault: fault,
    }
    for column, value in equal.items():
        if value is not None:
            wanted = wanted.where(column == value)
    wanted = wanted.order_by(requests.c.request_id.desc()).limit(limit)
    with reading(engine) as connection:
        if connection is None:
            return []
        return [request_record(cells) for cells in _cells(connection, wanted)]


def request(engine: Engine, request_id: str) -> RequestDetail | None:
    """All of one request, by its id or an unmistakable beginning of it, `req_` or not. None: there is none.

    Raises AmbiguousIdError where several begin so.
    """
    with reading(engine) as connection:
        found = None if connection is None else _whole_id(connection, request_id)
        if connection is None or found is None:
            return None
        finals = _cells(connection, select(requests).where(requests.c.request_id == found))
        decided = _cells(connection, select(decisions).where(decisions.c.request_id == found))
        tried = _cells(connection, select(attempts).where(attempts.c.request_id == found).order_by(attempts.c.number))
        decision = decision_record(decided[0]) if decided else None
        version = decision.policy_version if decision else finals[0]["policy_version"] if finals else None
        source = connection.execute(select(policies.c.source).where(policies.c.version == version)).scalar()
    return RequestDetail(
        request=request_record(finals[0]) if finals else None,
        decision=decision,
        attempts=tuple(attempt_record(cells) for cells in tried),
        policy_source=source,
    )


def policy_source(engine: Engine, version: str) -> str | None:
    """JSON of the policy of this version, where it ever decided something here."""
    with reading(engine) as connection:
        if connection is None:
            return None
        return connection.execute(select(policies.c.source).where(policies.c.version == version)).scalar()


def follow(engine: Engine, after: Place | None = None, *, limit: int = 1000) -> tuple[list[RequestView], Place]:
    """What was written since `after`, oldest first, each request once; and how far that read. None: from now on."""
    with reading(engine) as connection:
        if connection is None:
            return [], after or Place(0)
        if after is None:
            newest = connection.execute(select(func.max(requests.c.place))).scalar() or 0
            return [], Place(newest, frozenset(_places_from(connection, newest - _OVERLAP)))
        listed = _places_from(connection, after.place - _OVERLAP)
        fresh = [place for place in listed if place not in after.seen][:limit]
        if not fresh:
            return [], after
        wanted = select(requests).where(requests.c.place.in_(fresh)).order_by(requests.c.place)
        rows = [request_record(cells) for cells in _cells(connection, wanted)]
    reached = max(after.place, fresh[-1])
    seen = after.seen.union(fresh)
    return rows, Place(reached, frozenset(place for place in seen if place >= reached - _OVERLAP))


def _places_from(connection: Connection, first: int) -> Sequence[int]:
    return (
        connection.execute(select(requests.c.place).where(requests.c.place >= first).order_by(requests.c.place)).scalars().all()
    )


def _earliest_id(at_ms: int) -> str:
    """The least request id of that millisecond."""
    return new_id(PREFIX, min(max(at_ms, 0), _MS_LIMIT - 1), bytes(RANDOM_BYTES))


def _whole_id(connection: Connection, asked: str) -> str | None:
    """The one request id that is `asked` or begins so, with a final row or without."""
    start = asked if asked.startswith(PREFIX) else PREFIX + asked
    begins = [
        select(column).where(column >= start, column <= start + _LAST_OF_ALPHABET, column.startswith(start, autoescape=True))
        for column in (requests.c.request_id, decisions.c.request_id)
    ]
    found = sorted(set(connection.execute(union(*begins).limit(5)).scalars()))
    if start in found:
        return start
    if len(found) > 1:
        raise AmbiguousIdError(f"{asked!r} begins several requests, among them {', '.join(found)}; give more of it")
    return found[0] if found else None


@contextmanager
def reading(engine: Engine) -> Iterator[Connection | None]:
    """A connection that sees one moment of a store this code can read. None: it has no tables yet."""
    version = read_version(engine)
    judge(version, engine.url.render_as_string(hide_password=True))
    if version is None:
        yield None
        return
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise StoreUnavailableError(f"the store cannot be read: {error.orig}") from error


def _cells(connection: Connection, wanted: Select[tuple[object, ...]]) -> Sequence[Mapping[str, object]]:
    return [dict(row._mapping) for row in connection.execute(wanted)]  # noqa: SLF001 - SQLAlchemy's public name for it
