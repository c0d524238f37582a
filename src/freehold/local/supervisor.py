"""All engines of this gateway: started together, watched, stopped together.

Promised: `start` returns at once; one engine's trouble never touches another; `stop` returns when every process is gone.
A `change` leaves engines alone whose launch is the same. One that goes is let go of at once, ends when its last call has
(or after `retire_s`), and only then is one of its name started: two would need their memory twice. Deliberately not done: choosing engines, and speaking to them beyond one check (requests go through `gateways`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from freehold.fault import Fault, Kind
from freehold.local.engine import Engine, EngineState
from freehold.local.launching import Command, engine_command
from freehold.local.loopback import Get
from freehold.runtime import Launch

__all__ = ["EngineState", "Engines"]

Changed = Callable[[str, EngineState], None]
_SETTLES_S = 1.0
_LOOKS_EACH_S = 0.25


class Engines:
    """The engines by name (the runtime's name, by convention)."""

    def __init__(
        self,
        launches: Mapping[str, Launch],
        data_dir: Path,
        *,
        get: Get,
        log: Callable[..., None],
        now: Callable[[], float],
        command: Command = engine_command,
        is_in_use: Callable[[str], bool] = lambda _: False,
        retire_s: float = 30.0,
    ) -> None:
        """`get` asks an engine whether it serves; `log(event, **facts)` takes what happens; `now` is a monotonic clock in seconds.

        `is_in_use(base_url)` says whether calls to an engine are under way; one that goes has `retire_s` to end them.
        """
        self._log, self._now = log, now
        self._is_in_use, self._retire_s = is_in_use, retire_s

        def make(name: str, launch: Launch) -> Engine:
            return Engine(name, launch, data_dir, command=command, get=get, log=log, now=now, changed=self._tell)

        self._make = make
        self._callbacks: list[Changed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._retiring: dict[str, tuple[Engine, asyncio.Task[None]]] = {}
        """By name, the one that went last."""
        self._has_started = False
        self._stopping = asyncio.Event()
        self._engines: dict[str, Engine] = {name: self._make(name, launch) for name, launch in launches.items()}

    def start(self) -> None:
        """Begin all engines in the background. Call once, inside a running loop."""
        self._has_started = True
        for engine in self._engines.values():
            self._spawn(engine.run(), engine.name)

    def change(self, launches: Mapping[str, Launch]) -> frozenset[str]:
        """Begin what is new, end what is gone, both in the background; returns the names of those left as they are.

        What goes changes no state any more that anybody hears of.
        """
        for name in [name for name, engine in self._engines.items() if launches.get(name) != engine.launch]:
            engine = self._engines.pop(name)
            if self._has_started:
                self._retiring[name] = (engine, self._spawn(self._retire(engine, self._retiring.get(name)), name))
        kept = frozenset(self._engines)
        for name, launch in launches.items():
            if name not in kept:
                engine = self._engines[name] = self._make(name, launch)
                if self._has_started:
                    self._spawn(self._succeed(engine), name)
        return kept

    async def ready(self, name: str | None = None) -> None:
        """Wait until the engine (or all of them) is no longer starting. `state` then says how it turned out."""
        waited_for = self._engines.values() if name is None else [self._engines[name]]
        for engine in waited_for:
            await engine.settled.wait()

    def state(self, name: str) -> EngineState:
        """What is known of the engine now. Raises KeyError for a name that was not launched."""
        return self._engines[name].state

    def states(self) -> dict[str, EngineState]:
        """What is known of every engine now."""
        return {name: engine.state for name, engine in self._engines.items()}

    def on_change(self, callback: Changed) -> None:
        """Call `callback(name, state)` on the loop after each change. It must not block; what it raises is logged."""
        self._callbacks.append(callback)

    async def stop(self) -> None:
        """Stop every engine and return when all processes are gone. More than once is harmless."""
        self._stopping.set()
        async with asyncio.TaskGroup() as group:
            for engine in self._engines.values():
                group.create_task(engine.stop())
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, life: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(life, name=f"engine {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _retire(self, engine: Engine, before: "tuple[Engine, asyncio.Task[None]] | None") -> None:
        """End an engine once nobody waits for its answers; calls that were decided but not sent yet have `_SETTLES_S`."""
        base_url, wait_s = engine.state.base_url, _SETTLES_S
        ends_s = self._now() + self._retire_s
        while base_url is not None and self._now() < ends_s and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
            if not self._is_in_use(base_url):
                break
            wait_s = _LOOKS_EACH_S
        await engine.stop()
        if before is not None:
            await asyncio.wait({before[1]})
        self._log("engine.retired", engine=engine.name)

    async def _succeed(self, engine: Engine) -> None:
        """Run an engine when the one before it is gone."""
        before = self._retiring.get(engine.name)
        if before is not None:
            await asyncio.wait({before[1]})
        await engine.run()

    def _tell(self, name: str, state: EngineState) -> None:
        current = self._engines.get(name)
        if current is None or current.state is not state:
            return  # it retires: the table has its successor, or nothing, under this name
        for callback in self._callbacks:
            try:
                callback(name, state)
            except Exception as error:  # noqa: BLE001 - a listener's defect must not stop the watch over an engine
                self._log("engine_listener_failed", engine=name, error=type(error).__name__)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        name = task.get_name().removeprefix("engine ")
        engine = self._engines.get(name)
        self._log("engine_watch_failed", engine=name, error=repr(error))
        message = f"the watch over the engine {name} ended by a defect; restart Freehold"
        if engine is not None:
            engine.give_up(Fault(kind=Kind.INTERNAL, message=message))
