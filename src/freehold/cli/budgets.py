"""`freehold budget`: how budgets stand, read from the store; a server need not run."""

import time
from pathlib import Path

from freehold.cli import show
from freehold.cli.setup import load_config, reading_ledger
from freehold.ledger.standings import standings
from freehold.limits.over_budget import amount, moment, shown
from freehold.policy.budgets import NANO_USD_PER_USD, Budget, Unit, span_at
from freehold.storage.reservations import Balance


def list_standings(config: Path | None, name: str | None, *, as_json: bool) -> None:
    """Print the accounts of the present windows; a budget that nobody has used yet has one empty line."""
    loaded = load_config(config)
    budgets = [one for one in loaded.settings.budgets if name is None or one.name == name]
    if name is not None and not budgets:
        show.fail(f"there is no budget {name!r}", 2)
    if loaded.settings.storage.redis is not None:
        show.fail("budgets are kept in Redis here, which this command does not read; alerts tell how they stand")
    rows: list[dict[str, object]] = []
    lines: list[list[str]] = []
    now_ms = time.time_ns() // 1_000_000
    with reading_ledger(config) as engine:
        for budget in budgets:
            span = span_at(budget.window, now_ms)
            resets = "-" if span.resets_ms is None else moment(span.resets_ms)
            for unit, limit in _limits(budget):
                prefix = f"{budget.name}/{budget.window}/{span.name}/{unit}/"
                found = standings(engine, [prefix]) or {prefix: Balance()}
                for account, balance in found.items():
                    whose = account.removeprefix(prefix)
                    left = limit - balance.spent - balance.reserved
                    rows.append(
                        {
                            "budget": budget.name,
                            "per": budget.per,
                            "whose": whose or None,
                            "window": budget.window,
                            "unit": unit,
                            "limit": shown(limit, unit),
                            "spent": shown(balance.spent, unit),
                            "reserved": shown(balance.reserved, unit),
                            "left": shown(left, unit),
                            "resets_at": None if span.resets_ms is None else resets,
                        }
                    )
                    sums = [amount(one, unit) for one in (balance.spent, balance.reserved, left, limit)]
                    lines.append([budget.name, whose or "-", budget.window, *sums, resets])
    if as_json:
        show.print_json(rows)
    elif not lines:
        print("freehold.toml has no [[budgets]]")
    else:
        head = ["budget", "whose", "window", "spent", "reserved", "left", "of", "whole again"]
        print(_table([head, *lines]))


def _limits(budget: Budget) -> list[tuple[Unit, int]]:
    limits: list[tuple[Unit, int]] = []
    if budget.usd is not None:
        limits.append(("usd", round(budget.usd * NANO_USD_PER_USD)))
    if budget.tokens is not None:
        limits.append(("tokens", budget.tokens))
    return limits


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        show.plain("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()) for row in rows
    )
