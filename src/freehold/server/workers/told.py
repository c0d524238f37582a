"""The engines as a worker knows them: the parent runs them and tells how they are.

Promised: the same calls as `local.Engines` has, and none of them touches a process. An engine that goes is let go of, in
a message to the parent, once no call of this worker is under way there.
"""

import asyncio
from collections.abc import Callable, Mapping

from freehold.fault import Fault, Kind
from freehold.local.supervisor import Changed, EngineState
from freehold.runtime import Launch
from freehold.server.workers.messages import EngineTold, heard

SETTLES_S = 0.5
LOOKS_EACH_S = 0.1


class ToldEngines:
    """What the parent has told so far."""

    def __init__(self, launches: Mapping[str, Launch], let_go: Callable[[str], None]) -> None:
        """`let_go(base_url)` tells the parent; `is_in_use` is to be set before engines are told."""
        self.is_in_use: Callable[[str], bool] = lambda _: False
        self._let_go = let_go
        self._launches = dict(launches)
        self._states: dict[str, EngineState] = {}
        self._callbacks: list[Changed] = []
        self._heard = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """The parent did."""

    async def stop(self) -> None:
        """The parent does; here only the waiting ends."""
        for task in self._leaving:
            task.cancel()

    def on_change(self, callback: Changed) -> None:
        """As `Engines.on_change`."""
        self._callbacks.append(callback)

    def states(self) -> dict[str, EngineState]:
        """As `Engines.states`."""
        return {name: self._states.get(name) or _starting(name) for name in self._launches}

    def change(self, launches: Mapping[str, Launch]) -> frozenset[str]:
        """As `Engines.change`; the parent follows the same file and will tell."""
        kept = frozenset(name for name, launch in launches.items() if self._launches.get(name) == launch)
        self._launches = dict(launches)
        return kept

    def hear(self, engines: Mapping[str, EngineTold]) -> None:
        """The parent told."""
        former, self._states = self._states, {name: heard(engine) for name, engine in engines.items()}
        self._heard.set()
        addresses = {state.base_url for state in self._states.values()}
        for state in former.values():
            if state.base_url is not None and state.base_url not in addresses:
                task = asyncio.get_running_loop().create_task(self._leave(state.base_url))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        for name, state in self._states.items():
            if state != former.get(name) and name in self._launches:
                for callback in self._callbacks:
                    callback(name, state)
        for name in [name for name in former if name in self._launches and name not in self._states]:
            for callback in self._callbacks:
                callback(name, _starting(name))

    async def ready(self, name: str | None = None) -> None:
        """As `Engines.ready`."""
        while any(state.status == "starting" for at, state in self.states().items() if name in {None, at}):
            self._heard.clear()
            await self._heard.wait()

    async def _leave(self, base_url: str) -> None:
        await asyncio.sleep(SETTLES_S)
        while self.is_in_use(base_url):  # noqa: ASYNC110 - connections raise no event
            await asyncio.sleep(LOOKS_EACH_S)
        self._let_go(base_url)


def _starting(name: str) -> EngineState:
    return EngineState(status="starting", fault=Fault(kind=Kind.ENGINE_NOT_READY, message=f"the engine {name} is starting"))
