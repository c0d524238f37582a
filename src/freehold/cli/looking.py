"""`freehold check`, `runtimes`, `models`: the configuration as Freehold understands it."""

import asyncio
import os
from pathlib import Path

import msgspec

from freehold.cli import show
from freehold.cli.setup import load_config
from freehold.runtime import Deployment, Runtime, Vendor, egress_of
from freehold.server.endpoints.health import Readiness


def check(path: Path | None, *, as_json: bool) -> None:
    """Every problem with its path; warnings do not fail the check."""
    from freehold.config import ConfigError, load

    try:
        config = load(path, os.environ)
    except ConfigError as error:
        if as_json:
            show.print_json({"ok": False, "problems": error.problems, "warnings": []})
            raise SystemExit(2) from None
        show.fail(str(error), 2)
    policy = config.policy
    if as_json:
        show.print_json({"ok": True, "problems": [], "warnings": config.warnings, "policy_version": policy.version})
        return
    print(f"{config.source or 'no freehold.toml: the built-in defaults'}: good (policy {policy.version})")
    print(
        f"{len(config.runtimes)} runtimes, {len(policy.placed)} deployments, {len(policy.gates)} gates, "
        f"{len(policy.preferences)} preferences; nothing goes further than {policy.server_ceiling}"
    )
    for warning in config.warnings:
        print(f"warning: {warning}")


def runtimes(path: Path | None, *, as_json: bool) -> None:
    """Each runtime, with its live state where a server runs."""
    config = load_config(path)
    server = config.settings.server
    live = asyncio.run(_live(server.host, server.port))
    states = {status.name: status for status in live.runtimes} if live is not None else {}
    rows = []
    for runtime in config.runtimes.values():
        state = states.get(runtime.name)
        rows.append(
            {
                "name": runtime.name,
                "egress": egress_of(runtime).value,
                "where": _where(runtime),
                "state": state.status if state else "not running",
                "detail": state.detail if state else "",
                "deployments": [placed.id for placed in config.policy.placed.values() if placed.runtime.name == runtime.name],
            }
        )
    if as_json:
        show.print_json({"server": "running" if live else "not running", "runtimes": rows})
        return
    show.table(
        f"runtimes (server {'running' if live else 'not running'})",
        ("name", "egress", "where", "state", "deployments"),
        [
            (
                str(row["name"]),
                str(row["egress"]),
                str(row["where"]),
                f"{row['state']} {row['detail']}".strip(),
                ", ".join(row["deployments"]),
            )
            for row in rows
        ],
    )


async def _live(host: str, port: int) -> Readiness | None:
    from freehold.cli.client import GatewayClient

    client = GatewayClient(host, port, None)
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
    config = load_config(path)
    policy = config.policy
    rows = []
    for name in [*policy.listed(), *(alias for alias in policy.aliases if alias not in policy.listed())]:
        meant = policy.resolve(name) or ()
        rows.append(
            {
                "name": name,
                "means": [placed.id for placed in meant] or list(policy.aliases.get(name, ())),
                "egress": sorted({placed.egress.value for placed in meant}),
                "abilities": sorted({ability for placed in meant for ability in _abilities(placed.deployment)}),
                "context": max((placed.deployment.abilities.context or 0 for placed in meant), default=0) or None,
            }
        )
    if as_json:
        show.print_json(rows)
        return
    show.table(
        "models and aliases",
        ("ask for", "means", "egress", "abilities", "context"),
        [
            (
                str(row["name"]),
                ", ".join(row["means"]),  # type: ignore[arg-type]  # lists of texts, made above
                ", ".join(row["egress"]),  # type: ignore[arg-type]
                ", ".join(row["abilities"]),  # type: ignore[arg-type]
                str(row["context"] or "-"),
            )
            for row in rows
        ],
    )


def _abilities(deployment: Deployment) -> list[str]:
    return [name for name, value in msgspec.structs.asdict(deployment.abilities).items() if value is True]
