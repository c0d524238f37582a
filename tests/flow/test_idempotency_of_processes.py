"""An `Idempotency-Key` holds over real processes: two workers, a restart, and a server that is killed amid an answer."""

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.place import Place, end

PRICE = "{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }"
CROWD = 24
Start = Callable[[Place], Awaitable[subprocess.Popen[bytes]]]


class Vendor:
    """A paid runtime whose first answers stall until they are let go."""

    def __init__(self) -> None:
        self.act = Act(say="one two three four", slow_s=0.05)
        self.runtime = FakeRuntime(lambda _received: self.act)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    made = Vendor()
    await made.runtime.start()
    yield made
    await made.runtime.stop()


def configured(folder: Path, vendor: Vendor, workers: int) -> Place:
    place = Place(folder)
    place.config.write_text(
        f"[server]\nport = {place.port}\nworkers = {workers}\n[discovery]\nlocal = false\n[log]\nformat = 'json'\n{NO_ENGINE}"
        + runtime_toml("cloud", "vendor", base_url(vendor.runtime))
        + deployment_toml("cloud", "m", "m", price=PRICE)
    )
    return place


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server; what still runs when the test is over is ended."""
    started: list[subprocess.Popen[bytes]] = []

    async def begin(place: Place) -> subprocess.Popen[bytes]:
        started.append(place.start("serve"))
        await asyncio.to_thread(place.until_serving, started[-1])
        return started[-1]

    yield begin
    for server in started:
        await asyncio.to_thread(end, server)


async def ask(place: Place, key: str) -> httpx.Response:
    """On a connection of its own, so that any worker may get it."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.port}", timeout=60, trust_env=False) as client:
        return await client.post("/v1/chat/completions", json=body, headers={"idempotency-key": key})


def under_way(place: Place) -> list[Any]:
    """The requests that the store has as begun, and by which process."""
    with closing(sqlite3.connect(f"file:{place.folder / 'data' / 'freehold.db'}?mode=ro", uri=True, timeout=10)) as store:
        return store.execute("SELECT request_id, owner FROM idempotency_keys WHERE state = 'under_way'").fetchall()


async def test_two_workers_serve_a_key_once_and_after_a_restart_it_is_answered_again(
    tmp_path: Path, vendor: Vendor, start: Start
) -> None:
    place = configured(tmp_path, vendor, workers=2)
    server = await start(place)
    answers = await asyncio.gather(*(ask(place, "the-same") for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(vendor.runtime.journal) == 1
    assert (await asyncio.to_thread(end, server))[0] == 0
    await start(place)
    again = await ask(place, "the-same")
    assert (again.status_code, again.content) == (200, answers[0].content)
    assert len(vendor.runtime.journal) == 1


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_a_killed_server_was_serving_is_not_paid_again(
    tmp_path: Path, vendor: Vendor, start: Start, workers: int
) -> None:
    vendor.act = Act(stall="before-headers")
    place = configured(tmp_path, vendor, workers)
    server = await start(place)
    asking = asyncio.ensure_future(ask(place, "cut-off"))
    await vendor.runtime.received(1)
    [(request_id, owner)] = under_way(place)
    os.kill(int(owner.split(":")[1]), signal.SIGKILL)
    await asyncio.wait([asking])
    assert isinstance(asking.exception(), httpx.TransportError)
    vendor.act = Act(say="a second payment")
    if workers == 1:
        await asyncio.to_thread(end, server)
        await start(place)
    else:
        await asyncio.to_thread(place.until_serving, server)
    for _ in range(2):
        told = await ask(place, "cut-off")
        assert (told.status_code, told.headers["x-should-retry"]) == (409, "false"), told.text
        assert told.json()["error"]["code"] == "idempotency_unknown"
        assert request_id in told.text
    assert len(vendor.runtime.journal) == 1
    assert (await ask(place, "a-new-one")).status_code == 200
    assert len(vendor.runtime.journal) == 2
