"""Records as rows and back.

Promised: `from_row(to_row(record)) == record`, exactly. A row's columns are the record's own fields, with `usage`
spread over columns that SQL can sum and the structured fields as JSON text. What a row costs is its cells, one by one,
even those that are NULL: so the columns that are nearly always NULL stand last, and a row that has none of them leaves
them out (`SHAPES`). Not done here: SQL; this module knows no database and needs no import of one.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Literal, TypeVar

import msgspec

from freehold.chat import Usage
from freehold.features import Features
from freehold.record import AttemptRecord, DecisionRecord, PlannedStep, Rejected, RequestRecord, Verdict

RowKind = Literal["requests", "attempts", "decisions", "policies"]
"""What a row is, by the name of its table."""
Cell = str | int | float | None
Row = tuple[Cell, ...]


LARGEST = 2**63 - 1
"""The largest integer that a column takes."""


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


class _Decided(msgspec.Struct, frozen=True):
    """The structured part of a decision: one JSON text."""

    features: Features
    situation: msgspec.Raw
    steps: tuple[PlannedStep, ...]
    rejected: tuple[Rejected, ...]


def _plain(record: type[msgspec.Struct], *, but: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in record.__struct_fields__ if name not in but)


RARE_USAGE_COLUMNS = ("cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens")
"""Shares that few runtimes report: NULL where they are 0."""
_REQUEST_RARE = ("caller_team", "session", "agent", "fault", "fault_message")
_ATTEMPT_RARE = ("fingerprint", "fault", "fault_message", "images", "audio_s", "price_version")
_REQUEST_PLAIN = _plain(RequestRecord, but=("usage", *_REQUEST_RARE))
_ATTEMPT_PLAIN = _plain(AttemptRecord, but=("attempt_id", "edits", "verdicts", "usage", "sent_bytes", *_ATTEMPT_RARE))
_DECISION_PLAIN = _plain(DecisionRecord, but=_Decided.__struct_fields__)

COLUMNS: dict[RowKind, tuple[str, ...]] = {
    "requests": (*_REQUEST_PLAIN, *USAGE_COLUMNS, *_REQUEST_RARE, *RARE_USAGE_COLUMNS),
    "attempts": (*_ATTEMPT_PLAIN, "edits", *USAGE_COLUMNS, *_ATTEMPT_RARE, "verdicts", *RARE_USAGE_COLUMNS, "sent_bytes"),
    "decisions": (*_DECISION_PLAIN, "decided"),
    "policies": PolicyRecord.__struct_fields__,
}
_ATTEMPT_USUAL = (*_ATTEMPT_PLAIN, "edits", *USAGE_COLUMNS)
SHAPES: dict[RowKind, tuple[tuple[str, ...], ...]] = {
    "requests": (COLUMNS["requests"], (*_REQUEST_PLAIN, *USAGE_COLUMNS)),
    "attempts": (COLUMNS["attempts"], (*_ATTEMPT_USUAL, "sent_bytes"), _ATTEMPT_USUAL),
    "decisions": (COLUMNS["decisions"],),
    "policies": (COLUMNS["policies"],),
}
"""The columns that a row may hold, no two of a kind with as many; the rest are NULL."""

_request_plain = attrgetter(*_REQUEST_PLAIN)
_request_rare = attrgetter(*_REQUEST_RARE)
_attempt_plain = attrgetter(*_ATTEMPT_PLAIN)
_attempt_rare = attrgetter(*_ATTEMPT_RARE)
_decision_plain = attrgetter(*_DECISION_PLAIN)
_policy_plain = attrgetter(*PolicyRecord.__struct_fields__)
_usage_cells = attrgetter("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "basis")
_rare_usage = attrgetter(*RARE_USAGE_COLUMNS)
_NO_RARE_USAGE: Row = (None,) * len(RARE_USAGE_COLUMNS)
_NONE_COUNTED: Row = (0,) * len(RARE_USAGE_COLUMNS)
_NO_USAGE: Row = (None,) * len(USAGE_COLUMNS)
_NO_REQUEST_RARE: Row = (None,) * len(_REQUEST_RARE)
_NO_ATTEMPT_RARE: Row = (None,) * len(_ATTEMPT_RARE)
_encode = msgspec.json.Encoder().encode


def _json(values: object) -> str:
    return _encode(values).decode() if values else "[]"


def _rare_usage_cells(usage: Usage | None) -> Row:
    counts: Row = _NONE_COUNTED if usage is None else _rare_usage(usage)
    return _NO_RARE_USAGE if counts == _NONE_COUNTED else tuple(count or None for count in counts)


def _request_row(record: RequestRecord) -> Row:
    usage = record.usage
    row: Row = (*_request_plain(record), *(_NO_USAGE if usage is None else _usage_cells(usage)))
    rare: Row = _request_rare(record)
    shares = _rare_usage_cells(usage)
    return row if rare == _NO_REQUEST_RARE and shares == _NO_RARE_USAGE else (*row, *rare, *shares)


def _attempt_row(record: AttemptRecord) -> Row:
    usage, verdicts = record.usage, record.verdicts
    row: Row = (*_attempt_plain(record), _json(record.edits), *(_NO_USAGE if usage is None else _usage_cells(usage)))
    rare: Row = _attempt_rare(record)
    shares = _rare_usage_cells(usage)
    if rare == _NO_ATTEMPT_RARE and not verdicts and shares == _NO_RARE_USAGE:
        return row if record.sent_bytes is None else (*row, record.sent_bytes)
    return (*row, *rare, _json(verdicts) if verdicts else None, *shares, record.sent_bytes)


def _decision_row(record: DecisionRecord) -> Row:
    decided = _Decided(record.features, record.situation, record.steps, record.rejected)
    return (*_decision_plain(record), _encode(decided).decode())


def _policy_row(record: PolicyRecord) -> Row:
    row: Row = _policy_plain(record)
    return row


TO_ROW: dict[RowKind, Callable[..., Row]] = {
    "requests": _request_row,
    "attempts": _attempt_row,
    "decisions": _decision_row,
    "policies": _policy_row,
}
"""By kind: `(record) -> row`, its cells those of one of `SHAPES`."""

_decided = msgspec.json.Decoder(_Decided).decode
_edits = msgspec.json.Decoder(tuple[str, ...]).decode
_verdicts = msgspec.json.Decoder(tuple[Verdict, ...]).decode


_Stored = TypeVar("_Stored", bound=msgspec.Struct)


def _usage(cells: Mapping[str, object]) -> Usage | None:
    if cells["usage_basis"] is None:
        return None
    named = {name: cells[name] for name in USAGE_COLUMNS[:-1]}
    shares = {name: cells[name] or 0 for name in RARE_USAGE_COLUMNS}
    return msgspec.convert({**named, **shares, "basis": cells["usage_basis"]}, Usage)


def _whole(record: type[_Stored], cells: Mapping[str, object], plain: tuple[str, ...], **rest: object) -> _Stored:
    """The record, its fields checked against their types: a row that was tampered with is an error, not a guess."""
    return msgspec.convert({**{name: cells[name] for name in plain}, **rest}, record, strict=False)


def request_record(cells: Mapping[str, object]) -> RequestRecord:
    """A row of `requests`, by column name, as the record it was made from."""
    return _whole(RequestRecord, cells, (*_REQUEST_PLAIN, *_REQUEST_RARE), usage=_usage(cells))


def attempt_record(cells: Mapping[str, object]) -> AttemptRecord:
    """A row of `attempts`, by column name, as the record it was made from."""
    return _whole(
        AttemptRecord,
        cells,
        (*_ATTEMPT_PLAIN, *_ATTEMPT_RARE, "sent_bytes"),
        attempt_id=f"{cells['request_id']}.{cells['number']}",
        edits=_edits(str(cells["edits"])),
        verdicts=() if cells["verdicts"] is None else _verdicts(str(cells["verdicts"])),
        usage=_usage(cells),
    )


def decision_record(cells: Mapping[str, object]) -> DecisionRecord:
    """A row of `decisions`, by column name, as the record it was made from."""
    decided = _decided(str(cells["decided"]))
    return _whole(
        DecisionRecord,
        cells,
        _DECISION_PLAIN,
        features=decided.features,
        situation=msgspec.Raw(bytes(decided.situation)),  # a copy: the decoder's own points into the whole text
        steps=decided.steps,
        rejected=decided.rejected,
    )


def mended_cell(cell: Cell) -> Cell:
    """The value itself where a database takes it, else the nearest one that it does."""
    match cell:
        case str():
            return cell.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
        case int():
            return max(-LARGEST, min(cell, LARGEST))
        case _:
            return cell
