"""A ledger against an invoice, by day and model, and why they differ.

Each difference gets its causes, the certain ones first: attempts without a price, attempts that the ledger has at what was
reserved for them, tokens the ledger estimated, tokens that differ (calls that went past the gateway), cached tokens that
differ, a neighbouring day that makes up for it (time zone), and rounding, which can be no more than a nano-USD an attempt and
the invoice's own last digit. What is left has no cause here.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from freehold.costs.invoice import InvoiceLine

Cause = Literal[
    "equal",
    "rounding",
    "unpriced",
    "reserved",
    "estimated",
    "time_zone",
    "not_in_ledger",
    "not_in_invoice",
    "tokens",
    "cache",
    "price",
]
Key = tuple[dt.date, str]
_LAST_DIGIT_NANO_USD = 5_000_000
"""Half a cent: what an invoice in whole cents may be off, each line."""


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one model, as the ledger has it."""

    day: dt.date
    model: str
    attempts: int
    nano_usd: int
    """Of attempts with a known cost."""
    unpriced: int
    """Attempts whose cost is unknown."""
    estimated: int
    """Attempts whose usage is an estimate."""
    as_reserved: int
    """Attempts of which nothing is known, with what was reserved for them: the most they can have cost."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one model on both sides. None: that side does not have it."""

    day: dt.date
    model: str
    ledger_nano_usd: int | None
    invoice_nano_usd: int | None
    difference_nano_usd: int
    """Invoice less ledger."""
    causes: tuple[Cause, ...]


def reconcile(ledger: Iterable[LedgerLine], invoice: Iterable[InvoiceLine]) -> list[Difference]:
    """Every day and model of either side, in order. An invoice that is not by model is compared by day."""
    billed, lines = _sum_invoice(invoice)
    by_day_only = bool(billed) and all(model == "" for _, model in billed)
    known = _sum_ledger(ledger, by_day_only=by_day_only)
    differences = {key: _amount(billed, key) - _spent(known, key) for key in {*known, *billed}}
    return [
        Difference(
            day=key[0],
            model=key[1],
            ledger_nano_usd=known[key].nano_usd if key in known else None,
            invoice_nano_usd=billed[key].nano_usd if key in billed else None,
            difference_nano_usd=differences[key],
            causes=_causes(key, known.get(key), billed.get(key), lines.get(key, 0), differences),
        )
        for key in sorted(differences)
    ]


def _sum_invoice(invoice: Iterable[InvoiceLine]) -> tuple[dict[Key, InvoiceLine], dict[Key, int]]:
    billed: dict[Key, InvoiceLine] = {}
    lines: dict[Key, int] = {}
    for line in invoice:
        key = (line.day, line.model)
        before = billed.get(key)
        lines[key] = lines.get(key, 0) + 1
        billed[key] = (
            line
            if before is None
            else InvoiceLine(
                line.day,
                line.model,
                _add(before.nano_usd, line.nano_usd),
                _add(before.input_tokens, line.input_tokens),
                _add(before.output_tokens, line.output_tokens),
                _add(before.cached_tokens, line.cached_tokens),
            )
        )
    return billed, lines


def _sum_ledger(ledger: Iterable[LedgerLine], *, by_day_only: bool) -> dict[Key, LedgerLine]:
    known: dict[Key, LedgerLine] = {}
    for line in ledger:
        key = (line.day, "" if by_day_only else line.model)
        before = known.get(key)
        known[key] = msgspec.structs.replace(line, model=key[1]) if before is None else _merge(before, line)
    return known


def _merge(one: LedgerLine, other: LedgerLine) -> LedgerLine:
    counts = ("attempts", "nano_usd", "unpriced", "estimated", "as_reserved", "input_tokens", "output_tokens", "cached_tokens")
    return msgspec.structs.replace(one, **{name: getattr(one, name) + getattr(other, name) for name in counts})


def _add(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _amount(billed: Mapping[Key, InvoiceLine], key: Key) -> int:
    line = billed.get(key)
    return 0 if line is None else line.nano_usd or 0


def _spent(known: Mapping[Key, LedgerLine], key: Key) -> int:
    line = known.get(key)
    return 0 if line is None else line.nano_usd


def _causes(
    key: Key, ours: LedgerLine | None, theirs: InvoiceLine | None, lines: int, differences: Mapping[Key, int]
) -> tuple[Cause, ...]:
    off = differences[key]
    has_money = theirs is None or theirs.nano_usd is not None
    tokens_off = _tokens_differ(ours, theirs)
    if off == 0 and has_money and not tokens_off and (ours is None or not ours.unpriced):
        return ("equal",)
    rounding = (0 if ours is None else ours.attempts) + lines * _LAST_DIGIT_NANO_USD
    causes: list[Cause] = []
    if ours is not None and ours.unpriced:
        causes.append("unpriced")
    if ours is not None and ours.as_reserved:
        causes.append("reserved")
    if ours is not None and ours.estimated:
        causes.append("estimated")
    if has_money and off and _made_up_for(key, differences, rounding):
        causes.append("time_zone")
    if ours is None:
        causes.append("not_in_ledger")
    elif theirs is None:
        causes.append("not_in_invoice")
    else:
        causes += tokens_off
    if not causes and has_money:
        causes.append("rounding" if abs(off) <= rounding else "price")
    return tuple(causes) or ("equal",)


def _tokens_differ(ours: LedgerLine | None, theirs: InvoiceLine | None) -> list[Cause]:
    if ours is None or theirs is None:
        return []
    causes: list[Cause] = []
    if theirs.input_tokens not in (None, ours.input_tokens) or theirs.output_tokens not in (None, ours.output_tokens):
        causes.append("tokens")
    if theirs.cached_tokens not in (None, ours.cached_tokens):
        causes.append("cache")
    return causes


def _made_up_for(key: Key, differences: Mapping[Key, int], slack: int) -> bool:
    """Whether the day before or after is off by the same, the other way."""
    for days in (-1, 1):
        beside = differences.get((key[0] + dt.timedelta(days=days), key[1]))
        if beside is not None and beside * differences[key] < 0 and abs(beside + differences[key]) <= 2 * slack:
            return abs(differences[key]) > slack
    return False
