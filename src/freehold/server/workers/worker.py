"""One worker: a whole gateway but for the socket and the engines, which the parent has.

Promised: it ends when the parent does, draining first; it starts by the configuration that the parent last found good,
and follows the file by itself from then on.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import uvloop

from freehold.config import ConfigError, read_config
from freehold.gateways.audit_hook import watch_egress
from freehold.gateways.connector import adopt, read_base_url
from freehold.server.app import App
from freehold.server.calm import calm_collector
from freehold.server.clock import wall_ms
from freehold.server.demo import with_demo
from freehold.server.listener import Listener
from freehold.server.reload import Reading, following
from freehold.server.signals import on_signal, to_the_end
from freehold.server.workers.messages import (
    LONGEST_BYTES,
    Begin,
    EnginesAre,
    Follows,
    FromWorker,
    LetGo,
    Serving,
    digest,
    line,
    read_for_worker,
)
from freehold.server.workers.told import ToldEngines
from freehold.storage.store import StoreError
from freehold.telemetry.log import open_log
from freehold.telemetry.stdlib import route_stdlib

FIRST_LOOK_S = 1.0
"""At the engines on this machine, before the first answer."""


class Parent:
    """The way to the parent and back. Made first of all, before any library can print."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)

    def tell(self, message: FromWorker) -> None:
        """Say something; a parent that is gone is noticed elsewhere."""
        with contextlib.suppress(OSError):
            os.write(self._out, line(message))

    @staticmethod
    async def lines() -> asyncio.StreamReader:
        """What the parent says."""
        reader = asyncio.StreamReader(limit=LONGEST_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return reader


def main() -> None:
    """Work until told to stop."""
    parent = Parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is understood
    try:
        uvloop.run(to_the_end(_work(parent)))
    except (ConfigError, StoreError, RuntimeError, OSError) as error:
        sys.stderr.write(f"a worker cannot serve: {error}\n")
        sys.exit(1)


async def _work(parent: Parent) -> None:
    lines = await parent.lines()
    first = await lines.readline()
    if not first:
        return
    begin = read_for_worker(first)
    assert isinstance(begin, Begin)
    config = read_config(begin.text, os.environ, None if begin.source is None else Path(begin.source))
    settings = config.settings
    log = open_log(now_ms=wall_ms, level=settings.log.level, form="json" if settings.log.format == "json" else "human")
    route_stdlib(log)
    engines = ToldEngines(config.launches, lambda base_url: parent.tell(LetGo(base_url)))
    app = App(config, log, engines=engines, spill=Path(begin.spill))
    watch_egress(app.is_local_only, log.event)
    engines.is_in_use = lambda base_url: app.upstreams.is_in_use(read_base_url(base_url))
    if begin.demo_url is not None:
        demo_url = begin.demo_url
        app.lay_over("demo", lambda base: with_demo(base, demo_url))
    await _serve(app, begin, lines, engines, parent)


async def _serve(app: App, begin: Begin, lines: asyncio.StreamReader, engines: ToldEngines, parent: Parent) -> None:
    server = app.config.settings.server
    listener = Listener(
        app.gateway,
        host=begin.host,
        port=begin.port,
        drain_s=server.drain_s,
        keepalive_s=server.keepalive_s,
        takes_signals=True,
        listening=adopt(begin.listening_fd),
    )
    await listener.bind()
    app.open_door(begin.host, begin.port)
    first = read_for_worker(await lines.readline())
    assert isinstance(first, EnginesAre)
    engines.hear(first.engines)

    async def start() -> None:
        """A worker that takes another's place knows what that one knew before it answers anybody."""
        await app.start()
        await app.discovering.has_looked_within(FIRST_LOOK_S)

    app.gateway.start = start
    await listener.start()
    calm_collector()
    hearing = asyncio.get_running_loop().create_task(_hear(lines, engines, listener), name="parent")

    def tell(reading: Reading) -> None:
        """The parent says what changed, once for all."""
        parent.tell(Follows("" if reading.served is None else digest(app.base.text), reading.problems))

    try:
        async with following(app, os.environ, app.log, tell) as reloader:
            on_signal(signal.SIGHUP, reloader.ask)
            parent.tell(Serving())
            await listener.wait()
    finally:
        hearing.cancel()


async def _hear(lines: asyncio.StreamReader, engines: ToldEngines, listener: Listener) -> None:
    """Follow the parent; without one, drain and end."""
    while text := await lines.readline():
        message = read_for_worker(text)
        if isinstance(message, EnginesAre):
            engines.hear(message.engines)
    listener.end()


if __name__ == "__main__":
    main()
