"""`freehold log`: the newest requests."""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGINT, SIGTERM, default_int_handler, signal
from threading import Event
from typing import TYPE_CHECKING, Any, get_args

from freehold.cli import show
from freehold.cli.setup import reading_ledger
from freehold.features import Task
from freehold.ledger import queries
from freehold.record import AttemptRecord, Outcome, RequestRecord

if TYPE_CHECKING:
    from sqlalchemy import Engine

POLL_S = 0.5


def log(
    config: Path | None, *, count: int, follow: bool, outcome: str | None, deployment: str | None,
    session: str | None, task: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the newest requests; with `follow`, go on until interrupted."""
    if outcome is not None and outcome not in get_args(Outcome):
        show.fail(f"--outcome is one of {', '.join(get_args(Outcome))}, not {outcome!r}", 2)
    if task is not None and task not in set(Task):
        show.fail(f"--task is one of {', '.join(Task)}, not {task!r}", 2)
    wanted: dict[str, Any] = {"outcome": outcome, "deployment": deployment, "session": session, "task": task}
    with reading_ledger(config) as engine:
        if follow:
            for number in (SIGINT, SIGTERM):
                signal(number, default_int_handler)  # told to stop in either way, it ends well
            with contextlib.suppress(KeyboardInterrupt):
                _follow(engine, count, wanted, as_json=as_json)
            return
        rows = list(reversed(queries.recent(engine, limit=count, **wanted)))
    if as_json:
        show.print_json(rows)
        return
    _print_lines(rows, as_json=False)
    if not rows:
        print("no requests")


def _follow(engine: "Engine", count: int, wanted: dict[str, Any], *, as_json: bool) -> None:
    # The place is taken before the listing: what is written in between is in both, and shown once.
    _, place = queries.follow(engine)
    rows = list(reversed(queries.recent(engine, limit=count, **wanted)))
    _print_lines(rows, as_json=as_json)
    shown = {row.request_id for row in rows}
    pause = Event()
    while not pause.wait(POLL_S):
        new, place = queries.follow(engine, place)
        _print_lines([row for row in new if row.request_id not in shown and _matches(row, wanted)], as_json=as_json)


def _matches(row: RequestRecord, wanted: dict[str, Any]) -> bool:
    return all(value is None or getattr(row, name) == value for name, value in wanted.items())


def _print_lines(rows: Iterable[RequestRecord], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            show.print_json_line(row)
        else:
            print(lines_of(row), flush=True)


def lines_of(row: RequestRecord) -> str:
    """One request in three lines: what became of it, who served what, and why there."""
    when = datetime.fromtimestamp(row.at_ms / 1000, UTC).astimezone().strftime("%m-%d %H:%M:%S")
    tokens = (
        f"{row.usage.input_tokens} tokens in, {row.usage.output_tokens} out"
        if row.usage
        else f"~{row.prompt_tokens_counted} tokens in"
    )
    outcome = row.outcome if row.fault is None else f"{row.outcome} ({row.fault})"
    where = f"{row.deployment} [{row.egress}]" if row.deployment else "nobody"
    what = row.task or row.operation
    lines = (
        f"{when}  {row.request_id}  {outcome}, {row.duration_ms:.0f} ms",
        f"{row.asked_model or '?'} -> {where}; {what}, {tokens}, {cost_of(row)}",
        row.reason,
    )
    return "\n".join(show.folded(lead, show.one_line(line)) for lead, line in zip(("", "  ", "  "), lines, strict=True))


def cost_of(row: RequestRecord | AttemptRecord) -> str:
    """Money for people. Unknown is never shown as zero."""
    if isinstance(row, RequestRecord) and row.attempts == 0:
        return "no call made"
    if row.cost_nano_usd is None:
        return "cost unknown"
    return row.cost_basis if row.cost_nano_usd == 0 else f"${row.cost_nano_usd / 1e9:.6f} ({row.cost_basis})"
