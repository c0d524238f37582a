"""`freehold check`, `runtimes`, `models`: the configuration as Freehold understands it."""

import asyncio
import os
from pathlib import Path

import msgspec
import typer

from freehold.cli import show
from freehold.cli.finding import with_found, with_found_and_why
from freehold.cli.setup import load_config
from freehold.config import Config, ConfigError, load
from freehold.runtime import Deployment, Placed, Runtime, Vendor, egress_of
from freehold.server.endpoints.health import Readiness


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
        f"{_counted(len(config.runtimes), 'runtime')}, {_counted(len(policy.placed), 'deployment')}, "
        f"{_counted(len(policy.gates), 'gate')}, {_counted(len(policy.preferences), 'preference')}; "
        f"nothing goes further than {policy.server_ceiling}"
    )
    for warning in config.warnings:
        print(show.folded("warning: ", warning))
    for vendor in config.base.vendors:
        key = (config.runtimes[vendor].api_key or "").removeprefix("env:")
        print(show.folded("found: ", f"{key} makes '{vendor}' a runtime of class vendor"))
    for note in config.base.notes:
        print(show.folded("note: ", note))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def runtimes(path: Path | None, *, as_json: bool) -> None:
    """Each runtime, with its live state where a server runs."""
    config, not_local = with_found_and_why(load_config(path))
    live = asyncio.run(ask_server(config))
    rows = [_corrected(row, not_local) for row in _runtime_rows(config, live)]
    server = "not running" if live is None else "stopping" if live.stopping else "running"
    if as_json:
        problems, waits = (live.config_problems, live.waits_for_restart) if live is not None else ((), ())
        show.print_json({"server": server, "config_problems": problems, "waits_for_restart": waits, "runtimes": rows})
        return
    if live is not None and live.config_problems:
        print(show.folded("the file is wrong, the last good one serves (freehold check): ", ", ".join(live.config_problems)))
    if live is not None and live.waits_for_restart:
        print(show.folded("changed, and holds from the next start on: ", ", ".join(live.waits_for_restart)))
    show.table(
        f"runtimes (the server is {server})",
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
                state=state.status if state else "not running",
                detail=state.detail if state and state.detail != where else "",
                deployments=tuple(placed.id for placed in config.policy.placed.values() if placed.runtime.name == runtime.name),
            )
        )
    # What the running server has and this configuration does not: it was started with another one, or with --demo.
    rows += [RuntimeRow(one.name, one.egress, one.detail or "-", one.status, "", one.deployments) for one in states.values()]
    return rows


async def ask_server(config: Config) -> Readiness | None:
    """How things stand in the running server; None: none runs."""
    from freehold.cli.client import GatewayClient

    client = GatewayClient(config.settings.server.host, config.settings.server.port, None)
    try:
        return await client.readiness()
    finally:
        await client.close()


def _where(runtime: Runtime) -> str:
    if not isinstance(runtime, Vendor) and (launch := getattr(runtime, "launch", None)) is not None:
        return f"started here: {launch.engine}, {launch.weights}"
    return runtime.base_url or "-"


def models(path: Path | None, *, as_json: bool) -> None:
    """The names clients may ask for."""
    policy = with_found(load_config(path)).policy
    rows = [
        _model_row(name, policy.resolve(name) or (), policy.aliases.get(name, ()))
        for name in [*policy.listed(), *(alias for alias in policy.aliases if alias not in policy.listed())]
    ]
    if as_json:
        show.print_json(rows)
        return
    own = [row for row in rows if row.name not in policy.aliases and row.name not in policy.placed]
    show.table(
        "models",
        ("ask for", "egress", "context", "abilities"),
        [(row.name, ", ".join(row.egress), str(row.context or "-"), ", ".join(row.abilities)) for row in own],
    )
    print()
    show.table(
        "aliases and deployments",
        ("ask for", "means, best first"),
        [
            (row.name, ", ".join(policy.aliases.get(row.name) or [policy.placed[row.name].model.id]))
            for row in rows
            if row not in own
        ],
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
