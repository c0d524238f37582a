"""Who sent what class of data where: decisions, attempts and ends of requests as facts for an audit, oldest first.

Promised: no prompt, no answer, no text that a client or an upstream wrote beyond names (model, key, user); what detectors found is
counted by kind. Bounded memory, whatever the span. One moment of the store, as `ledger.queries`. Not done: chaining (`chain`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection, Engine, Table, select, union

from freehold.ledger.ids import PREFIX, RANDOM_BYTES, new_id
from freehold.ledger.queries import reading
from freehold.record import AttemptRecord, DecisionRecord, RequestRecord
from freehold.storage.rows import attempt_record, decision_record, request_record
from freehold.storage.schema import attempts, decisions, requests

Event = Literal["decision", "attempt", "request"]
REQUESTS_AT_ONCE = 500
_MS_LIMIT = 2**48
_TABLES = (requests, decisions, attempts)


def events(engine: Engine, *, since_ms: int, until_ms: int | None) -> Iterator[tuple[Event, dict[str, object]]]:
    """All of the requests that arrived in the span, by arrival: each one's decision, attempts and end, as far as they are written.

    `since_ms` is included, `until_ms` is not; None: up to now.
    """
    first = _first_id(since_ms)
    before = None if until_ms is None else _first_id(until_ms)
    last = ""
    with reading(engine) as connection:
        if connection is None:
            return
        while ids := _next_ids(connection, first, last, before):
            yield from _events_of(connection, ids)
            last = ids[-1]


def _next_ids(connection: Connection, first: str, last: str, before: str | None) -> Sequence[str]:
    """Behind `last`, of requests in any table: one that was killed has no end, and one that was turned away no decision."""
    wanted = []
    for table in _TABLES:
        column = table.c.request_id
        ids = select(column).where(column >= first, column > last).distinct().order_by(column).limit(REQUESTS_AT_ONCE)
        wanted.append(select((ids if before is None else ids.where(column < before)).subquery().c.request_id))
    found = union(*wanted).subquery().c.request_id
    return connection.execute(select(found).order_by(found).limit(REQUESTS_AT_ONCE)).scalars().all()


def _events_of(connection: Connection, ids: Sequence[str]) -> Iterator[tuple[Event, dict[str, object]]]:
    decided = {str(cells["request_id"]): cells for cells in _cells(connection, decisions, ids)}
    ended = {str(cells["request_id"]): cells for cells in _cells(connection, requests, ids)}
    tried: dict[str, list[AttemptRecord]] = {}
    for cells in _cells(connection, attempts, ids):
        record = attempt_record(cells)
        tried.setdefault(record.request_id, []).append(record)
    for request_id in ids:
        if request_id in decided:
            yield "decision", _of_decision(decision_record(decided[request_id]))
        for attempt in sorted(tried.get(request_id, ()), key=lambda one: one.number):
            yield "attempt", _of_attempt(attempt)
        if request_id in ended:
            yield "request", _of_request(request_record(ended[request_id]))


def _of_decision(record: DecisionRecord) -> dict[str, object]:
    features = record.features
    return {
        "request": record.request_id,
        "at_ms": record.at_ms,
        "policy": record.policy_version,
        "rule": record.rule,
        "key": features.caller.key,
        "user": features.caller.user,
        "team": features.caller.team,
        "operation": features.operation,
        "asked_model": features.asked_model,
        "label": features.label.value,
        "label_reason": features.label_reason,
        "findings": dict(sorted(Counter(finding.kind for finding in features.findings).items())),
        "ceiling": features.ceiling.value,
        "prompt_tokens": features.prompt_tokens,
        "steps": [step.deployment for step in record.steps],
        "rejected": [{"deployment": one.deployment, "rule": one.rule} for one in record.rejected],
    }


def _of_attempt(record: AttemptRecord) -> dict[str, object]:
    return {
        "request": record.request_id,
        "number": record.number,
        "at_ms": record.started_ms,
        "deployment": record.deployment,
        "runtime": record.runtime,
        "egress": record.egress,
        "sent_model": record.sent_model,
        "sent_bytes": record.sent_bytes,
        "end": record.end,
        "status": record.status,
        "fault": record.fault,
    }


def _of_request(record: RequestRecord) -> dict[str, object]:
    return {
        "request": record.request_id,
        "at_ms": record.at_ms,
        "key": record.caller_key,
        "user": record.caller_user,
        "team": record.caller_team,
        "operation": record.operation,
        "label": record.label,
        "policy": record.policy_version,
        "outcome": record.outcome,
        "status": record.status,
        "fault": record.fault,
        "deployment": record.deployment,
        "egress": record.egress,
        "attempts": record.attempts,
    }


def _cells(connection: Connection, table: Table, ids: Sequence[str]) -> Sequence[Mapping[str, object]]:
    rows = connection.execute(select(table).where(table.c.request_id.in_(ids)))
    return [dict(row) for row in rows.mappings()]


def _first_id(at_ms: int) -> str:
    """The least request id of that millisecond."""
    return new_id(PREFIX, min(max(at_ms, 0), _MS_LIMIT - 1), bytes(RANDOM_BYTES))
