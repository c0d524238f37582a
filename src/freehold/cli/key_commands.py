"""`freehold key ...`: its commands and their options. What they do is in `cli.keys`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make, list, rotate and revoke virtual keys.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file. Default: ./freehold.toml, else the user's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameArgument = Annotated[str, typer.Argument(help="The key's name.")]
Texts = list[str] | None


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Named in rows, rules and budgets. Used once, for good.")],
    *,
    user: Annotated[str | None, typer.Option(help="Whose it is. Default: a user of the key's name.")] = None,
    team: Annotated[str | None, typer.Option(help="The team of that user.")] = None,
    project: Annotated[str | None, typer.Option(help="What all its requests are tagged with.")] = None,
    ceiling: Annotated[str | None, typer.Option(help="local, self_hosted or vendor: how far its requests may go.")] = None,
    label: Annotated[str | None, typer.Option(help="The least label of its requests.")] = None,
    operation: Annotated[
        Texts,
        typer.Option(
            help="What it may do: chat, embeddings, images, audio, moderation, rerank, files, batches, admin. May be repeated. "
            "Default: everything but admin."
        ),
    ] = None,
    model: Annotated[
        Texts, typer.Option(help="A name it may ask for, or a model or deployment it may use; a glob. Repeatable.")
    ] = None,
    dataset: Annotated[Texts, typer.Option(help="A dataset it may work on; the first holds by default. May be repeated.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 12h, 90d, or a day such as 2027-01-31.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print its secret, this once."""
    from freehold.cli import keys

    said = {
        "name": name,
        "user": user,
        "team": team,
        "project": project,
        "ceiling": ceiling,
        "label": label,
        "operations": operation or None,
        "models": model or None,
        "datasets": dataset or None,
    }
    keys.create(config, said, expires=expires, as_json=as_json)


@app.command("list", short_help="List every key, revoked ones too.")
def list_(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every key, revoked ones too: whose it is, how it begins, what it may do."""
    from freehold.cli import keys

    keys.keys(config, as_json=as_json)


@app.command()
def show(name: NameArgument, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one key, all but its secret."""
    from freehold.cli import keys

    keys.one(config, name, as_json=as_json)


@app.command()
def revoke(
    name: Annotated[str | None, typer.Argument(help="The key's name.")] = None,
    *,
    user: Annotated[str | None, typer.Option(help="Every key of this user instead.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key, or all keys of a user, now and for good."""
    from freehold.cli import keys

    keys.revoke(config, name, user, as_json=as_json)


@app.command(short_help="Give a key a new secret and print it, this once.")
def rotate(
    name: NameArgument,
    *,
    overlap: Annotated[str, typer.Option(help="How long the present secret still opens it: 0s, 30m, 24h, 7d.")] = "24h",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key a new secret and print it, this once; rules, budgets and files stay with its name."""
    from freehold.cli import keys

    keys.rotate(config, name, overlap=overlap, as_json=as_json)
