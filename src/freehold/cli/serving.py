"""`freehold serve`: the gateway in the foreground."""

import asyncio
import sys
from pathlib import Path

import uvloop

from freehold.cli import show
from freehold.cli.setup import load_config
from freehold.config import Config
from freehold.server.app import App, wall_ms
from freehold.server.demo import Demo, with_demo
from freehold.server.listener import Listener
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log, open_log
from freehold.telemetry.stdlib import route_stdlib


def serve(path: Path | None, *, host: str | None, port: int | None, demo: bool) -> None:
    """Serve until a signal says stop."""
    config = load_config(path)
    settings = config.settings
    log = open_log(now_ms=wall_ms, level=settings.log.level, form="json" if settings.log.format == "json" else "human")
    route_stdlib(log)
    for warning in config.warnings:
        log.event("config.warning", level="warning", text=warning)
    where = (host or settings.server.host, settings.server.port if port is None else port)
    if config.server_key is None and where[0] not in {"127.0.0.1", "::1", "localhost"}:
        show.fail(f"listening on {where[0]} needs server.api_key: anybody who reaches that address could spend and read", 2)
    try:
        uvloop.run(_serve(config, log, *where, demo=demo))
    except (RuntimeError, OSError, StoreError) as error:
        show.fail(str(error))


async def _serve(config: Config, log: Log, host: str, port: int, *, demo: bool) -> None:
    fake = Demo() if demo else None
    if fake is not None:
        config = with_demo(config, await fake.start())
    app = App(config, log)
    listener = Listener(app.gateway, host=host, port=port, drain_s=config.settings.server.drain_s, takes_signals=True)
    try:
        bound = await listener.start()
        app.open_door(host, bound)
        _print_banner(app, host, bound)
        await listener.wait()
    finally:
        if fake is not None:
            await fake.stop()


def _print_banner(app: App, host: str, port: int) -> None:
    policy = app.config.policy
    named = f"[{host}]" if ":" in host else host
    print(
        f"Freehold serves on http://{named}:{port}  (policy {policy.version}, nothing goes further than {policy.server_ceiling})"
    )
    print(f"  OpenAI clients:    base URL http://{named}:{port}/v1, any key")
    print(f"  Anthropic clients: base URL http://{named}:{port}, any key")
    for status in app.readiness().runtimes:
        print(
            f"  {status.egress:<12} {status.name:<16} {status.status:<11} {', '.join(status.deployments)} {status.detail}".rstrip()
        )
    sys.stdout.flush()


async def ready_engines(app: App) -> None:
    """Wait until every engine is ready or known to have failed."""
    async with asyncio.timeout(120):
        await app.engines.ready()
