"""`freehold doctor`: what is here, what answers, how fast it answers, and what keeps it from answering.

Every local chat deployment is asked one short question through the gateway. Nothing but this machine is asked: what a team
or a vendor serves is listed and not tried. Exit code 0: something serves; 1: nothing does; 2: the configuration is wrong.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import typer

from freehold.cli import show
from freehold.cli.banner import not_used
from freehold.cli.diagnosis import Trial, advise, agent_windows, try_out
from freehold.cli.finding import survey
from freehold.cli.live import ask_server
from freehold.config import Config, ConfigError, load
from freehold.config.discovered import with_discovered
from freehold.fault import FaultError
from freehold.gateways.discovery import Sighting, read_known
from freehold.local import weights
from freehold.local.machine import Machine, look_at_machine
from freehold.local.places import data_dir
from freehold.policy.problems import Problem


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found out."""

    serves: bool
    """A server runs and is ready, a deployment answered, or one farther away is configured and has its credentials."""
    server: tuple[str, ...] | None
    """What the running server has beyond this configuration (its own, `--demo`); None: none runs."""
    source: str | None
    problems: tuple[Problem, ...]
    concerns: tuple[str, ...]
    machine: Machine
    weights: dict[str, bool]
    """By name in the manifest: whether they are here, and whole."""
    sightings: tuple[Sighting, ...]
    trials: tuple[Trial, ...]
    not_tried: tuple[str, ...]
    """Deployments of another class than local."""
    advice: tuple[str, ...]


def doctor(path: Path | None, *, as_json: bool) -> None:
    """Look, try, report; the exit code says whether something serves."""
    report = _look(path, os.environ)
    if as_json:
        show.print_json(report)
    else:
        _print(report)
    if report.problems:
        raise typer.Exit(2)
    if not report.serves:
        raise typer.Exit(1)


def _look(path: Path | None, environ: Mapping[str, str]) -> Report:
    config: Config | None = None
    problems: tuple[Problem, ...] = ()
    source = path
    try:
        config = load(path, environ)
        source = config.source
    except ConfigError as error:
        problems, source = error.problems, error.source
    home = config.data_dir if config is not None else data_dir(environ)
    machine = look_at_machine(home)
    sightings = asyncio.run(survey(config)) if config is not None else ()
    trials: tuple[Trial, ...] = ()
    not_tried: tuple[str, ...] = ()
    concerns: tuple[str, ...] = ()
    serves = False
    server: tuple[str, ...] | None = None
    if config is not None:
        laid_over = with_discovered(config, sightings, read_known())
        trials = asyncio.run(try_out(config, laid_over))
        within = [one for one in laid_over.policy.placed.values() if one.egress.within(laid_over.policy.server_ceiling)]
        away = [one for one in within if one.egress != "local" and one.deployment.abilities.chat]
        not_tried = tuple(f"{one.id} ({one.egress})" for one in away)
        concerns = (*config.warnings, *config.base.notes, *agent_windows(laid_over))
        reachable = [one for one in away if one.runtime.name not in laid_over.without_credentials]
        live = asyncio.run(ask_server(config))
        if live is not None:
            server = tuple(
                name for one in live.readiness.runtimes for name in one.deployments if name not in laid_over.policy.placed
            )
        serves = bool(reachable) or any(trial.fault is None for trial in trials) or (live is not None and live.readiness.ready)
    return Report(
        serves=serves,
        server=server,
        source=str(source) if source is not None else None,
        problems=problems,
        concerns=concerns,
        machine=machine,
        weights={name: _is_here(name, home) for name in weights.read_manifest()},
        sightings=sightings,
        trials=trials,
        not_tried=not_tried,
        advice=tuple(dict.fromkeys(said for trial in trials for said in advise(trial, machine))),
    )


def _is_here(name: str, home: Path) -> bool:
    try:
        weights.find(name, home)
    except FaultError:
        return False
    return True


def _print(report: Report) -> None:
    source = report.source or "no freehold.toml: the built-in defaults"
    if report.problems:
        show.pairs(f"{source} cannot be used", [(problem.path, _said(problem)) for problem in report.problems])
    else:
        show.pairs(source, [("concern", one) for one in report.concerns] or [("config", "good")])
    beyond = f", with {', '.join(report.server)} beyond this configuration" if report.server else ""
    show.pairs("the server", [("state", "not running" if report.server is None else f"running{beyond}")])
    _print_machine(report.machine)
    show.pairs("weights", [(name, "here" if here else "not here: freehold pull") for name, here in report.weights.items()])
    show.table(
        "on loopback",
        ("port", "what answers", "counts as", "models"),
        [
            (
                str(one.port),
                f"{one.name or 'unknown'} {one.version}".strip(),
                one.egress.value if one.kind == "engine" else "not used",
                "\n".join(model.served_as for model in one.models),
            )
            for one in report.sightings
        ],
    )
    for one in report.sightings:
        for line in not_used(one):
            print(show.folded("  not used  ", show.one_line(line)))
    show.table(
        "a short question to each local deployment",
        ("deployment", "context", "first token", "tokens/s", "answer"),
        [_trial_row(trial) for trial in report.trials],
    )
    for trial in report.trials:
        if trial.fault is not None:
            print(show.folded("  failed    ", show.one_line(f"{trial.deployment}: {trial.fault}")))
    for deployment in report.not_tried:
        print(show.folded("  not tried ", deployment))
    for said in report.advice:
        print(show.folded("look at: ", said))
    print("something serves" if report.serves else "nothing serves")


def _said(problem: Problem) -> str:
    return problem.message + (f" ({problem.remedy})" if problem.remedy else "")


def _print_machine(machine: Machine) -> None:
    rows = [
        ("cores", f"{machine.cores} physical, {machine.usable_threads} threads usable"),
        ("memory", f"{machine.free_memory_gib:.1f} of {machine.memory_gib:.1f} GiB free"),
        ("swap", f"{machine.used_swap_gib:.1f} of {machine.swap_gib:.1f} GiB used"),
        ("disk", f"{machine.free_disk_gib:.1f} GiB free where weights lie"),
    ]
    if machine.load is not None:
        rows.append(("load", f"{machine.load:.1f} over the last minute"))
    if machine.cards:
        rows += [
            ("card", f"{card.name}, {card.free_gib:.1f} of {card.memory_gib:.1f} GiB free, driver {card.driver}")
            for card in machine.cards
        ]
    else:
        rows.append(("card", machine.cards_problem or "no NVIDIA card is visible (nvidia-smi); others are not looked for"))
    show.pairs("the machine", rows)


def _trial_row(trial: Trial) -> tuple[str, str, str, str, str]:
    first = "-" if trial.first_token_s is None else f"{trial.first_token_s:.2f} s"
    speed = "-" if trial.tokens_per_s is None else f"{trial.tokens_per_s:.1f}"
    return trial.deployment, str(trial.context or "unknown"), first, speed, "answered" if trial.fault is None else "failed"
