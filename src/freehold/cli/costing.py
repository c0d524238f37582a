"""`freehold cost` and `freehold reconcile`: what was spent, and whether the invoice agrees."""

import datetime as dt
from pathlib import Path
from typing import get_args

from freehold.cli import show
from freehold.cli.setup import reading_ledger
from freehold.costs.invoice import InvoiceError, InvoiceLine, read_invoice, same_model
from freehold.costs.reconciliation import Difference, LedgerLine, reconcile
from freehold.ledger.totals import MS_PER_DAY, By, Total, total

_EPOCH = dt.date(1970, 1, 1)
MAX_INVOICE_BYTES = 256 * 1024 * 1024
WHY = {
    "equal": "equal",
    "rounding": "rounding: no more than the invoice's last digit and a nano-USD an attempt",
    "unpriced": "attempts without a known price are in the ledger; give them one with [[prices]]",
    "reserved": "attempts whose cost is not known are in the ledger at what was reserved for them, the most they can have cost",
    "estimated": "attempts whose usage was estimated, because the stream broke or reported none",
    "time_zone": "the day before or after is off by the same: the two cut the day at different hours",
    "not_in_ledger": "billed and not in the ledger: calls that did not come through this gateway",
    "not_in_invoice": "in the ledger and not billed: another account, or not yet on the invoice",
    "tokens": "the numbers of tokens differ: calls beside the gateway, or attempts whose usage is not known",
    "cache": "the numbers of cached tokens differ",
    "price": "the same usage at another price: a contract, a service tier, or a price list that is out of date",
}


def cost(config: Path | None, by: list[str], *, since: str | None, until: str | None, as_json: bool) -> None:
    """Print totals by day, model, runtime, user or session."""
    wanted = [_by(one) for one in by]
    with reading_ledger(config) as engine:
        rows = total(engine, wanted, since_ms=_day_ms(since, "--since"), until_ms=_day_ms(until, "--until"))
    if as_json:
        show.print_json([{**dict(zip(wanted, _names(wanted, row), strict=True)), **_numbers(row)} for row in rows])
        return
    if not rows:
        print("nothing was asked of any runtime")
        return
    table = [[*_names(wanted, row), str(row.attempts), *_tokens(row), money(row)] for row in rows]
    whole = _sum(rows)
    table.append(["all", *[""] * (len(wanted) - 1), str(whole.attempts), *_tokens(whole), money(whole)])
    print(_table([*wanted, "attempts", "tokens in", "cached", "tokens out", "cost"], table))
    if whole.estimated:
        print(f"{whole.estimated} of the attempts have an estimated usage")
    if whole.as_reserved:
        print(f"{whole.as_reserved} of the attempts are counted at what was reserved for them: more is not known")


def compare(config: Path | None, invoice: Path, *, as_json: bool) -> None:
    """Compare a vendor's exported CSV with the ledger, by day and model."""
    try:
        if invoice.stat().st_size > MAX_INVOICE_BYTES:
            show.fail(f"{invoice} is larger than {MAX_INVOICE_BYTES} bytes", 2)
        lines = read_invoice(invoice.read_text("utf-8-sig"))
    except OSError as error:
        show.fail(f"{invoice} cannot be read: {error.strerror}", 2)
    except UnicodeError:
        show.fail(f"{invoice} cannot be read: it is not UTF-8 text", 2)
    except InvoiceError as error:
        show.fail(f"{invoice}: {error}", 2)
    if not lines:
        show.fail(f"{invoice} has no line with an amount or tokens")
    first, last = min(line.day for line in lines), max(line.day for line in lines)
    with reading_ledger(config) as engine:
        rows = total(
            engine,
            ("day", "model"),
            since_ms=(first - _EPOCH).days * MS_PER_DAY,
            until_ms=((last - _EPOCH).days + 1) * MS_PER_DAY,
            egress="vendor",
        )
    differences = reconcile(_of_this_vendor([_ledger_line(row) for row in rows], lines), lines)
    if as_json:
        show.print_json(differences)
        return
    _print_differences(differences, has_money=any(line.nano_usd is not None for line in lines))


