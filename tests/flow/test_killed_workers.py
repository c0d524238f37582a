"""Real workers that are killed with SIGKILL while they answer: every request has its one final row, by whoever is left."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.paid import PRICE, says
from support.place import Place, end, wait_for

STREAMS = 6
LONG = 4000
"""Words: an answer that nobody waits for the end of."""


@pytest.fixture
async def vendor() -> AsyncIterator[FakeRuntime]:
    """Its answers take minutes."""
    runtime = FakeRuntime(lambda _received: says(LONG, slow_s=0.05))
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture
def place(tmp_path: Path, vendor: FakeRuntime) -> Place:
    place = Place(tmp_path)
    budget = '[[budgets]]\nname = "team"\nwindow = "total"\nusd = 1000.0\nalerts = []\n'
    config = runtime_toml("cloud", "vendor", base_url(vendor)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
    config += runtime_toml("box", "local", base_url(vendor)) + deployment_toml("box", "small", "small-model")
    head = f'[server]\nport = {place.port}\nworkers = 2\ndrain_s = 1\n[discovery]\nlocal = false\n[log]\nformat = "json"\n'
    place.config.write_text(head + NO_ENGINE + config + budget)
    return place


class Stream:
    """One client in the middle of a streamed answer."""

    def __init__(self, place: Place, model: str) -> None:
        self._asking = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
        body = {"model": model, "max_tokens": 5000, "stream": True, "messages": [{"role": "user", "content": "go on"}]}
        self._asking.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        self._port = self._asking.sock.getsockname()[1]
        self._answer = self._asking.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self.request_id = str(self._answer.headers["x-freehold-request-id"])
        assert self._answer.readline()

    def worker(self, pids: list[int]) -> int:
        """The process that answers it."""
        [pid] = [
            pid
            for pid in pids
            if any(one.raddr and one.raddr.port == self._port for one in psutil.Process(pid).net_connections("tcp"))
        ]
        return pid

    def close(self) -> None:
        self._answer.close()
        self._asking.close()


def events(place: Place, name: str) -> list[Any]:
    lines = (place.folder / "log").read_text().rpartition("\n")[0].splitlines()
    return [told for told in map(json.loads, lines) if told["event"] == name]


def pids(place: Place) -> list[int]:
    return [told["pid"] for told in events(place, "worker.serves")]


def serve(place: Place) -> subprocess.Popen[bytes]:
    with (place.folder / "log").open("wb") as err:
        server = place.start("serve", stderr=err)
    wait_for(lambda: len(pids(place)) == 2)
    return server


def ask(place: Place, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(
        sqlite3.connect(f"file:{place.folder / 'data' / 'freehold.db'}?mode=ro", uri=True, timeout=30)
    ) as store:
        return store.execute(sql).fetchall()


def outcomes(place: Place) -> dict[str, str]:
    found = ask(place, "SELECT request_id, outcome FROM requests")
    assert len({one for one, _ in found}) == len(found)
    return dict(found)


def streams(place: Place) -> list[Stream]:
    """Half of them paid for, half of them free; all of them decided, and on the disk."""
    found = [Stream(place, "big" if number % 2 else "small") for number in range(STREAMS)]
    wait_for(lambda: {one.request_id for one in found} <= {row[0] for row in ask(place, "SELECT request_id FROM decisions")})
    return found


async def run(work: Callable[[], None]) -> None:
    """Beside the loop that the vendor answers in."""
    await asyncio.to_thread(work)


async def test_requests_of_a_killed_worker_get_their_final_rows_and_those_of_the_other_are_left_alone(place: Place) -> None:
    await run(lambda: one_worker_is_killed(place))


def one_worker_is_killed(place: Place) -> None:
    server = serve(place)
    asked = streams(place)
    try:
        both = pids(place)
        by_worker = {stream.request_id: stream.worker(both) for stream in asked}
        killed = by_worker[asked[1].request_id]  # one that is paid for
        lost = {request_id for request_id, pid in by_worker.items() if pid == killed}
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: set(outcomes(place)) >= lost)
        assert outcomes(place) == dict.fromkeys(lost, "failed"), "what the other worker answers is still under way"
        wait_for(lambda: bool(events(place, "ledger.finished")))
        [finished] = events(place, "ledger.finished")
        assert finished["rows"] == len(lost)
        reserved = {attempt.rpartition(".")[0] for (attempt,) in ask(place, "SELECT attempt_id FROM reservations")}
        assert not reserved & lost
    finally:
        code, _, _ = end(server)
        for stream in asked:
            stream.close()
    assert code == 0
    assert set(outcomes(place)) == set(by_worker), "the drain ended the others, each with its own row"
    assert not ask(place, "SELECT * FROM meta WHERE name LIKE 'process/%'"), "who left said so"
    assert not events(place, "ledger.doubled")


async def test_requests_of_a_gateway_that_was_killed_whole_get_their_final_rows_from_the_next_start(place: Place) -> None:
    await run(lambda: all_are_killed(place))


def all_are_killed(place: Place) -> None:
    server = serve(place)
    asked = streams(place)
    os.kill(server.pid, signal.SIGSTOP)  # or it replaces a worker meanwhile; and a worker that outlives it would drain
    for pid in [*pids(place), server.pid]:
        os.kill(pid, signal.SIGKILL)
    server.communicate()
    for stream in asked:
        stream.close()
    ids = {stream.request_id for stream in asked}
    assert not outcomes(place)
    server = serve(place)
    try:
        wait_for(lambda: set(outcomes(place)) == ids)
        assert set(outcomes(place).values()) == {"failed"}
        fresh = Stream(place, "big")
        fresh.close()
        wait_for(lambda: outcomes(place).get(fresh.request_id) == "cancelled")
    finally:
        code, _, _ = end(server)
    assert code == 0
    assert not ask(place, "SELECT * FROM reservations")
    assert not events(place, "ledger.doubled")
