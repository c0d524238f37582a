"""All engines of this gateway: started together, watched, stopped together.

Promised: `start` returns at once; one engine's trouble never touches another; `stop` returns when every process is gone.
Deliberately not done: choosing engines, and speaking to them beyond one check (requests go through `gateways`).
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from freehold.fault import Fault, Kind
from freehold.local.engine import Engine, EngineState
from freehold.local.launching import Command, engine_command
from freehold.local.loopback import Get
from freehold.runtime import Launch

__all__ = ["EngineState", "Engines"]

Changed = Callable[[str, EngineState], None]


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
    ) -> None:
        """`get` asks an engine whether it serves; `log(event, **facts)` takes what happens; `now` is a monotonic clock in seconds."""
        self._log = log
        self._callbacks: list[Changed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._engines = {
            name: Engine(name, launch, data_dir, command=command, get=get, log=log, now=now, changed=self._tell)
            for name, launch in launches.items()
        }

    def start(self) -> None:
        """Begin all engines in the background. Call once, inside a running loop."""
        loop = asyncio.get_running_loop()
        for engine in self._engines.values():
            task = loop.create_task(engine.run(), name=f"engine {engine.name}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

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
        async with asyncio.TaskGroup() as group:
            for engine in self._engines.values():
                group.create_task(engine.stop())
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _tell(self, name: str, state: EngineState) -> None:
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
        self._log("engine_watch_failed", engine=name, error=repr(error))
        message = f"the watch over the engine {name} ended by a defect; restart Freehold"
        self._engines[name].give_up(Fault(kind=Kind.INTERNAL, message=message))
