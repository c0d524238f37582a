"""Clients that vanish by the hundred leave nothing behind, in whatever phase they were."""

import asyncio
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from freehold.gateways.fake import Act
from support.gateway import NO_ENGINE, base_url, deployment_toml, running, runtime_toml
from support.rawclient import body_of, request_bytes

pytestmark = [pytest.mark.proof, pytest.mark.timeout(170)]
CLIENTS = 500
PHASES: dict[str, tuple[Act, bool]] = {
    "waiting for a stream": (Act(stall="before-content"), True),
    "waiting for a whole answer": (Act(stall="before-headers"), False),
    "amid a stream": (Act(say="one two three four five six", stall="mid"), True),
    "amid a whole answer": (Act(say="one two three four five six", stall="mid"), False),
}


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def settled(is_so: Any, within_s: float) -> float:
    """Seconds until it is so."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while not is_so():
        assert loop.time() - began_s < within_s, f"it did not settle: {open_fds()} descriptors are open"
        await asyncio.sleep(0.005)
    return loop.time() - began_s


@pytest.mark.parametrize("phase", PHASES)
async def test_five_hundred_that_vanish_leave_nothing_behind(tmp_path: Any, found: Any, start_fake: Any, phase: str) -> None:
    act, stream = PHASES[phase]
    fake = await start_fake(lambda _: act)
    config = NO_ENGINE + runtime_toml("up", "local", base_url(fake), max_connections=str(CLIENTS))
    config += deployment_toml("up", "m", "m", free="true")
    loop = asyncio.get_running_loop()
    async with running(config, {}, tmp_path) as served:
        port = int(served.url.rsplit(":", 1)[1])
        request = request_bytes("openai_chat", port, body_of("openai_chat", "hello", stream=stream, model="m"))
        _, one = await asyncio.open_connection("127.0.0.1", port)  # what is opened once, such as the store's files, stays
        one.write(request)
        await fake.received(1)
        one.transport.abort()
        await fake.closed(1)
        assert len(served.rows()) == 1
        before_fds = open_fds()
        writers: list[asyncio.StreamWriter] = []
        for _ in range(CLIENTS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writers.append(writer)
            if stream and act.stall == "mid":
                await reader.readuntil(b"data: ")
        await fake.received(CLIENTS + 1)
        (berths,) = served.app.upstreams._berths.values()
        assert len(berths.open) == CLIENTS
        left_s = loop.time()
        for writer in writers:
            writer.transport.abort()
        closed: list[float] = []
        while len(closed) < CLIENTS:
            assert loop.time() - left_s < 5, f"{CLIENTS - len(closed)} upstream calls are still open"
            gone = CLIENTS - len(berths.open)
            closed += [loop.time() - left_s] * (gone - len(closed))
            await asyncio.sleep(0.002)
        p99_s = quantiles(closed, n=100)[98]
        await fake.closed(CLIENTS + 1)
        fds_s = await settled(lambda: open_fds() <= before_fds, 1.0)
        assert p99_s < 0.5
        assert berths.opening == 0
        assert not berths.turns
        assert served.app.breakers.health() == {}
        rows = served.rows()
        assert len(rows) == CLIENTS + 1
        assert {row.outcome for row in rows} == {"cancelled"}
    found(
        f"{CLIENTS} clients that vanish {phase} close as many upstream calls within 500 ms (p99) and leave nothing behind.",
        **{"p99 until the upstream is closed, ms": round(p99_s * 1000), "all descriptors back, ms": round(fds_s * 1000)},
    )
