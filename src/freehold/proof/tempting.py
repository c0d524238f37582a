"""Everything the gateway is tempted with, part by part, with the packets that left in each."""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Awaitable, Iterable
from pathlib import Path

from freehold.gateways.fake import FakeRuntime
from freehold.proof.bait import (
    BOX_PORT,
    KEPT_KEY,
    OLLAMA_PORT,
    RELAY_PORT,
    environment,
    play,
    play_ollama,
    play_relay,
    share_weights,
    write_config,
    write_stores,
)
from freehold.proof.gateway import Asker, Gateway, run_command, status_of
from freehold.proof.order import Mutant, Order, Phase, Planted
from freehold.proof.shapes import Shape, apis, attacks, batch_file, chat, get, ordinary, post
from freehold.proof.world import World

BETWEEN = 25
"""Attacks between two ordinary requests."""
BATCH_WITHIN_S = 3.0
"""Lines that fail are asked again later, so such a batch is not waited for but cancelled."""
SETTLES_S, POLL_S = 0.3, 0.02
LEAVES_WITHIN_S = 10.0
"""For so long something that has to be seen leaving is waited for, after it was asked and after all was asked."""
COMMANDS = (
    "version",
    "check",
    "check --json",
    "models",
    "runtimes",
    "doctor",
    "ask hello --model plain",
    "ask hello --model away",
    "log",
    "explain",
    "explain hello --json",
    "cost",
    "audit",
    "audit verify missing.jsonl",
    "reconcile missing.csv",
    "key list",
    "key create planted",
    "launch --print claude",
    "launch --print codex",
    "launch -- true",
    "service status",
    "pull --list",
    "pull --default",
)
WITHOUT_WEIGHTS = "pull smollm2-135m-instruct"
"""Asked where they are missing, as nothing is pulled that is here."""


