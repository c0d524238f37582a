"""A batch that a vendor has outlives its server: killed at every step, it does each line once, and pays for it once."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.batches import BatchAct
from freehold.gateways.fake.runtime import Received
from freehold.ledger import queries
from freehold.storage.engine import open_engine
from freehold.storage.entry import ENTRY
from freehold.storage.store import sqlite_url
from support.place import Place, end
from support.relayed_batches import begin, budget_toml, calls, cost_of, ended, line, relay_config, results

LINES = 25


class World:
    """A server and its vendor. The server is killed in the moment that a call arrives there, which is answered all the same."""

    def __init__(self, folder: Path) -> None:
        self.vendor = FakeRuntime(self._heard)
        self.place = Place(folder, VENDOR_KEY="the-vendors-own-secret-key")
        self.store, self.folder = folder / "data" / "freehold.db", folder / "data" / "batches"
        self.server: subprocess.Popen[bytes] | None = None
        self._killed = asyncio.Event()
        self._at = ""

    async def begin(self) -> None:
        await self.vendor.start()
        settings = f"[server]\nport = {self.place.port}\n[discovery]\nlocal = false\n"
        self.place.config.write_text(settings + relay_config(self.vendor, budget_toml(1.0)))

    async def start(self) -> None:
        self.server = self.place.start("serve")
        await asyncio.to_thread(self.place.until_serving, self.server)

    def kill_at(self, call: str) -> None:
        self._at = call
        self._killed.clear()

    async def was_killed(self) -> None:
        async with asyncio.timeout(60):
            await self._killed.wait()
        await self.end(signal.SIGKILL)

    async def end(self, number: int = signal.SIGTERM) -> None:
        if self.server is not None:
            await asyncio.to_thread(end, self.server, number)

    def _heard(self, received: Received) -> None:
        if self._at and f"{received.method} {received.path}".startswith(self._at) and self.server is not None:
            self._at = ""
            self.server.send_signal(signal.SIGKILL)
            self._killed.set()


async def test_it_does_each_line_once_and_pays_once_however_often_it_is_killed(tmp_path: Path):
    world = World(tmp_path)
    vendor, folder, store = world.vendor, world.folder, world.store
    vendor.batches.act = BatchAct(looks=10_000)
    await world.begin()
    try:
        await world.start()
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{world.place.port}/v1", api_key="any", max_retries=0) as client:
            batch = await begin(client, *[line(f"l{number}") for number in range(LINES)])
            await killed_everywhere(world)
            batch = await ended(client, batch.id)
            said = await results(client, batch.output_file_id)
        await world.end()
        assert (batch.status, batch.request_counts.completed, len(said)) == ("completed", LINES, LINES)
        asked = Counter(calls(vendor))
        assert (asked["POST /files"], asked["POST /batches"], asked["POST /chat/completions"]) == (1, 1, 0)
        done = [one.body["messages"][0]["content"] for one in vendor.batches.done]
        assert sorted(done) == sorted(f"this is line l{number}" for number in range(LINES)), "each line was done once"
        assert (vendor.batches.files, list(folder.glob("relay_*"))) == ({}, [])
        paid, rows = cost_of([one.usage for one in vendor.batches.done]), read_rows(store)
        assert ask(store, "SELECT spent, reserved FROM accounts") == [(paid, 0)]
        assert sum(row.cost_nano_usd for row in rows) == paid
        served = {row.request_id for row in rows if row.outcome == "served"}
        assert served == {one["response"]["request_id"] for one in said.values()}
        assert {row.cost_nano_usd for row in rows if row.outcome != "served"} <= {0}
    finally:
        await world.end(signal.SIGKILL)
        await vendor.stop()


async def killed_everywhere(world: World) -> None:
    """While lines are gathered, at each call to the vendor, and while its answers are written down."""
    folder = world.folder
    await until(lambda: count(folder, "relay_*-lines") > 3)
    await world.end(signal.SIGKILL)
    for call in ("POST /v1/files", "POST /v1/batches"):
        world.kill_at(call)
        await world.start()
        await world.was_killed()
    await world.start()
    await until(lambda: len(ask(world.store, "SELECT name FROM meta WHERE name LIKE ?", f"{ENTRY}%")) == 1)
    # By now those that were killed are looked after, and what they reserved is settled at what it was.
    world.vendor.batches.act = BatchAct(backwards=True)
    world.kill_at("GET /v1/batches/")
    await world.was_killed()
    world.kill_at("GET /v1/files/")
    await world.start()
    await world.was_killed()
    await world.start()
    await until(lambda: results_written(folder) > 2)
    await world.end(signal.SIGKILL)
    world.kill_at("DELETE /v1/files/")
    await world.start()
    await world.was_killed()
    await world.start()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.002)


def count(folder: Path, pattern: str) -> int:
    """Lines of the files of that name."""
    return sum(len(path.read_bytes().splitlines()) for path in folder.glob(pattern))


def results_written(folder: Path) -> int:
    """How many results the client would be given by now."""
    found = 0
    for path in folder.glob("file-*"):
        with contextlib.suppress(FileNotFoundError):
            found += sum(
                "response" in json.loads(one) for one in path.read_bytes().splitlines(keepends=True) if one.endswith(b"\n")
            )
    return found


def ask(store: Path, text: str, *values: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(text, values).fetchall()


def read_rows(store: Path) -> list[Any]:
    engine = open_engine(sqlite_url(store), read_only=True)
    try:
        return queries.recent(engine, limit=10_000)
    finally:
        engine.dispose()
