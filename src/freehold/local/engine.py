"""One engine: its process started, watched, restarted when it dies, and stopped.

Promised: a process that died is started again after 0.2 s, doubling to 10 s while it keeps dying (a life of 60 s forgives
the past); one that dies five times within a minute counts as failed and is then tried every 10 s; missing weights are
looked for again, so that a pull while serving is noticed. Its output is always read, so it can never block on it, and the
last 50 lines are kept: as they are until it is ready, and then only in words of ours, because engines quote prompts. Deliberately not done: judging slowness (the breaker's task), and more than one process per engine.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from freehold.fault import Fault, FaultError, Kind
from freehold.local.child import Ready
from freehold.local.last_words import sense_of
from freehold.local.launching import Command, start_process
from freehold.local.loopback import Get, NotServingError, served_context
from freehold.local.weights import find
from freehold.runtime import Launch
from freehold.secret import Secret

FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 10.0
FORGIVEN_AFTER_S = 60.0
DEATHS, DEATHS_WITHIN_S = 5, 60.0
READY_WITHIN_S = 300.0
ANSWER_WITHIN_S = 10.0
GRACE_S = 5.0
KEPT_LINES, LINE_CHARS = 50, 400

Status = Literal["starting", "ready", "failed", "no_weights", "stopped"]


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an engine now. Address, key and pid are set only while it is ready."""

    status: Status
    fault: Fault | None = None
    """Why it is not ready, or why it was restarted last."""
    base_url: str | None = None
    """Including `/v1`."""
    api_key: Secret | None = None
    model: str | None = None
    """The name it answers to."""
    context: int | None = None
    """Tokens one request may use, as the engine itself says."""
    slots: int | None = None
    pid: int | None = None
    restarts: int = 0
    ready_after_s: float | None = None
    """From the start of this process to its first answer."""