class Tempting:
    """Local servers, a gateway before them, and requests."""

    def __init__(self, order: Order, world: World) -> None:
        self.phases: list[Phase] = []
        self.attacked = self.served = 0
        self.not_served: list[str] = []
        self._order, self._world, self._folder = order, world, Path(order.folder)
        self._asker = Asker()
        self._fakes = [
            (FakeRuntime(play), BOX_PORT),
            (FakeRuntime(play_ollama), OLLAMA_PORT),
            (FakeRuntime(play_relay), RELAY_PORT),
        ]
        self.engine = "scripted"
        self.left = 0
        """Packets that left from the start to the end of the locked gateway."""

    async def begin(self) -> None:
        """Make the folders and start the local servers."""
        for name in ("empty", "data"):
            (self._folder / name).mkdir()
        share_weights(Path(self._order.data_dir), self._folder)
        has_weights = (self._folder / "data" / "weights" / "smollm2-135m-instruct").is_dir()
        self.engine = "embedded" if has_weights and self._order.whole else "scripted"
        for fake, port in self._fakes:
            await fake.start(port)

    async def end(self) -> None:
        """Stop the local servers."""
        for fake, _ in self._fakes:
            await fake.stop()

    def _environ(self, *, local_only: bool) -> dict[str, str]:
        return environment(os.environ, str(self._folder), local_only=local_only)

    def _configure(self, *, embedded: bool, open_wide: bool = False) -> None:
        (self._folder / "freehold.toml").write_text(write_config(embedded=embedded, open_wide=open_wide))

    async def unlocked(self) -> Planted:
        """The same gateway where it may leave: it has to be seen leaving, or the proof sees nothing."""
        self._configure(embedded=False)
        gateway = Gateway(self._order.command, self._environ(local_only=False), self._folder)
        before, frames = self._world.left(), len(self._world.seen())
        try:
            await gateway.start(self._asker, engine=False)
            asked = post("/v1/chat/completions", chat("/v1/chat/completions", "named-model"))
            await self._has_left(before, self._asker.ask(asked, timeout_s=LEAVES_WITHIN_S))
        finally:
            await gateway.stop()
        return Planted("the gateway itself, unlocked", self._world.left() - before, len(self._world.seen()) - frames)

    async def locked(self) -> None:
        """Start-up, idle, every API, every attack, commands, a batch, a reload that opens everything, and the end."""
        embedded = self.engine == "embedded"
        self._configure(embedded=embedded)
        environ = self._environ(local_only=True)
        gateway = Gateway(self._order.command, environ, self._folder)
        first = before = self._world.left()
        try:
            await gateway.start(self._asker, engine=embedded)
            self._note("start-up", before)
            before = self._world.left()
            await asyncio.sleep(self._order.idle_s)
            self._note("idle", before)
            await asyncio.gather(self._requests(gateway), self._commands(environ))
        finally:
            before = self._world.left()
            await gateway.stop()
            await asyncio.sleep(SETTLES_S)
            self._note("shutdown", before)
            self.left = self._world.left() - first

    async def _requests(self, gateway: Gateway) -> None:
        await self._tempt("every API, streamed and whole", apis())
        shapes = attacks()
        await self._tempt("attacks", shapes)
        await self._batch()
        before = self._world.left()
        self._configure(embedded=self.engine == "embedded", open_wide=True)
        gateway.read_again()
        await asyncio.sleep(2 * SETTLES_S)
        self._note("a reload that allows everything", before)
        again = [shape for shape in shapes if shape.name.startswith(("asked", "fallback", "header"))]
        await self._tempt("attacks after that reload", again)
        self.attacked = len(shapes) + len(again) + 1
        if self.engine == "embedded":
            await self._ordinary("the embedded engine", model="smollm2-135m-instruct")

    async def _tempt(self, name: str, shapes: Iterable[Shape]) -> None:
        before, statuses = self._world.left(), Counter[str]()
        for at, shape in enumerate(shapes):
            if at % BETWEEN == 0:
                await self._ordinary(f"before {shape.name}")
            statuses[status_of(await self._asker.ask(shape.request))] += 1
        await self._ordinary(f"after {name}")
        await asyncio.sleep(SETTLES_S)
        self._note(name, before, statuses)

    async def _ordinary(self, when: str, model: str = "") -> None:
        body = {**chat("/v1/chat/completions", model), "max_tokens": 16}
        request = post("/v1/chat/completions", body) if model else ordinary()
        answer = await self._asker.ask(request, timeout_s=30.0)
        if status_of(answer) == "200" and b"x-freehold-egress: local" in answer and b'"choices"' in answer:
            self.served += 1
        else:
            self.not_served.append(f"{when}: {answer[:200].decode(errors='replace')}")

    async def _batch(self) -> None:
        """A batch whose lines all want to leave."""
        before, statuses = self._world.left(), Counter[str]()
        uploaded = await self._asker.ask(batch_file())
        file_id = _id_in(uploaded)
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = await self._asker.ask(post("/v1/batches", body))
        batch_id, ends_s = _id_in(made), asyncio.get_running_loop().time() + BATCH_WITHIN_S
        while asyncio.get_running_loop().time() < ends_s:
            state = await self._asker.ask(get(f"/v1/batches/{batch_id}"))
            if re.search(rb'"status":\s*"(completed|failed|expired|cancelled)"', state):
                statuses["ended"] += 1
                break
            await asyncio.sleep(0.05)
        else:
            statuses["cancelled"] += 1
            await self._asker.ask(post(f"/v1/batches/{batch_id}/cancel", {}))
        self._note("a batch", before, statuses)

    async def _commands(self, environ: dict[str, str]) -> None:
        before, statuses = self._world.left(), Counter[str]()
        for words in COMMANDS:
            statuses[await run_command(self._order.command, words, environ, self._folder)] += 1
        nothing_here = environ | {"FREEHOLD_HOME": str(self._folder / "empty")}
        statuses[await run_command(self._order.command, WITHOUT_WEIGHTS, nothing_here, self._folder)] += 1
        self._note("commands, beside the requests", before, statuses)
        await self._kept_elsewhere(environ)

    async def _kept_elsewhere(self, environ: dict[str, str]) -> None:
        """Configurations that keep something elsewhere: none may be served, and looking at one asks nobody."""
        before, statuses = self._world.left(), Counter[str]()
        for name, text in write_stores().items():
            config = self._folder / f"{name}.toml"
            config.write_text(text)
            for words in ("check", "doctor", "cost") if name == KEPT_KEY else ("check", "serve", "cost"):
                statuses[
                    await run_command(self._order.command, words, environ | {"FREEHOLD_CONFIG": str(config)}, self._folder)
                ] += 1
        self._note("ledgers, accounts and keys kept elsewhere", before, statuses)

    def _note(self, name: str, before: int, statuses: Counter[str] | None = None) -> None:
        counted = dict(statuses or {})
        self.phases.append(Phase(name, self._world.left() - before, sum(counted.values()), counted))

    async def mutants(self) -> dict[str, int]:
        """Packets that left, by mutant: each is tried until its first."""
        found = {}
        shapes = [*apis(), *attacks()]
        for mutant in self._order.mutants:
            tried = [shape for shape in shapes if shape.name.startswith(mutant.shapes)]
            found[mutant.name] = await self._mutant(mutant, tried)
        return found

    async def _mutant(self, mutant: Mutant, shapes: list[Shape]) -> int:
        self._configure(embedded=False)
        environ = self._environ(local_only=True)
        gateway = Gateway(mutant.command, environ, self._folder)
        before = self._world.left()
        try:
            await gateway.start(self._asker, engine=False)
            for shape in shapes:
                if await self._has_left(before, self._asker.ask(shape.request, timeout_s=LEAVES_WITHIN_S)):
                    break
            else:
                await self._has_left(before, asyncio.sleep(LEAVES_WITHIN_S))
        finally:
            await gateway.stop(at_once=True)
        return self._world.left() - before

    async def _has_left(self, before: int, done: Awaitable[object]) -> bool:
        """Wait until a packet left or this is done; whether one left."""
        asking = asyncio.ensure_future(done)
        while not asking.done() and self._world.left() == before:
            await asyncio.wait({asking}, timeout=POLL_S)
        asking.cancel()
        return self._world.left() > before


def _id_in(answer: bytes) -> str:
    found = re.search(rb'"id":\s*"([^"]+)"', answer)
    return found[1].decode() if found is not None else "none"
