"""`freehold serve`: the gateway in the foreground."""

import asyncio
import gc
import os
import sys
from pathlib import Path
from signal import SIG_IGN, SIGHUP, signal

import uvloop

from freehold.cli import show
from freehold.cli.banner import print_banner
from freehold.cli.setup import load_config
from freehold.config import Config
from freehold.server.app import App, wall_ms
from freehold.server.demo import Demo, with_demo
from freehold.server.listener import Listener
from freehold.server.reload import following
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log, open_log
from freehold.telemetry.stdlib import route_stdlib

FIRST_LOOK_S = 0.25
"""The banner waits this long for the engines of this machine; what is found later is in the log."""


def serve(path: Path | None, *, host: str | None, port: int | None, demo: bool) -> None:
    """Serve until a signal says stop."""
    config = load_config(path)
    settings = config.settings
    log = open_log(now_ms=wall_ms, level=settings.log.level, form="json" if settings.log.format == "json" else "human")
    route_stdlib(log)
    for warning in config.warnings:
        log.event("config.warning", level="warning", says=warning)
    signal(SIGHUP, SIG_IGN)  # until it means "read the configuration again": it must not end a start
    where = (host or settings.server.host, settings.server.port if port is None else port)
    if config.server_key is None and where[0] not in {"127.0.0.1", "::1", "localhost"}:
        show.fail(f"listening on {where[0]} needs server.api_key: anybody who reaches that address could spend and read", 2)
    try:
        uvloop.run(_serve(config, log, *where, demo=demo))
    except (RuntimeError, OSError, StoreError) as error:
        show.fail(str(error))


async def _serve(config: Config, log: Log, host: str, port: int, *, demo: bool) -> None:
    loop, had_terminal = asyncio.get_running_loop(), _has_terminal()
    fake = Demo() if demo else None
    app, settings = App(config, log), config.settings.server
    if fake is not None:
        demo_url = await fake.start()
        app.lay_over("demo", lambda base: with_demo(base, demo_url))
    listener = Listener(
        app.gateway, host=host, port=port, drain_s=settings.drain_s, keepalive_s=settings.keepalive_s, takes_signals=True
    )
    try:
        # The address before the engines, and the names it is reached by before the first request.
        bound = await listener.bind()
        app.open_door(host, bound)
        await listener.start()
        await app.discovering.has_looked_within(FIRST_LOOK_S)
        print_banner(app, host, bound)
        calm_collector()
        async with following(app, os.environ, log) as reloader:
            loop.add_signal_handler(SIGHUP, lambda: reloader.ask() if _has_terminal() or not had_terminal else listener.end())
            await listener.wait()
    finally:
        if fake is not None:
            await fake.stop()


def _has_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def calm_collector() -> None:
    """Leave what start-up made out of garbage collection, and collect less often.

    Requests leave no cycles behind, so young collections find nothing; a full one would stop every stream for tens of ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