class Engine:
    """Keeps one process alive. `run` is its whole life and ends only after `stop`."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        data_dir: Path,
        *,
        command: Command,
        get: Get,
        log: Callable[..., None],
        now: Callable[[], float],
        changed: Callable[[str, EngineState], None],
    ) -> None:
        self.name = name
        self.state = EngineState(status="starting", fault=_not_ready(f"the engine {name} is starting"))
        self.settled = asyncio.Event()
        self.stderr: deque[str] = deque(maxlen=KEPT_LINES)
        self._sees_requests = False
        self.launch, self._data_dir, self._command = launch, data_dir, command
        self._get = get
        self._log, self._now, self._changed = log, now, changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._deaths_s: deque[float] = deque(maxlen=DEATHS)
        self._delay_s = FIRST_DELAY_S
        self._starts = 0

    async def run(self) -> None:
        """Start, watch and restart until `stop` is called."""
        while not self._stopping.is_set():
            try:
                weights = await asyncio.to_thread(find, self.launch.weights, self._data_dir)
            except FaultError as error:
                self._set(EngineState(status="no_weights", fault=error.fault, restarts=self._restarts))
                await self._rest()
                continue
            born_s = self._now()
            why = await self._live(weights, born_s)
            if not self._stopping.is_set():
                self._mourn(why, born_s)
                await self._rest()
        self._set(EngineState(status="stopped", restarts=self._restarts))

    async def stop(self) -> None:
        """Ask the process to end, insist after a while, and return once it is gone and `run` will start no other."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        self._signal(process.terminate)
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            self._log("engine.killed", engine=self.name, pid=process.pid, after_s=GRACE_S)
            self._signal(process.kill)
            await process.wait()

    def give_up(self, fault: Fault) -> None:
        """Show a defect of the watch itself, and leave no process behind that nobody watches."""
        if self._process is not None:
            self._signal(self._process.kill)
        self._set(EngineState(status="failed", fault=fault, restarts=self._restarts))

    @property
    def _restarts(self) -> int:
        return max(0, self._starts - 1)

    async def _live(self, weights: Path, born_s: float) -> str:
        """One life of the process, from its start to its end; returns what ended it."""
        self._starts += 1
        self.stderr.clear()
        self._sees_requests = False
        try:
            process, api_key = await start_process(self._command, self.launch, weights)
        except OSError as error:
            return f"it could not be started: {error.strerror or error}"
        self._process = process
        assert process.stderr is not None
        assert process.stdout is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_lines(process.stderr))
            if self._stopping.is_set():
                self._signal(process.kill)
            why = await self._become_ready(process, api_key, born_s)
            if why is not None:
                self._signal(process.kill)
            code = await process.wait()
        self._process = None
        return why or f"it ended with {_exit(code)}"

    async def _become_ready(self, process: asyncio.subprocess.Process, api_key: Secret, born_s: float) -> str | None:
        """Wait for the report, check that requests are answered; None, or why this process is of no use."""
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
            if not line:
                return f"it ended with {_exit(await process.wait())} before it was ready"
            ready = msgspec.json.decode(line, type=Ready)
            context = await served_context(self._get, ready.base_url, api_key, timeout_s=ANSWER_WITHIN_S)
        except TimeoutError:
            return f"it was not ready within {READY_WITHIN_S:.0f} s"
        except (msgspec.DecodeError, ValueError):
            return "its report was not understood"
        except NotServingError as error:
            return str(error)
        if self._stopping.is_set():
            return None
        after_s = self._now() - born_s
        self._sees_requests = True
        self._set(
            EngineState(
                status="ready",
                base_url=ready.base_url,
                api_key=api_key,
                model=ready.model,
                context=self.launch.context if context is None else min(context, self.launch.context),
                slots=ready.slots,
                pid=process.pid,
                restarts=self._restarts,
                ready_after_s=after_s,
            )
        )
        return None

    def _mourn(self, why: str, born_s: float) -> None:
        """Note a death and decide how it is seen from outside."""
        died_s = self._now()
        if died_s - born_s >= FORGIVEN_AFTER_S:
            self._delay_s = FIRST_DELAY_S
            self._deaths_s.clear()
        self._deaths_s.append(died_s)
        has_failed = len(self._deaths_s) == DEATHS and died_s - self._deaths_s[0] <= DEATHS_WITHIN_S
        lines = list(self.stderr)
        if has_failed or self.state.status == "failed":
            self._delay_s = LONGEST_DELAY_S
            last = f"; it said last: {lines[-1]}" if lines else ""
            fault = _not_ready(f"the engine {self.name} keeps dying, {why}{last}; `freehold doctor` shows more", lines)
            self._set(EngineState(status="failed", fault=fault, restarts=self._restarts))
            return
        fault = _not_ready(f"the engine {self.name} is restarting, {why}", lines)
        self._set(EngineState(status="starting", fault=fault, restarts=self._restarts))

    async def _rest(self) -> None:
        """Wait before the next try, longer each time; `stop` ends the wait."""
        delay_s, self._delay_s = self._delay_s, min(self._delay_s * 2, LONGEST_DELAY_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _keep_lines(self, stderr: asyncio.StreamReader) -> None:
        """Read until the end, in pieces, so that no line is too long and nothing is ever left unread."""
        rest = b""
        while piece := await stderr.read(8192):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[:LINE_CHARS]
            self._keep(lines)
        self._keep([rest])

    def _keep(self, lines: list[bytes]) -> None:
        """Remember lines; once requests came, only what they mean, each sense once."""
        if not self._sees_requests:
            self.stderr.extend(_shown(line) for line in lines if line.strip())
            return
        for line in lines:
            sense = sense_of(line.decode(errors="replace"))
            if sense is not None and sense not in self.stderr:
                self.stderr.append(sense)

    def _set(self, state: EngineState) -> None:
        if state == self.state:
            return
        self.state = state
        if state.status == "starting":
            self.settled.clear()
        else:
            self.settled.set()
        told: dict[str, object] = {"pid": state.pid, "after_s": state.ready_after_s and round(state.ready_after_s, 3)}
        told["why"] = None if state.fault is None else state.fault.message
        self._log(
            f"engine.{state.status}", engine=self.name, **{name: value for name, value in told.items() if value is not None}
        )
        self._changed(self.name, state)

    def _signal(self, send: Callable[[], None]) -> None:
        with contextlib.suppress(ProcessLookupError):
            send()


def _shown(line: bytes) -> str:
    return line[:LINE_CHARS].decode(errors="replace").rstrip()


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _not_ready(message: str, stderr: list[str] | None = None) -> Fault:
    return Fault(kind=Kind.ENGINE_NOT_READY, message=message, details={"stderr": stderr} if stderr else {})
