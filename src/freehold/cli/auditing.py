"""`freehold audit`: an export of who sent what class where, in a chain of lines, and its check."""

import datetime as dt
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from freehold import __version__
from freehold.cli import show
from freehold.cli.setup import load_config, reading_ledger
from freehold.ledger.chain import NO_CHAIN, BrokenChainError, Chain, Checked, check, is_hash
from freehold.server.stores import store_url


class Action(StrEnum):
    """What `freehold audit` does."""

    EXPORT = "export"
    VERIFY = "verify"


def export(
    config: Path | None, file: Path | None, *, since: str | None, until: str | None, after: str | None, as_json: bool
) -> None:
    """Write the chain to a file that is not there yet, or to standard output; then say its head."""
    from freehold.ledger.audit import events

    if after is not None and not is_hash(after):
        show.fail("--after is the head of an earlier export: 64 hexadecimal digits", 2)
    since_ms = _ms(since, "--since") or 0
    until_ms = _ms(until, "--until")
    chain = Chain(after or NO_CHAIN)
    store = store_url(load_config(config))
    with reading_ledger(config) as engine, _opened(file) as out:
        facts = {"freehold": __version__, "store": store, "since_ms": since_ms, "until_ms": until_ms}
        out.write(chain.link("audit", facts) + b"\n")
        for event, of_it in events(engine, since_ms=since_ms, until_ms=until_ms):
            out.write(chain.link(event, of_it) + b"\n")
        out.write(chain.close() + b"\n")
        out.flush()
    if as_json and file is not None:
        show.print_json({"file": str(file), "lines": chain.lines, "head": chain.head})
    else:
        print(f"{chain.lines} lines, head {chain.head}", file=sys.stderr if file is None else sys.stdout)


def verify(file: Path, *, head: str | None, after: str | None, as_json: bool) -> None:
    """Check a chain. Exit code 1: it is not as it was written, or not the one that is meant."""
    try:
        with file.open("rb") as lines:
            checked = check(lines)
    except OSError as error:
        show.fail(f"{file} cannot be read: {error.strerror}", 2)
    except BrokenChainError as error:
        show.fail(f"{file} is not as it was written: {error}")
    _compare(file, checked, head=head, after=after)
    if as_json:
        show.print_json({"file": str(file), "lines": checked.lines, "after": checked.after, "head": checked.head})
        return
    begins = "begins a chain" if checked.after == NO_CHAIN else f"goes on from {checked.after}"
    print(f"{file} is whole: {checked.lines} lines, {begins}\nhead {checked.head}")
    if head is None:
        print("compare the head with the one that was printed when it was written: --head HEAD")


def _compare(file: Path, checked: Checked, *, head: str | None, after: str | None) -> None:
    if head is not None and head != checked.head:
        show.fail(f"{file} is a whole chain, but another one: its head is {checked.head}")
    if after is not None and after != checked.after:
        show.fail(f"{file} is a whole chain, but goes on from {checked.after}")


@contextmanager
def _opened(file: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a new file that only its owner can read."""
    if file is None:
        yield sys.stdout.buffer
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        show.fail(f"{file} cannot be made: {error.strerror}; an export never writes over a file", 2)
    with os.fdopen(handle, "wb") as out:
        yield out


def _ms(said: str | None, option: str) -> int | None:
    """A day, or a moment; UTC where it names no zone."""
    if said is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(said)
        moment = moment.replace(tzinfo=moment.tzinfo or dt.UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        show.fail(f"{option} is a day or a moment such as 2026-11-01 or 2026-11-01T08:00, not {said!r}", 2)