def _of_this_vendor(ledger: list[LedgerLine], invoice: list[InvoiceLine]) -> list[LedgerLine]:
    """An invoice is one vendor's: models that are on it nowhere are another's. One that is not by model has all."""
    models = {line.model for line in invoice}
    return ledger if models == {""} else [line for line in ledger if line.model in models]


def _print_differences(differences: list[Difference], *, has_money: bool) -> None:
    rows = [
        [
            one.day.isoformat(),
            one.model or "(all)",
            "-" if one.ledger_nano_usd is None else usd(one.ledger_nano_usd),
            "-" if one.invoice_nano_usd is None else usd(one.invoice_nano_usd),
            usd(one.difference_nano_usd) if has_money else "-",
            ", ".join(one.causes),
        ]
        for one in differences
    ]
    print(_table(["day", "model", "ledger", "invoice", "difference", "why"], rows))
    for cause in sorted({cause for one in differences for cause in one.causes} - {"equal"}):
        print(show.folded("", f"{cause}: {WHY[cause]}"))
    if has_money:
        ledger = sum(one.ledger_nano_usd or 0 for one in differences)
        billed = sum(one.invoice_nano_usd or 0 for one in differences)
        print(f"ledger {usd(ledger)}, invoice {usd(billed)}, difference {usd(billed - ledger)}")


def _ledger_line(row: Total) -> LedgerLine:
    day, model = row.group
    return LedgerLine(
        day=_EPOCH + dt.timedelta(days=int(day or 0)),
        model=same_model(str(model)),
        attempts=row.attempts,
        nano_usd=row.nano_usd,
        unpriced=row.unpriced,
        estimated=row.estimated,
        as_reserved=row.as_reserved,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
    )


def usd(nano_usd: int) -> str:
    """Money for people."""
    return f"{'-' if nano_usd < 0 else ''}${abs(nano_usd) / 1e9:.6f}"


def money(row: Total) -> str:
    """A sum with what is missing in it. Unknown is never shown as zero."""
    if row.unpriced == row.attempts:
        return "unknown"
    return usd(row.nano_usd) + (f" + unknown of {row.unpriced}" if row.unpriced else "")


def _by(said: str) -> By:
    known: tuple[By, ...] = get_args(By)
    found = next((one for one in known if one == said), None)
    if found is None:
        show.fail(f"--by is one of {', '.join(known)}, not {said!r}", 2)
    return found


def _day_ms(said: str | None, option: str) -> int | None:
    if said is None:
        return None
    try:
        return (dt.date.fromisoformat(said) - _EPOCH).days * MS_PER_DAY
    except ValueError:
        show.fail(f"{option} is a day such as 2026-11-01, not {said!r}", 2)


def _names(by: list[By], row: Total) -> list[str]:
    return [_name(one, value) for one, value in zip(by, row.group, strict=True)]


def _name(by: By, value: int | str | None) -> str:
    if value is None:
        return "-"
    if by == "day":
        return (_EPOCH + dt.timedelta(days=int(value))).isoformat()
    return show.plain(str(value)).replace("\n", " ")


def _tokens(row: Total) -> list[str]:
    return [f"{count:,}" for count in (row.input_tokens, row.cached_tokens, row.output_tokens)]


def _numbers(row: Total) -> dict[str, int | None]:
    return {
        "attempts": row.attempts,
        "input_tokens": row.input_tokens,
        "cached_tokens": row.cached_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "output_tokens": row.output_tokens,
        "cost_nano_usd": None if row.unpriced == row.attempts else row.nano_usd,
        "unpriced_attempts": row.unpriced,
        "estimated_attempts": row.estimated,
        "attempts_as_reserved": row.as_reserved,
    }


def _sum(rows: list[Total]) -> Total:
    names = [name for name in Total.__struct_fields__ if name != "group"]
    return Total(group=(), **{name: sum(getattr(row, name) for row in rows) for name in names})


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )
