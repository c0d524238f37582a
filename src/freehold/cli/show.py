"""Prints: tables for people, JSON for programs. Text from clients and models is stripped of terminal control."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = {code: None for code in [*range(32), *range(127, 160)] if code != 10}


def version(number: str, *, as_json: bool) -> None:
    """The version."""
    if as_json:
        print_json({"version": number})
    else:
        print(f"freehold {number}")


def print_json(value: object) -> None:
    """One JSON document."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def print_json_line(value: object) -> None:
    """One JSON line, flushed, for `--follow`."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def plain(text: str) -> str:
    """The text without terminal control characters."""
    return text.translate(_CONTROL)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, or its title with `none`."""
    console = Console()
    if not rows:
        console.print(f"{title}: none", markup=False)
        return
    drawn = Table(title=title, title_justify="left", show_lines=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console.print(drawn)


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values under a title."""
    console = Console()
    console.print(Text(title, style="bold"))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        console.print(Text(f"  {name.ljust(width)}  ", style="dim") + Text(plain(value)), soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what went wrong on standard error and end."""
    print(message, file=sys.stderr)
    raise typer.Exit(code)
