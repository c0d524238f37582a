"""`freehold serve`: the gateway in the foreground."""

import os
import sys
from pathlib import Path
from signal import SIG_IGN, SIGHUP, signal
from typing import NoReturn

import uvloop

from freehold.cli import show
from freehold.cli.banner import print_banner
from freehold.cli.fenced import start_over
from freehold.cli.setup import load_config
from freehold.config import Config
from freehold.gateways.audit_hook import watch_egress
from freehold.gateways.connector import adopt, bind_listening
from freehold.policy.concerns import NOTHING_CONFIGURED
from freehold.server.app import App
from freehold.server.calm import calm_collector
from freehold.server.clock import wall_ms
from freehold.server.demo import Demo, with_demo
from freehold.server.listener import Listener
from freehold.server.reload import following
from freehold.server.signals import on_signal, stop_at_once, to_the_end
from freehold.server.stores import journal_place, store_place
from freehold.storage.leftovers import take_over
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log, open_log
from freehold.telemetry.stdlib import route_stdlib

FIRST_LOOK_S = 0.25
"""The banner waits this long for the engines of this machine; what is found later is in the log."""


def serve(
    path: Path | None, *, host: str | None, port: int | None, demo: bool, fence: bool = False, listening_fd: int | None = None
) -> None:
    """Serve until a signal says stop. `listening_fd`: the address as a socket, inside a fence that stands."""
    stop_at_once()
    config = load_config(path)
    settings = config.settings
    log = open_log(now_ms=wall_ms, level=settings.log.level, form="json" if settings.log.format == "json" else "human")
    route_stdlib(log)
    for warning in config.warnings:
        if demo and warning == NOTHING_CONFIGURED:
            continue
        log.event("config.warning", level="warning", says=warning)
    signal(SIGHUP, SIG_IGN)  # until it means "read the configuration again": it must not end a start
    where = (host or settings.server.host, settings.server.port if port is None else port)
    if config.server_key is None and not settings.server.require_keys and where[0] not in {"127.0.0.1", "::1", "localhost"}:
        show.fail(
            f"listening on {where[0]} needs server.api_key or server.require_keys: anybody who reaches that address could spend and read",
            2,
        )
    if fence:
        _go_inside(path, *where, demo=demo)
    if listening_fd is not None:
        _tell_of_fence(config, log)
    run = _serve if settings.server.workers == 1 else _serve_by_workers
    try:
        uvloop.run(to_the_end(run(config, log, *where, demo=demo, listening_fd=listening_fd)))
    except (RuntimeError, OSError, StoreError) as error:
        show.fail(show.reason(error))


def _go_inside(path: Path | None, host: str, port: int, *, demo: bool) -> NoReturn:
    """Take the address out here, and start over inside the fence."""
    named = "127.0.0.1" if host == "localhost" else host
    try:
        listening_fd = bind_listening(named, port)
    except OSError:
        show.fail(f"{named}:{port} is in use or may not be bound; choose another with --port")
    start_over(listening_fd, ["" if path is None else str(path), host, str(port), "1" if demo else "0"])


def _tell_of_fence(config: Config, log: Log) -> None:
    """Say that it stands, and what can therefore not be reached."""
    beyond = [name for name in config.runtimes if name not in config.launches]
    log.event("fence.stands", devices="lo", unreachable=", ".join(beyond))


async def _serve(config: Config, log: Log, host: str, port: int, *, demo: bool, listening_fd: int | None) -> None:
    had_terminal = _has_terminal()
    fake = Demo() if demo else None
    app, settings = App(config, log), config.settings.server
    if fake is not None:
        demo_url = await fake.start()
        app.lay_over("demo", lambda base: with_demo(base, demo_url))
    watch_egress(app.is_local_only, log.event)
    listener = Listener(
        app.gateway,
        host=host,
        port=port,
        drain_s=settings.drain_s,
        keepalive_s=settings.keepalive_s,
        takes_signals=True,
        listening=None if listening_fd is None else adopt(listening_fd),
    )
    _take_over_journals(config)
    try:
        # The address before the engines, and the names it is reached by before the first request.
        bound = await listener.bind()
        app.open_door(host, bound)
        async with following(app, os.environ, log) as reloader:
            on_signal(SIGHUP, lambda: reloader.ask() if _has_terminal() or not had_terminal else listener.end())
            await listener.start()
            await app.discovering.has_looked_within(FIRST_LOOK_S)
            print_banner(app, host, bound)
            calm_collector()
            await listener.wait()
    finally:
        if fake is not None:
            await fake.stop()


async def _serve_by_workers(config: Config, log: Log, host: str, port: int, *, demo: bool, listening_fd: int | None) -> None:
    from freehold.server.workers.parent import Parent

    fake = Demo() if demo else None
    demo_url = None if fake is None else await fake.start()
    listening = None if listening_fd is None else adopt(listening_fd)
    parent = Parent(config, log, host=host, port=port, demo_url=demo_url, listening=listening)
    watch_egress(parent.app.is_local_only, log.event)
    if demo_url is not None:
        parent.app.lay_over("demo", lambda base: with_demo(base, demo_url))
    try:
        await parent.run(os.environ, lambda app, bound: print_banner(app, host, bound))
    finally:
        if fake is not None:
            await fake.stop()


def _take_over_journals(config: Config) -> None:
    """Rows that several processes left when they served here last."""
    take_over(store_place(config), journal_place(config))


def _has_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
