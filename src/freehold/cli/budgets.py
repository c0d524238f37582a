"""`freehold budget`: how budgets stand, read from the store; a server need not run."""

import time
from pathlib import Path

import msgspec

from freehold.cli import show
from freehold.cli.setup import load_config, reading_ledger
from freehold.ledger.standings import standings
from freehold.limits.over_budget import amount, moment
from freehold.limits.standings import lines_of, prefixes_of


def list_standings(config: Path | None, name: str | None, *, as_json: bool) -> None:
    """Print the accounts of the present windows; a budget that nobody has used yet has one empty line."""
    loaded = load_config(config)
    budgets = [one for one in loaded.settings.budgets if name is None or one.name == name]
    if name is not None and not budgets:
        show.fail(f"there is no budget {name!r}", 2)
    if loaded.settings.storage.redis is not None:
        show.fail("budgets are kept in Redis here, which this command does not read; a running server tells: GET /admin/budgets")
    now_ms = time.time_ns() // 1_000_000
    with reading_ledger(config) as engine:
        found = lines_of(budgets, standings(engine, prefixes_of(budgets, now_ms)), now_ms)
    lines: list[list[str]] = []
    for one in found:
        sums = [amount(count, one.unit) for count in (one.balance.spent, one.balance.reserved, one.left, one.limit)]
        resets = "-" if one.resets_ms is None else moment(one.resets_ms)
        lines.append([one.budget.name, one.whose or "-", one.budget.window, *sums, resets])
    if as_json:
        show.print_json([msgspec.to_builtins(one.told()) for one in found])
    elif not lines:
        print("freehold.toml has no [[budgets]]")
    else:
        head = ["budget", "whose", "window", "spent", "reserved", "left", "of", "whole again"]
        print(_table([head, *lines]))


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        show.plain("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()) for row in rows
    )
