"""`freehold budget ...`: its commands and their options. What they do is in `cli.budgets`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="See how budgets stand.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file. Default: ./freehold.toml, else the user's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", short_help="Every budget in its present window.")
def list_(
    name: Annotated[str | None, typer.Argument(help="One budget. Default: all of them.")] = None,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every budget in its present window: what is spent, reserved and left, by whom, and when it is whole again."""
    from freehold.cli import budgets

    budgets.list_standings(config, name, as_json=as_json)


@app.callback()
def group() -> None:
    """Keep `list` a command of its own while it is the only one."""
