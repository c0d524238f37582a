"""Prints: tables for people, JSON for programs. Text from clients and models is stripped of terminal control.

Lines are folded to the width of a terminal, and left whole where a program reads them. What clients and models wrote
never begins a line of its own in a listing, so that no name can pass for an entry.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

import msgspec

_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Unicode's embeddings, overrides and isolates, which let a text be shown in another order than it has."""
_CONTROL = {code: None for code in (*range(32), *range(127, 160), *_TURNING) if chr(code) not in "\n\t"}
_BROADEST = 120
_UNFOLDED = 10_000
"""Columns of a table that a program reads."""


class FailedError(Exception):
    """A command ended early: what to say, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command. Code 1: it failed; 2: it was called or configured wrongly."""
    raise FailedError(message, code)


def reason(error: Exception) -> str:
    """Why something failed, in words: of a file its name and what is the matter with it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def report(failure: FailedError, *, as_json: bool) -> None:
    """Say why a command ended: on standard error, and as JSON on standard output for programs."""
    print(plain(str(failure)), file=sys.stderr)
    if as_json:
        print_json({"error": str(failure)})


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
    """The text without terminal control characters; lines and tabs stay, code would not be code without them."""
    return text.translate(_CONTROL)


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def one_line(text: str) -> str:
    """As `plain`, on one line: an entry of a listing, or a part of one."""
    return " ".join(plain(text).splitlines()).replace("\t", " ")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, or its title with `none`. A cell may have several lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(f"{title}: none")
        return
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    is_read_whole = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    Console(highlight=False, width=_UNFOLDED if is_read_whole else None).print(drawn)


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values under a title."""
    print(folded("", one_line(title)))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print(folded(f"  {name.ljust(width)}  ", one_line(value)))


def folded(lead: str, text: str) -> str:
    """The text behind its lead, folded to the terminal with its lines under one another."""
    if not sys.stdout.isatty():
        return lead + text
    columns = max(40, min(shutil.get_terminal_size().columns, _BROADEST))
    if len(lead) + len(text) <= columns:
        return lead + text
    hang = lead if not lead.strip() else " " * min(len(lead), columns // 2)
    return textwrap.fill(
        text, columns, initial_indent=lead, subsequent_indent=hang or "  ", break_on_hyphens=False, break_long_words=False
    )
