"""Hot reload: watches the configuration's files and makes a running server follow them.

Promised: a file that changed is read once it has settled, checked whole in a thread, and served by at once; one that is
wrong, half written or gone leaves the last good one serving, and says so in the log and at `/readyz`. Polled, because a
poll survives whatever an editor or a deployment tool does to a file. Not done here: what a change means (`App.apply`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from freehold.config import Config, ConfigError, find_source, load
from freehold.config.watched import Stamp, stamps, watched_files
from freehold.server.app import App
from freehold.server.swap import Changes
from freehold.telemetry.log import Log

LOOK_EACH_S = 1.0
SETTLES_S = 0.1
"""A file that did not change for this long is taken to be whole."""
LONGEST_SETTLING_S = 5.0
RETRY_EACH_S = 5.0
"""While the file is wrong, it is read again this often: what it lacks (a secret's file) may not be watched yet."""


class Reading(NamedTuple):
    """What came of reading the configuration once."""

    problems: tuple[str, ...] = ()
    """Why the last good one keeps serving; none: this one serves now."""
    served: Config | None = None
    changes: Changes | None = None
    is_news: bool = True
    """False: nothing is different."""
    is_asked: bool = False
    """Somebody wanted it read (SIGHUP)."""


def logged(log: Log) -> "Callable[[Reading], None]":
    """Each reading as it stands in the log."""

    def say(reading: Reading) -> None:
        if reading.served is None or reading.changes is None:
            log_refused(log, reading.problems)
            return
        source = reading.served.source and str(reading.served.source)
        if not reading.is_news:
            if reading.is_asked:
                log.event("config.unchanged", source=source)
            return
        log.event("config.reloaded", source=source, changes=reading.changes.facts())
        for warning in reading.served.warnings:
            log.event("config.warning", level="warning", says=warning)

    return say


def log_refused(log: Log, problems: tuple[str, ...], **whose: int) -> None:
    """The configuration cannot be served; `whose`: by which worker, where not by all."""
    log.event("config.refused", level="error", problems=problems, says="the last good configuration keeps serving", **whose)


@asynccontextmanager
async def following(
    app: App, environ: Mapping[str, str], log: Log, tell: "Callable[[Reading], None] | None" = None
) -> "AsyncIterator[Reloader]":
    """Watch while the context lasts. `tell` hears of each reading; without one the log does."""
    reloader = Reloader(app, environ, log, tell)
    task = asyncio.get_running_loop().create_task(reloader.run(), name="reload")
    try:
        yield reloader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Reloader:
    """Keeps one app at what its configuration says."""

    def __init__(self, app: App, environ: Mapping[str, str], log: Log, tell: "Callable[[Reading], None] | None" = None) -> None:
        self._app, self._environ, self._log = app, environ, log
        self._tell = tell or logged(log)
        self._seen: dict[Path, Stamp] = {}
        """As they were before they were read last. Empty: the first look reads once more what the start has read."""
        self._problems: tuple[str, ...] = ()
        self._waiting: tuple[str, ...] = ()
        self._asked = asyncio.Event()
        self._read_at_s = 0.0

    def ask(self) -> None:
        """Read everything again now, whether it changed or not (SIGHUP)."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            is_asked = await self._next_look()
            try:
                await self._look(is_asked=is_asked)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the watch: what serves is in order
                self._log.defect("config.watch_failed", error)

    async def _next_look(self) -> bool:
        """Wait for the next look. True: somebody asked for it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), LOOK_EACH_S)
        is_asked = self._asked.is_set()
        self._asked.clear()
        return is_asked

    async def _look(self, *, is_asked: bool) -> None:
        now = await self._stamps()
        if not is_asked:
            is_late = asyncio.get_running_loop().time() - self._read_at_s >= RETRY_EACH_S
            if now == self._seen and not (self._problems and is_late):
                return
            now = await self._settled(now)
        await self._reload(now, is_asked=is_asked)

    async def _settled(self, now: dict[Path, Stamp]) -> dict[Path, Stamp]:
        for _ in range(round(LONGEST_SETTLING_S / SETTLES_S)):
            before = now
            await asyncio.sleep(SETTLES_S)
            now = await self._stamps()
            if now == before:
                break
        return now

    async def _reload(self, now: dict[Path, Stamp], *, is_asked: bool) -> None:
        self._seen, self._read_at_s = now, asyncio.get_running_loop().time()
        source = self._source()
        if source is not None and now.get(source) is None:
            self._keep((f"{source.name}: is gone",))
            return
        try:
            config = await asyncio.to_thread(load, source, self._environ)
            changes = self._app.rebase(config)
        except ConfigError as error:
            self._keep(tuple(str(problem) for problem in error.problems), tuple(problem.path for problem in error.problems))
            return
        except ValueError as error:
            self._keep((str(error),))
            return
        was_wrong, self._problems = bool(self._problems), ()
        self._app.config_problems = ()
        is_news = changes.has_effect or was_wrong or changes.waits_for_restart != self._waiting
        self._waiting = self._app.waits_for_restart = changes.waits_for_restart
        self._tell(Reading(served=config, changes=changes, is_news=is_news, is_asked=is_asked))

    def _keep(self, problems: tuple[str, ...], places: tuple[str, ...] | None = None) -> None:
        """Say, once, why the last good configuration keeps serving. Where anybody may look, only the places are told."""
        if problems == self._problems:
            return
        self._problems = problems
        self._app.config_problems = places or problems
        self._tell(Reading(problems))

    def _source(self) -> Path | None:
        """The file that was started with, for good; where there was none, one that has appeared."""
        return self._app.base.source or find_source(self._environ)

    async def _stamps(self) -> dict[Path, Stamp]:
        return await asyncio.to_thread(lambda: stamps(watched_files(self._app.base, self._source())))
