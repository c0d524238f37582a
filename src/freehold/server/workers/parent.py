"""The parent: owns the address and the engines, keeps its workers alive, and passes on what it is told.

Promised: the socket stays open while workers come and go, so that a connection waits and is not refused; a worker that
dies is started again after 0.2 s, doubling to 10 s while they keep dying; a rolling restart (SIGUSR2) begins each new
worker before it ends the old one. SIGTERM drains all of them, a second one ends them at once, SIGHUP reaches each. Not
done here: serving, deciding, recording.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from freehold.config import Config
from freehold.gateways.connector import Connector
from freehold.gateways.http import Upstreams
from freehold.gateways.local_get import make_local_get
from freehold.local.supervisor import Engines
from freehold.runtime import Egress, Launch
from freehold.server.app import App
from freehold.server.listener import take_address
from freehold.server.reload import Reading, Reloader, following, log_refused, logged
from freehold.server.signals import on_signal
from freehold.server.stores import store_place, store_url
from freehold.server.workers.messages import Begin, EnginesAre, Follows, LetGo, Serving, digest, line, read_for_parent, told
from freehold.storage.engine import create_tables, open_engine
from freehold.storage.leftovers import own_journal, take_over
from freehold.storage.store import prepare
from freehold.telemetry.log import Log

FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 10.0
FORGIVEN_AFTER_S = 60.0
BEGINS_WITHIN_S = 60.0
SPARE_STOP_S = 15.0
"""Beyond the drain: for last words and last rows."""
COMMAND = (sys.executable, "-P", "-m", "freehold.server.workers.worker")


class Worker:
    """One process, from its start to its end."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.process = process
        self.serves = asyncio.Event()
        self.gone = asyncio.Event()
        self.replaced = asyncio.Event()
        """After it was gone: another has its slot, or none is to have it."""
        self.text_digest = ""
        """Of the configuration that it serves by."""
        self.let_go: set[str] = set()
        """Engines that were taken from the table and that it does not call any more."""

    def tell(self, data: bytes) -> None:
        """Write to it; one that is ending is noticed by its end."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(data)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class _Announced(Engines):
    """Engines whose every change is told."""

    announce: Callable[[], None]

    def change(self, launches: Mapping[str, Launch]) -> frozenset[str]:
        """As `Engines.change`."""
        kept = super().change(launches)
        self.announce()
        return kept


class Parent:
    """Runs until told to stop."""

    def __init__(self, config: Config, log: Log, *, host: str, port: int, demo_url: str | None, listening: Any = None) -> None:
        """`listening`: a bound socket object that somebody else opened; host and port then only name it."""
        self._listening = listening
        self._log, self._host, self._port, self._demo_url = log, host, port, demo_url
        self._store = store_url(config)
        self._connector = Connector(Egress.LOCAL)
        self._upstreams = Upstreams(self._connector)
        loop = asyncio.get_running_loop()
        self._engines = _Announced(
            config.launches,
            config.data_dir,
            get=make_local_get(self._upstreams),
            log=log.event,
            now=loop.time,
            is_in_use=lambda base_url: any(base_url not in worker.let_go for worker in self._workers),
            retire_s=config.settings.server.drain_s,
        )
        self._engines.announce = self._tell_engines
        self._engines.on_change(lambda _name, _state: self._tell_engines())
        self.app = App(config, log, engines=self._engines)
        """Never started: it follows the configuration, and says how things stand."""
        self._slots: list[Worker | None] = [None] * config.settings.server.workers
        self._workers: set[Worker] = set()
        self._watches: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._number = 0
        self._delays = [FIRST_DELAY_S] * len(self._slots)
        self._rolling: asyncio.Task[None] | None = None
        self._log_reading = logged(log)
        self._refused: set[tuple[str, ...]] = set()
        """What was said of the configuration that cannot be served now."""
        self._followed = digest(self.app.base.text)

    async def run(self, environ: Mapping[str, str], say_ready: Callable[[App, int], None]) -> None:
        """Serve. Raises RuntimeError or StoreError when that cannot begin."""
        port = self._bind()
        await asyncio.to_thread(self._prepare_store)
        self._take_signals()
        self._engines.start()
        try:
            for slot in range(len(self._slots)):
                await self._fill(slot)
            await self._all_serve()
            async with following(self.app, environ, self._log, self._has_read) as reloader:
                on_signal(signal.SIGHUP, lambda: self._read_again(reloader))
                on_signal(signal.SIGUSR2, self._roll)
                self._log.event("server.started", workers=len(self._slots), policy=self.app.config.policy.version)
                self.app.open_door(self._host, port)
                say_ready(self.app, port)
                await self._stopping.wait()
        finally:
            await self._end()

    def _bind(self) -> int:
        if self._listening is None:
            self._listening = take_address(self._host, self._port)
        self._port = int(self._listening.getsockname()[1])
        return self._port

    def _prepare_store(self) -> None:
        """Once, before anybody writes: the file, its schema, its tables, and what an earlier run left."""
        prepare(self._store)
        engine = open_engine(self._store)
        try:
            create_tables(engine)
        finally:
            engine.dispose()

    def _take_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            on_signal(number, self._told_to_stop)
        for number in (signal.SIGHUP, signal.SIGUSR2):  # until it serves: the default would end it
            on_signal(number, lambda: None)

    def _told_to_stop(self) -> None:
        """Nothing new is taken from here on: the parent's hold on the socket was the last one that lasts."""
        if self._listening is not None:
            self._listening.close()
        self._stopping.set()
        self._pass_on(signal.SIGTERM)

    def _read_again(self, reloader: Reloader) -> None:
        reloader.ask()
        self._pass_on(signal.SIGHUP)

    def _has_read(self, reading: Reading) -> None:
        """Say what came of it; of workers only what differs, and when all of them have come after."""
        if reading.served is None:
            self._say_refused(reading.problems)
            self._refused = {reading.problems}
            return
        self._refused.clear()
        self._log_reading(reading)
        self._say_when_all_follow()

    def _say_refused(self, problems: tuple[str, ...], **whose: int) -> None:
        if problems not in self._refused:
            self._refused.add(problems)
            log_refused(self._log, problems, **whose)

    def _say_when_all_follow(self) -> None:
        """Nobody is served by an older configuration any more."""
        wanted = digest(self.app.base.text)
        if wanted != self._followed and {worker.text_digest for worker in self._workers} == {wanted}:
            self._followed = wanted
            self._log.event("workers.follow", workers=len(self._workers), policy=self.app.config.policy.version)

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            # One that has just begun does not know what SIGHUP means, and reads the file anyway.
            if number != signal.SIGHUP or worker.serves.is_set():
                worker.signal(number)

    async def _begin(self, slot: int) -> Worker:
        """Start a worker for a slot, which is its own once it stands there; it serves when `Worker.serves` is set."""
        self._number += 1
        path = store_place(self.app.config)
        spill = own_journal(path, self._number)
        alive = {own_journal(path, worker.number) for worker in self._workers}
        await asyncio.to_thread(take_over, path, spill, alive)
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(self._listening.fileno(),),
            start_new_session=True,
        )
        worker = Worker(self._number, process)
        base = self.app.base
        begin = Begin(
            number=self._number,
            listening_fd=self._listening.fileno(),
            host=self._host,
            port=self._port,
            source=None if base.source is None else str(base.source),
            text=base.text,
            spill=str(spill),
            demo_url=self._demo_url,
        )
        worker.text_digest = digest(base.text)
        worker.tell(line(begin))
        worker.tell(self._engines_line())
        self._workers.add(worker)
        task = asyncio.get_running_loop().create_task(self._watch(worker, slot), name=f"worker {worker.number}")
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)
        if self._stopping.is_set():
            worker.signal(signal.SIGTERM)
        return worker

    async def _fill(self, slot: int) -> Worker:
        before = self._slots[slot]
        worker = await self._begin(slot)
        if self._slots[slot] is before:
            self._slots[slot] = worker
        else:  # a rolling restart filled it meanwhile
            worker.signal(signal.SIGTERM)
        return worker

    async def _watch(self, worker: Worker, slot: int) -> None:
        """Hear it until it ends; where its slot is still its own by then, fill it again."""
        loop = asyncio.get_running_loop()
        born_s = loop.time()
        await self._hear(worker)
        code = await worker.process.wait()
        self._workers.discard(worker)
        self._say_when_all_follow()
        worker.gone.set()
        await self._replace(worker, slot, code, lived_s=loop.time() - born_s)
        worker.replaced.set()

    async def _replace(self, worker: Worker, slot: int, code: int, *, lived_s: float) -> None:
        if self._stopping.is_set() or self._slots[slot] is not worker:
            return
        if lived_s >= FORGIVEN_AFTER_S:
            self._delays[slot] = FIRST_DELAY_S
        delay_s, self._delays[slot] = self._delays[slot], min(self._delays[slot] * 2, LONGEST_DELAY_S)
        self._log.event("worker.died", level="error", number=worker.number, pid=worker.process.pid, exit=code, again_in_s=delay_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        while not self._stopping.is_set() and self._slots[slot] is worker:
            try:
                await self._fill(slot)
            except OSError as error:
                self._log.event("worker.not_started", level="error", reason=str(error))
                await asyncio.sleep(LONGEST_DELAY_S)
            else:
                break

    async def _hear(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        while text := await worker.process.stdout.readline():
            match read_for_parent(text):
                case Serving():
                    worker.serves.set()
                    self._log.event("worker.serves", number=worker.number, pid=worker.process.pid)
                case Follows(text_digest=text_digest, problems=problems):
                    worker.text_digest = text_digest or worker.text_digest
                    if problems:
                        self._say_refused(problems, worker=worker.number)
                    self._say_when_all_follow()
                case LetGo(base_url=base_url):
                    worker.let_go.add(base_url)

    async def _serves(self, worker: Worker) -> bool:
        """Wait until it serves. False: it ended first, or took too long."""
        serves, gone = asyncio.ensure_future(worker.serves.wait()), asyncio.ensure_future(worker.gone.wait())
        await asyncio.wait({serves, gone}, timeout=BEGINS_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        serves.cancel()
        gone.cancel()
        return worker.serves.is_set()

    async def _all_serve(self) -> None:
        """Wait until every slot has a worker that serves. One that was killed before is replaced like any; one that gave up is not."""
        for slot in range(len(self._slots)):
            while (worker := self._slots[slot]) is not None and not await self._serves(worker):
                if self._stopping.is_set():
                    return
                if (worker.process.returncode or 0) >= 0:
                    raise RuntimeError("a worker could not start to serve; what it said stands above")
                await worker.replaced.wait()

    def _roll(self) -> None:
        """Replace every worker, one after the other, unless that is under way."""
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.get_running_loop().create_task(self._replace_all(), name="rolling restart")

    async def _replace_all(self) -> None:
        self._log.event("workers.rolling")
        for slot in range(len(self._slots)):
            if self._stopping.is_set():
                return
            new = await self._begin(slot)
            if not await self._serves(new):
                new.signal(signal.SIGKILL)
                self._log.event("workers.not_rolled", level="error", says="a new worker did not begin; the old ones go on")
                return
            old, self._slots[slot] = self._slots[slot], new
            if old is not None:
                old.signal(signal.SIGTERM)
                await old.gone.wait()
        self._log.event("workers.rolled")

    def _tell_engines(self) -> None:
        data = self._engines_line()
        for worker in self._workers:
            worker.tell(data)

    def _engines_line(self) -> bytes:
        return line(EnginesAre(engines={name: told(state) for name, state in self._engines.states().items()}))

    async def _end(self) -> None:
        """End workers first, then the engines they call."""
        if not self._stopping.is_set():
            self._told_to_stop()
        if self._rolling is not None:
            self._rolling.cancel()
        await self._end_workers()
        await self._engines.stop()
        await self._upstreams.close()
        self._connector.close()
        self._log.event("server.stopped")

    async def _end_workers(self) -> None:
        limit_s = self.app.config.settings.server.drain_s + SPARE_STOP_S
        if self._watches:
            await asyncio.wait(set(self._watches), timeout=limit_s)
        if self._watches:
            self._log.event("worker.killed", level="error", after_s=limit_s, workers=len(self._watches))
            self._pass_on(signal.SIGKILL)
            await asyncio.wait(set(self._watches))
