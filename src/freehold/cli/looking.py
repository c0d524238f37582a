"""`freehold check`, `runtimes`, `models`: the configuration as Freehold understands it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from freehold.cli import show
from freehold.cli.client import url_of
from freehold.cli.finding import with_found, with_found_and_why
from freehold.cli.live import Live, ask_for_names, ask_server
from freehold.cli.setup import load_config
from freehold.config import Config, ConfigError, load
from freehold.policy.snapshot import Policy
from freehold.runtime import Deployment, Placed, Runtime, Vendor, egress_of
from freehold.server.endpoints.health import Readiness

NOT_SERVED = "not in the server"
"""The running server has other configuration, or did not find it."""
_OLLAMAS_WORDS = {"completion": "chat", "vision": "images", "thinking": "reasoning", "embedding": "embeddings"}
"""Our words for abilities, by those of `/api/show`."""


class RuntimeRow(msgspec.Struct):
    """One runtime, as configured and as it stands in the running server."""

    name: str
    egress: str
    where: str
    state: str
    detail: str
    deployments: tuple[str, ...]


class ModelRow(msgspec.Struct):
    """One name clients may ask for."""

    name: str
    means: tuple[str, ...]
    egress: tuple[str, ...]
    abilities: tuple[str, ...]
    context: int | None
    state: str = ""
    """How the runtimes behind it stand in the running server; "": none runs."""


def check(path: Path | None, *, as_json: bool) -> None:
    """Every problem with its path; warnings do not fail the check."""
    try:
        config = load(path, os.environ)
    except ConfigError as error:
        if not as_json:
            show.fail(str(error), 2)
        show.print_json({"ok": False, "problems": error.problems, "warnings": []})
        raise typer.Exit(2) from None
    policy = config.policy
    if as_json:
        show.print_json({"ok": True, "problems": [], "warnings": config.warnings, "policy_version": policy.version})
        return
    print(f"{config.source or 'no freehold.toml: the built-in defaults'}: good (policy {policy.version})")
    print(
        f"{show.counted(len(config.runtimes), 'runtime')}, {show.counted(len(policy.placed), 'deployment')}, "
        f"{show.counted(len(policy.gates), 'gate')}, {show.counted(len(policy.preferences), 'preference')}; "
        f"nothing goes further than {policy.server_ceiling}"
    )
    for warning in config.warnings:
        print(show.folded("warning: ", warning))
    for vendor in config.base.vendors:
        key = (config.runtimes[vendor].api_key or "").removeprefix("env:")
        print(show.folded("found: ", f"{key} makes '{vendor}' a runtime of class vendor"))
    for note in config.base.notes:
        print(show.folded("note: ", note))


def runtimes(path: Path | None, *, as_json: bool) -> None:
    """Each runtime, with its live state where a server runs."""
    config, not_local = with_found_and_why(load_config(path))
    live = asyncio.run(ask_server(config))
    ready = None if live is None else live.readiness
    rows = [_corrected(row, not_local) for row in _runtime_rows(config, ready)]
    if as_json:
        problems, waits = (ready.config_problems, ready.waits_for_restart) if ready is not None else ((), ())
        show.print_json({**_server(config, live), "config_problems": problems, "waits_for_restart": waits, "runtimes": rows})
        return
    if ready is not None and ready.config_problems:
        print(show.folded("the file is wrong, the last good one serves (freehold check): ", ", ".join(ready.config_problems)))
    if ready is not None and ready.waits_for_restart:
        print(show.folded("changed, and holds from the next start on: ", ", ".join(ready.waits_for_restart)))
    print(show.folded("", _whence(config, live)))
    show.table(
        "runtimes",
        ("name", "egress", "state", "where it is, what it serves"),
        [
            (row.name, row.egress, row.state, "\n".join([row.where, *([row.detail] if row.detail else []), *row.deployments]))
            for row in rows
        ],
    )


def _corrected(row: RuntimeRow, not_local: dict[str, str]) -> RuntimeRow:
    """Say of what the file calls local and is not, why."""
    said = [
        f"{name} counts as vendor, not local: {why}"
        for name, why in not_local.items()
        if name == row.name or name in row.deployments
    ]
    return msgspec.structs.replace(row, detail="; ".join(filter(None, [row.detail, *said]))) if said else row


def _runtime_rows(config: Config, live: Readiness | None) -> list[RuntimeRow]:
    states = {status.name: status for status in live.runtimes} if live is not None else {}
    rows = []
    for runtime in config.runtimes.values():
        state = states.pop(runtime.name, None)
        where = _where(runtime)
        rows.append(
            RuntimeRow(
                name=runtime.name,
                egress=egress_of(runtime).value,
                where=where,
                state=state.status if state else NOT_SERVED if live is not None else "not running",
                detail=state.detail if state and state.detail != where else "",
                deployments=tuple(placed.id for placed in config.policy.placed.values() if placed.runtime.name == runtime.name),
            )
        )
    # What the running server has and this configuration does not: it was started with another one, or with --demo.
    rows += [RuntimeRow(one.name, one.egress, one.detail or "-", one.status, "", one.deployments) for one in states.values()]
    return rows


def _server(config: Config, live: Live | None) -> dict[str, str]:
    """Whether one runs, and where it was looked for."""
    where = config.settings.server
    return {"server": "not running" if live is None else live.state, "url": url_of(where.host, where.port)}


def _whence(config: Config, live: Live | None) -> str:
    """Who told what is listed."""
    url = url_of(config.settings.server.host, config.settings.server.port)
    if live is not None:
        return f"as the {live.state} server at {url} has it"
    return f"as {config.source or 'the built-in defaults'} would have it: no server runs at {url}"


def _where(runtime: Runtime) -> str:
    if not isinstance(runtime, Vendor) and (launch := getattr(runtime, "launch", None)) is not None:
        return f"started here: {launch.engine}, {launch.weights}"
    return runtime.base_url or "-"


def models(path: Path | None, *, as_json: bool) -> None:
    """The names clients may ask for: as the running server has them, else as the configuration says."""
    config = with_found(load_config(path))
    policy = config.policy
    rows = [
        _model_row(name, policy.resolve(name) or (), policy.aliases.get(name, ()))
        for name in [*policy.listed(), *(alias for alias in policy.aliases if alias not in policy.listed())]
    ]
    live = asyncio.run(ask_for_names(config, {row.name for row in rows}))
    if live is not None:
        rows = list(_as_served(rows, live))
    if as_json:
        show.print_json({**_server(config, live), "names_told": live is not None and live.names is not None, "models": rows})
        return
    print(show.folded("", _whence(config, live)))
    if live is not None and live.names is None:
        print(show.folded("", "its list of names was not told to us: it asks for a key that is not `server.api_key` here"))
    own = [row for row in rows if row.name not in policy.aliases and row.name not in _deployments(policy, live)]
    show.table(
        "models",
        ("ask for", "egress", "context", "abilities", *(() if live is None else ("state",))),
        [
            (
                row.name,
                ", ".join(row.egress),
                str(row.context or "-"),
                ", ".join(row.abilities),
                *(() if live is None else (row.state,)),
            )
            for row in own
        ],
    )
    print()
    show.table(
        "aliases and deployments",
        ("ask for", "means, best first"),
        [(row.name, _meaning(row, policy)) for row in rows if row not in own],
    )


def _meaning(row: ModelRow, policy: Policy) -> str:
    placed = policy.placed.get(row.name)
    return ", ".join(policy.aliases.get(row.name) or ([row.name.partition("/")[2]] if placed is None else [placed.model.id]))


def _deployments(policy: Policy, live: Live | None) -> set[str]:
    """By id, here and in the server."""
    served = () if live is None else (one for runtime in live.readiness.runtimes for one in runtime.deployments)
    return {*policy.placed, *served}


def _as_served(rows: list[ModelRow], live: Live) -> Iterator[ModelRow]:
    """The rows with how each stands in the server, and behind them those of names that only the server has."""
    for row in rows:
        is_told = live.names is not None and row.name in live.names
        means = (live.meant_by(row.name) if is_told else ()) or row.means
        is_served = is_told or live.names is None or "*" in row.name
        yield msgspec.structs.replace(
            row,
            means=means,
            egress=live.egress_of(means) or row.egress,
            state=(live.states_of(means) if is_served else "") or NOT_SERVED,
        )
    for name, told in live.facts.items():
        means = live.meant_by(name)
        yield ModelRow(
            name=name,
            means=means,
            egress=live.egress_of(means),
            abilities=tuple(sorted(_OLLAMAS_WORDS.get(one, one) for one in told.capabilities)),
            context=told.model_info.context,
            state=live.states_of(means),
        )


def _model_row(name: str, meant: tuple[Placed, ...], alias: tuple[str, ...]) -> ModelRow:
    return ModelRow(
        name=name,
        means=tuple(placed.id for placed in meant) or alias,
        egress=tuple(sorted({placed.egress.value for placed in meant})),
        abilities=tuple(sorted({ability for placed in meant for ability in _abilities(placed.deployment)})),
        context=max((placed.deployment.abilities.context or 0 for placed in meant), default=0) or None,
    )


def _abilities(deployment: Deployment) -> list[str]:
    return [name for name, value in msgspec.structs.asdict(deployment.abilities).items() if value is True]
