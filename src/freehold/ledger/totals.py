"""What was spent: sums over the attempts of a ledger. For the command line and the dashboard.

An attempt is paid for whether or not its answer was used, so attempts are summed, not requests. Unknown costs are counted
beside the sum and never part of it. Days are UTC days. Works on an engine of its own, as `ledger.queries`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Engine, Integer, String, and_, case, cast, func, not_, or_, select

from freehold.ledger.queries import reading
from freehold.record import SETTLED_AS_RESERVED
from freehold.storage.schema import attempts, requests

MS_PER_DAY = 86_400_000
By = Literal["day", "model", "runtime", "user", "session"]
_AS_RESERVED = and_(
    or_(attempts.c.cost_basis == "estimated", func.coalesce(attempts.c.usage_basis, "") == "estimated"),
    attempts.c.edits.contains(f'"{SETTLED_AS_RESERVED}"', autoescape=True),
)
"""The cheap conditions first: few rows have a text worth looking through."""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """One group. `group` has a value for each thing asked for: days since 1970-01-01, or names; None: it has none."""

    group: tuple[int | str | None, ...]
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    nano_usd: int
    """Of attempts with a known cost."""
    unpriced: int
    """Attempts whose cost is unknown."""
    estimated: int
    """Attempts whose usage, and so their cost, is an estimate."""
    as_reserved: int
    """Attempts whose cost or usage is not known, and which budgets charge what was reserved for them: so does the sum."""


def total(
    engine: Engine, by: Sequence[By], *, since_ms: int | None = None, until_ms: int | None = None, egress: str | None = None
) -> list[Total]:
    """Sums by one or several things, in their order. `since_ms` is included, `until_ms` is not."""
    groups: list[ColumnElement[int] | ColumnElement[str]] = [_group(one) for one in by]
    wanted = select(
        *groups,
        func.count(),
        *(
            func.coalesce(func.sum(column), 0)
            for column in (
                attempts.c.input_tokens,
                attempts.c.output_tokens,
                attempts.c.cached_tokens,
                attempts.c.cache_write_tokens,
                attempts.c.cost_nano_usd,
                case((attempts.c.cost_nano_usd.is_(None), 1), else_=0),
                case((and_(attempts.c.usage_basis == "estimated", not_(_AS_RESERVED)), 1), else_=0),
                case((_AS_RESERVED, 1), else_=0),
            )
        ),
    ).select_from(attempts)
    if {"user", "session"} & set(by):
        wanted = wanted.outerjoin(requests, requests.c.request_id == attempts.c.request_id)
    if since_ms is not None:
        wanted = wanted.where(attempts.c.started_ms >= since_ms)
    if until_ms is not None:
        wanted = wanted.where(attempts.c.started_ms < until_ms)
    if egress is not None:
        wanted = wanted.where(attempts.c.egress == egress)
    with reading(engine) as connection:
        if connection is None:
            return []
        rows: list[Any] = list(connection.execute(wanted.group_by(*groups).order_by(*groups)))
    return [_total(tuple(row), len(groups)) for row in rows]


def _group(one: By) -> ColumnElement[int] | ColumnElement[str]:
    match one:
        case "day":
            return cast(attempts.c.started_ms // MS_PER_DAY, Integer)
        case "model":
            return cast(attempts.c.sent_model, String)
        case "runtime":
            return cast(attempts.c.runtime, String)
        case "user":
            return cast(requests.c.caller_user, String)
        case "session":
            return cast(requests.c.session, String)


def _total(row: tuple[int | str | None, ...], width: int) -> Total:
    counts = [int(cell or 0) for cell in row[width:]]
    return Total(
        group=row[:width],
        attempts=counts[0],
        input_tokens=counts[1],
        output_tokens=counts[2],
        cached_tokens=counts[3],
        cache_write_tokens=counts[4],
        nano_usd=counts[5],
        unpriced=counts[6],
        estimated=counts[7],
        as_reserved=counts[8],
    )
