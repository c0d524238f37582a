"""Final rows for requests whose process was killed before it wrote them: made afterwards from what was durable.

Promised: a request with a decision, an attempt or a lapsed reservation that is handed to `finish_rows` has exactly one final
row once that is done, and a row that is there is never touched; the lock of writing is taken for a few rows at a time, so
that no reservation waits for it long. What the killed process alone knew (its own share of the time, what the client saw of
a stream) is not made up. Not done: telling whose process is gone (`processes`). Bounded: the newest `LOOKED_AT` of each
kind. Imports SQLAlchemy.
"""

from collections.abc import Iterable, Mapping
from itertools import islice, zip_longest

import msgspec
from sqlalchemy import Connection, Engine, Select, Table, exists, select
from sqlalchemy.exc import DBAPIError

from freehold.fault import Kind
from freehold.features import Caller
from freehold.record import AttemptRecord, CostBasis, DecisionRecord, Outcome, RequestRecord
from freehold.storage.engine import insert_once
from freehold.storage.rows import COLUMNS, TO_ROW, attempt_record, decision_record
from freehold.storage.schema import attempts, decisions, money_flags, requests
from freehold.storage.store import StoreUnavailableError

LOOKED_AT = 100_000
TOGETHER = 64
"""Rows in one transaction."""
SAYS = "the server was killed before this request ended; what is known of it was written afterwards"
_NOBODY = Caller()


class _Lapsed(msgspec.Struct):
    """What lapsed reservations say of one request, those that left no row: an older version made them."""

    nano_usd: int = 0
    attempts: int = 0


def left_open(engine: Engine) -> frozenset[str]:
    """Requests of which something is written and no final row: under way, or left by a process that is gone."""
    try:
        with engine.connect() as connection:
            missing = {one for one in _lapsed(connection) if not _has_row(connection, one)}
            for table in (decisions, attempts):
                missing.update(_without_row(connection, table))
            return frozenset(missing)
    except DBAPIError as error:
        raise StoreUnavailableError(f"requests without a final row cannot be read: {type(error).__name__}") from error


def finish_rows(engine: Engine, request_ids: Iterable[str]) -> int:
    """Write the final rows of these requests, where they are missing. Gives how many requests those were."""
    left, count = iter(sorted(request_ids)), 0
    try:
        with engine.connect() as connection:
            lapsed = _lapsed(connection)
        while ids := list(islice(left, TOGETHER)):
            with engine.begin() as connection:
                rows = [_final(connection, one, lapsed.get(one, {})) for one in ids]
                cells = [
                    dict(zip_longest(COLUMNS["requests"], TO_ROW["requests"](row))) for row in rows
                ]  # all of them: many at once
                connection.execute(insert_once(requests, engine), cells)
            count += len(ids)
    except DBAPIError as error:
        raise StoreUnavailableError(f"final rows cannot be written: {type(error).__name__}") from error
    return count


def _without_row(connection: Connection, table: Table) -> set[str]:
    """Of the newest ids in that table, those without a final row."""
    ids = table.c.request_id
    newest = select(ids).order_by(ids.desc()).limit(LOOKED_AT).subquery()
    wanted = select(newest.c.request_id).where(~exists().where(requests.c.request_id == newest.c.request_id)).distinct()
    return {row[0] for row in connection.execute(wanted)}


def _has_row(connection: Connection, request_id: str) -> bool:
    return connection.execute(select(requests.c.request_id).where(requests.c.request_id == request_id)).first() is not None


def _lapsed(connection: Connection) -> dict[str, dict[str, int]]:
    """By request and attempt, what its lapsed reservations were charged. Each account of money has the same sum of an attempt."""
    by_attempt: dict[str, int] = {}
    wanted = select(money_flags.c.attempt_id, money_flags.c.account, money_flags.c.spent).where(money_flags.c.flag == "lapsed")
    for attempt_id, account, spent in connection.execute(wanted.order_by(money_flags.c.attempt_id.desc()).limit(LOOKED_AT)):
        is_money = account.split("/", 4)[3:4] == ["usd"]
        by_attempt[attempt_id] = max(by_attempt.get(attempt_id, 0), spent if is_money else 0)
    found: dict[str, dict[str, int]] = {}
    for attempt_id, nano_usd in by_attempt.items():
        request_id, _, number = attempt_id.rpartition(".")
        found.setdefault(request_id, {})[number] = nano_usd
    return found


def _final(connection: Connection, request_id: str, lapsed: Mapping[str, int]) -> RequestRecord:
    decided = _cells(connection, select(decisions).where(decisions.c.request_id == request_id))
    tried = _cells(connection, select(attempts).where(attempts.c.request_id == request_id).order_by(attempts.c.number))
    decision = decision_record(decided[0]) if decided else None
    written = {str(cells["number"]) for cells in tried}
    rest = [nano_usd for number, nano_usd in lapsed.items() if number not in written]
    return _record(request_id, decision, [attempt_record(cells) for cells in tried], _Lapsed(sum(rest), len(rest)))


def _cells(connection: Connection, wanted: Select[tuple[object, ...]]) -> list[dict[str, object]]:
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _record(request_id: str, decision: DecisionRecord | None, tried: list[AttemptRecord], lapsed: _Lapsed) -> RequestRecord:
    features = decision.features if decision is not None else None
    caller = features.caller if features is not None else _NOBODY
    last = tried[-1] if tried else None
    served = last is not None and last.end == "served" and not lapsed.attempts
    outcome: Outcome = "served" if served else "failed"
    at_ms = decision.at_ms if decision is not None else last.started_ms if last is not None else 0
    ended_ms = max((one.started_ms + one.duration_ms for one in tried), default=float(at_ms))
    cost, basis = _cost(tried, lapsed)
    return RequestRecord(
        request_id=request_id,
        at_ms=at_ms,
        operation=features.operation if features is not None else "unknown",
        wire_format=features.wire_format if features is not None else None,
        caller_key=caller.key,
        caller_user=caller.user,
        caller_team=caller.team,
        session=features.session if features is not None else None,
        agent=features.agent if features is not None else None,
        asked_model=features.asked_model if features is not None else "",
        task=features.task.value if features is not None else "",
        label=features.label.value if features is not None else "restricted",
        stream=features.stream if features is not None else False,
        policy_version=decision.policy_version if decision is not None else "",
        outcome=outcome,
        status=200 if served else 500,
        fault=None if served else Kind.INTERNAL.value,
        fault_message=None if served else SAYS,
        deployment=last.deployment if last is not None and served else None,
        runtime=last.runtime if last is not None and served else None,
        egress=last.egress if last is not None and served else None,
        reason=SAYS,
        attempts=len(tried) + lapsed.attempts,
        prompt_tokens_counted=features.prompt_tokens if features is not None else 0,
        usage=last.usage if last is not None and served else None,
        cost_nano_usd=cost,
        cost_basis=basis,
        first_content_ms=None,
        duration_ms=max(ended_ms - at_ms, 0.0),
        overhead_ms=None,
    )


def _cost(tried: list[AttemptRecord], lapsed: _Lapsed) -> tuple[int | None, CostBasis]:
    """What its attempts cost; those that lapsed, what was reserved for them."""
    known = [one.cost_nano_usd for one in tried]
    if not tried and not lapsed.attempts:
        return 0, "free"
    if any(one is None for one in known):
        return None, "unknown"
    total = lapsed.nano_usd + sum(one for one in known if one is not None)
    is_estimate = lapsed.attempts or any(one.cost_basis == "estimated" for one in tried)
    return total, "estimated" if is_estimate else tried[-1].cost_basis
