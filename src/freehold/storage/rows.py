"""Records as rows and back.

Promised: `from_row(to_row(record)) == record`, exactly. A row's columns are the record's own fields, with `usage`
spread over columns that SQL can sum and the structured fields as JSON text. Not done here: SQL; this module knows
no database and needs no import of one.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Literal, TypeVar

import msgspec

from freehold.chat import Usage, UsageBasis
from freehold.features import Features
from freehold.record import AttemptRecord, DecisionRecord, PlannedStep, Rejected, RequestRecord, Verdict

RowKind = Literal["requests", "attempts", "decisions", "policies"]
"""What a row is, by the name of its table."""
Cell = str | int | float | None
Row = tuple[Cell, ...]


class PolicyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that decisions were made with, stored once, so that they can be computed again."""

    version: str
    source: str
    """The policy's JSON."""
    first_used_ms: int


Record = RequestRecord | AttemptRecord | DecisionRecord | PolicyRecord

RECORD_TYPES: dict[RowKind, type[Record]] = {
    "requests": RequestRecord,
    "attempts": AttemptRecord,
    "decisions": DecisionRecord,
    "policies": PolicyRecord,
}

USAGE_COLUMNS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_basis",
)
WRITTEN = "written_ms"
"""When the row was written: the last column of every table that is followed."""


def _plain(record: type[msgspec.Struct], *, but: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in record.__struct_fields__ if name not in but)


_REQUEST_PLAIN = _plain(RequestRecord, but=("usage",))
_ATTEMPT_PLAIN = _plain(AttemptRecord, but=("edits", "verdicts", "usage"))
_DECISION_PLAIN = _plain(DecisionRecord, but=("features", "situation", "steps", "rejected"))

COLUMNS: dict[RowKind, tuple[str, ...]] = {
    "requests": (*_REQUEST_PLAIN, *USAGE_COLUMNS, WRITTEN),
    "attempts": (*_ATTEMPT_PLAIN, "edits", "verdicts", *USAGE_COLUMNS, WRITTEN),
    "decisions": (*_DECISION_PLAIN, "features", "situation", "steps", "rejected", WRITTEN),
    "policies": PolicyRecord.__struct_fields__,
}

_request_plain = attrgetter(*_REQUEST_PLAIN)
_attempt_plain = attrgetter(*_ATTEMPT_PLAIN)
_decision_plain = attrgetter(*_DECISION_PLAIN)
_policy_plain = attrgetter(*PolicyRecord.__struct_fields__)
_usage_cells = attrgetter("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "basis")
_NO_USAGE: Row = (None,) * len(USAGE_COLUMNS)
_encode = msgspec.json.Encoder().encode


def _json(values: object) -> str:
    return _encode(values).decode() if values else "[]"


def _request_row(record: RequestRecord, written_ms: int) -> Row:
    usage = record.usage
    row: Row = (*_request_plain(record), *(_NO_USAGE if usage is None else _usage_cells(usage)), written_ms)
    return row


def _attempt_row(record: AttemptRecord, written_ms: int) -> Row:
    usage = record.usage
    return (
        *_attempt_plain(record),
        _json(record.edits),
        _json(record.verdicts),
        *(_NO_USAGE if usage is None else _usage_cells(usage)),
        written_ms,
    )


def _decision_row(record: DecisionRecord, written_ms: int) -> Row:
    return (
        *_decision_plain(record),
        _encode(record.features).decode(),
        str(record.situation, "utf-8"),
        _json(record.steps),
        _json(record.rejected),
        written_ms,
    )


def _policy_row(record: PolicyRecord, _written_ms: int) -> Row:
    row: Row = _policy_plain(record)
    return row


TO_ROW: dict[RowKind, Callable[..., Row]] = {
    "requests": _request_row,
    "attempts": _attempt_row,
    "decisions": _decision_row,
    "policies": _policy_row,
}
"""By kind: `(record, written_ms) -> row`, its cells in the order of `COLUMNS`."""

_features = msgspec.json.Decoder(Features).decode
_steps = msgspec.json.Decoder(tuple[PlannedStep, ...]).decode
_rejected = msgspec.json.Decoder(tuple[Rejected, ...]).decode
_edits = msgspec.json.Decoder(tuple[str, ...]).decode
_verdicts = msgspec.json.Decoder(tuple[Verdict, ...]).decode


class _UsageCells(msgspec.Struct):
    """The usage columns as they come out of a row."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_basis: UsageBasis | None


_Stored = TypeVar("_Stored", bound=msgspec.Struct)


def _usage(cells: Mapping[str, object]) -> Usage | None:
    if cells["usage_basis"] is None:
        return None
    named = {name: cells[name] for name in USAGE_COLUMNS[:-1]}
    return msgspec.convert({**named, "basis": cells["usage_basis"]}, Usage)


def _whole(record: type[_Stored], cells: Mapping[str, object], plain: tuple[str, ...], **rest: object) -> _Stored:
    """The record, its fields checked against their types: a row that was tampered with is an error, not a guess."""
    return msgspec.convert({**{name: cells[name] for name in plain}, **rest}, record, strict=False)


def request_record(cells: Mapping[str, object]) -> RequestRecord:
    """A row of `requests`, by column name, as the record it was made from."""
    return _whole(RequestRecord, cells, _REQUEST_PLAIN, usage=_usage(cells))


def attempt_record(cells: Mapping[str, object]) -> AttemptRecord:
    """A row of `attempts`, by column name, as the record it was made from."""
    return _whole(
        AttemptRecord,
        cells,
        _ATTEMPT_PLAIN,
        edits=_edits(str(cells["edits"])),
        verdicts=_verdicts(str(cells["verdicts"])),
        usage=_usage(cells),
    )


def decision_record(cells: Mapping[str, object]) -> DecisionRecord:
    """A row of `decisions`, by column name, as the record it was made from."""
    return _whole(
        DecisionRecord,
        cells,
        _DECISION_PLAIN,
        features=_features(str(cells["features"])),
        situation=msgspec.Raw(str(cells["situation"]).encode()),
        steps=_steps(str(cells["steps"])),
        rejected=_rejected(str(cells["rejected"])),
    )
