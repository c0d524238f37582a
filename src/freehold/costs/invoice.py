"""A vendor's exported CSV as lines of a bill: day, model, money, tokens.

Understood, by their header rows: OpenAI's cost export (`start_time, amount_value, amount_currency, line_item`) and usage
export (`start_time, model, input_tokens, output_tokens, input_cached_tokens`); Anthropic's cost export (`usage_date_utc,
model, token_type, cost_usd`) and token export (`usage_date_utc, model_version, usage_input_tokens_no_cache` ...); and any
CSV with `date`, `model` and `cost_usd`. Days are UTC days, as both vendors bill. Raises InvoiceError.
"""

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

_DAY = ("usage_date_utc", "start_time_iso", "start_time", "date", "day")
_MODEL = ("model", "model_version", "line_item")
_COST = ("cost_usd", "amount_value", "cost", "amount")
_WHOLE_INPUT = ("input_tokens", "prompt_tokens")
_FRESH_INPUT = ("usage_input_tokens_no_cache",)
_WRITES = ("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h")
_READS = ("input_cached_tokens", "usage_input_tokens_cache_read", "cached_tokens")
_OUTPUT = ("output_tokens", "usage_output_tokens", "completion_tokens")
_MOST_USD = 10**9
_DATED = re.compile(r"[-@]20\d{2}-?[01]\d-?[0-3]\d$")
_SEPARATORS = re.compile(r"[\s._]+")


class InvoiceError(ValueError):
    """The file is no invoice that is understood; says which line and why."""


class InvoiceLine(msgspec.Struct, frozen=True):
    """One day of one model. None: the export does not say it."""

    day: dt.date
    model: str
    """As `same_model` spells it; "" where the export is not by model."""
    nano_usd: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None


def same_model(name: str) -> str:
    """One spelling for a model, as invoices and APIs name it: `Claude Haiku 4.5` and `claude-haiku-4-5-20251001` are one."""
    plain = name.partition(",")[0].strip().lower().rpartition("/")[2]
    return _SEPARATORS.sub("-", _DATED.sub("", plain))


def read_invoice(text: str) -> list[InvoiceLine]:
    """The lines of a CSV. Empty days are left out."""
    sheet = io.StringIO(text.removeprefix("\ufeff"), newline="")
    header = sheet.readline()
    sheet.seek(0)
    rows = csv.DictReader(sheet, delimiter="\t" if "\t" in header else ",", strict=True)
    fields = [field.strip() for field in rows.fieldnames or ()]
    rows.fieldnames = fields
    day = next((name for name in _DAY if name in fields), None)
    cost = next((name for name in _COST if name in fields), None)
    tokens = next((name for name in (*_WHOLE_INPUT, *_FRESH_INPUT) if name in fields), None)
    if day is None or (cost is None and tokens is None):
        raise InvoiceError(
            f"the columns {', '.join(fields) or '(none)'} are no invoice: a day ({', '.join(_DAY)}) "
            f"and a cost ({', '.join(_COST)}) or tokens are needed"
        )
    model = next((name for name in _MODEL if name in fields), None)
    lines: list[InvoiceLine] = []
    try:
        for row in rows:
            line = _read_line(row, rows.line_num, day, model, cost)
            if line is not None:
                lines.append(line)
    except csv.Error as error:
        raise InvoiceError(f"line {rows.line_num}: {error}") from None
    return lines


def _read_line(row: Mapping[str, str | None], number: int, day: str, model: str | None, cost: str | None) -> InvoiceLine | None:
    currency = (row.get("amount_currency") or row.get("currency") or "usd").strip().lower()
    if currency != "usd":
        raise InvoiceError(f"line {number}: is in {currency!r}; only USD can be compared")
    nano_usd = None if cost is None else _nano_usd(row.get(cost), number, cost)
    parts = [_count(row, name, number) for name in (*_FRESH_INPUT, *_WRITES, _READS[1])]
    whole = next((count for name in _WHOLE_INPUT if (count := _count(row, name, number)) is not None), None)
    if whole is None and any(part is not None for part in parts):
        whole = sum(part or 0 for part in parts)
    output = next((count for name in _OUTPUT if (count := _count(row, name, number)) is not None), None)
    if nano_usd is None and whole is None and output is None:
        return None
    return InvoiceLine(
        day=_read_day(row.get(day), number, day),
        model=same_model(row.get(model) or "") if model else "",
        nano_usd=nano_usd,
        input_tokens=whole,
        output_tokens=output,
        cached_tokens=next((count for name in _READS if (count := _count(row, name, number)) is not None), None),
    )


def _read_day(said: str | None, number: int, column: str) -> dt.date:
    text = (said or "").strip()
    try:
        if text.isdigit() and len(text) >= 9:
            return dt.datetime.fromtimestamp(int(text), dt.UTC).date()
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise InvoiceError(f"line {number}: {column} is no day") from None
    return (moment if moment.tzinfo is None else moment.astimezone(dt.UTC)).date()


def _nano_usd(said: str | None, number: int, column: str) -> int | None:
    text = (said or "").strip().removeprefix("$")
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) > _MOST_USD:
        raise InvoiceError(f"line {number}: {column} is no amount of USD")
    return int((amount * 10**9).to_integral_value())


def _count(row: Mapping[str, str | None], name: str, number: int) -> int | None:
    text = (row.get(name) or "").strip()
    if not text:
        return None
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if not 0 <= count < 1e18 or count != int(count):
        raise InvoiceError(f"line {number}: {name} is no count of tokens")
    return int(text) if text.isdigit() else int(count)
