"""`freehold log`: the newest requests."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, get_args

from freehold.cli import show
from freehold.cli.setup import open_ledger
from freehold.record import Outcome, RequestRecord

POLL_S = 0.5


def log(
    config: Path | None, *, count: int, follow: bool, outcome: str | None, deployment: str | None,
    session: str | None, task: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the newest requests; with `follow`, go on until interrupted."""
    from freehold.ledger import queries

    if outcome is not None and outcome not in get_args(Outcome):
        show.fail(f"--outcome is one of {', '.join(get_args(Outcome))}, not {outcome!r}", 2)
    engine = open_ledger(config)
    wanted: dict[str, Any] = {"outcome": outcome, "deployment": deployment, "session": session, "task": task}
    rows = list(reversed(queries.recent(engine, limit=count, **wanted)))
    if not follow:
        if as_json:
            show.print_json(rows)
        else:
            _print_lines(rows, as_json=False)
            if not rows:
                print("no requests")
        return
    _print_lines(rows, as_json=as_json)
    _, place = queries.follow(engine)
    pause = Event()
    while not pause.wait(POLL_S):
        new, place = queries.follow(engine, place)
        kept = [row for row in new if all(value is None or getattr(row, name) == value for name, value in wanted.items())]
        _print_lines(kept, as_json=as_json)


def _print_lines(rows: Iterable[RequestRecord], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            show.print_json_line(row)
        else:
            print(show.plain(line_of(row)), flush=True)


def line_of(row: RequestRecord) -> str:
    """One request in two lines: what happened, and why there."""
    when = datetime.fromtimestamp(row.at_ms / 1000, UTC).astimezone().strftime("%m-%d %H:%M:%S")
    tokens = f"{row.usage.input_tokens} in {row.usage.output_tokens} out" if row.usage else f"~{row.prompt_tokens_counted} in"
    outcome = row.outcome if row.fault is None else f"{row.outcome} ({row.fault})"
    where = f"{row.deployment} [{row.egress}]" if row.deployment else "nobody"
    return (
        f"{when}  {row.request_id}  {row.asked_model or '?'} -> {where}  {outcome}\n"
        f"                {row.task or row.operation}, {tokens}, {row.duration_ms:.0f} ms, {cost_of(row.cost_nano_usd, row.cost_basis)}: {row.reason}"
    )


def cost_of(nano_usd: int | None, basis: str) -> str:
    """Money for people. Unknown is never shown as zero."""
    if nano_usd is None:
        return "unknown"
    return basis if nano_usd == 0 else f"${nano_usd / 1e9:.6f} ({basis})"
