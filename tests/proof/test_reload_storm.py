"""Requests go on while the configuration is swapped and workers are replaced: none fails."""

import asyncio
import itertools
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.place import Place, end, wait_for
from support.rawclient import Answer, body_of, request_bytes

REQUESTS = int(os.environ.get("PROOF_REQUESTS", "100000"))
CLIENTS = 16
RELOAD_EACH_S, ROLL_EACH_S = 0.5, 2.0
pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]


class Tally:
    """What became of the requests."""

    def __init__(self) -> None:
        self.left = REQUESTS
        self.outcomes: Counter[str] = Counter()
        self.stale = 0
        """Kept connections that were closed while they rested, noticed only by the next request: that one is sent anew."""


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One whole answer from a connection that stays open."""
    raw = await reader.readuntil(b"\r\n\r\n")
    head = Answer(raw)
    if head.headers.get("transfer-encoding") == "chunked":
        while not raw.endswith(b"\r\n0\r\n\r\n"):
            raw += await reader.readuntil(b"\r\n")
    else:
        raw += await reader.readexactly(int(head.headers["content-length"]))
    return Answer(raw)


class KeptConnection:
    """A client that keeps its connection, as most do."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port, self._tally = port, tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer:
        while True:
            is_reused = self._streams is not None
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            try:
                writer.write(request.replace(b"connection: close\r\n", b""))
                answer = await read_answer(reader)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                self.close()
                if not is_reused or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                    raise
                self._tally.stale += 1
                continue
            if answer.headers.get("connection") == "close":
                self.close()
            return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask_anew(port: int, request: bytes) -> Answer:
    """A client that opens a connection for each request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return Answer(await reader.read(-1))
    finally:
        writer.close()


async def client(port: int, number: int, tally: Tally) -> None:
    stream = number % 4 == 3
    wire: Any = ["openai_chat", "anthropic_messages"][number // 2 % 2]
    request = request_bytes(wire, port, body_of(wire, "[[fake: say=one two three four]]", stream=stream, model="fake"))
    end_mark = b"[DONE]" if wire == "openai_chat" else b"message_stop"
    kept = KeptConnection(port, tally) if number % 2 else None
    while tally.left > 0:
        tally.left -= 1
        try:
            answer = await (kept.ask(request) if kept is not None else ask_anew(port, request))
        except (OSError, asyncio.IncompleteReadError) as error:
            tally.outcomes[f"{type(error).__name__} on a {'kept' if kept is not None else 'new'} connection"] += 1
            if kept is not None:
                kept.close()
            continue
        is_good = answer.status == 200 and answer.is_whole and (not stream or end_mark in answer.body)
        tally.outcomes["served" if is_good else f"status {answer.status}: {answer.body[:300]!r}"] += 1
    if kept is not None:
        kept.close()


def write(place: Place, number: int) -> None:
    """Each configuration differs from the one before in a runtime, an alias and a limit."""
    new = place.folder / "new.toml"
    new.write_text(
        f"[server]\nport = {place.port}\nworkers = 2\nmax_body_bytes = {100_000 + number}\n[log]\nformat = 'json'\n"
        f"[defaults]\nembedded = false\n[discovery]\nlocal = false\n"
        f'[[runtimes]]\nname = "r{number}"\nkind = "local"\nbase_url = "http://127.0.0.1:1/v1"\n'
        f'[[deployments]]\nid = "r{number}/m"\nmodel = "m"\nruntime = "r{number}"\nserved_as = "m"\n'
        f'[aliases]\nx{number} = ["r{number}/m"]\n'
    )
    new.replace(place.config)


async def disturb(place: Place, pid: int, tally: Tally) -> tuple[int, int]:
    """Reload again and again, restart the workers now and then; gives how often."""
    loop = asyncio.get_running_loop()
    rolls = reloads = 0
    next_roll_s = loop.time() + ROLL_EACH_S / 2
    for reloads in itertools.count(1):
        if tally.left <= 0:
            break
        write(place, reloads)
        os.kill(pid, signal.SIGHUP)
        if loop.time() >= next_roll_s:
            os.kill(pid, signal.SIGUSR2)
            rolls += 1
            next_roll_s = loop.time() + ROLL_EACH_S
        await asyncio.sleep(RELOAD_EACH_S)
    return reloads, rolls


async def test_requests_over_reloads_and_restarts_all_succeed(tmp_path: Path, found: Any) -> None:
    place, tally, log = Place(tmp_path), Tally(), tmp_path / "log"
    write(place, 0)
    with log.open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    wait_for(lambda: b"server.started" in log.read_bytes() and b'"workers":2' in log.read_bytes())
    async with asyncio.TaskGroup() as group:
        disturbing = group.create_task(disturb(place, server.pid, tally))
        for number in range(CLIENTS):
            group.create_task(client(place.port, number, tally))
    _, rolls = disturbing.result()
    told = Counter(json.loads(line)["event"] for line in log.read_text().rpartition("\n")[0].splitlines())
    assert end(server)[0] == 0
    assert dict(tally.outcomes) == {"served": REQUESTS}
    assert told["config.reloaded"] >= min(20, REQUESTS // 1000)
    assert told["workers.rolled"] >= min(3, rolls) > 0
    assert told["config.refused"] == told["worker.died"] == told["ledger.doubled"] == 0
    rows = Counter(row["outcome"] for row in place.json("log", "-n", "10000"))
    assert rows == {"served": min(REQUESTS, 10_000)}
    found(
        "Requests go on over reloads of the configuration and rolling restarts of two workers: none fails.",
        requests=REQUESTS,
        failed=0,
        **{
            "reloads": told["config.reloaded"],
            "workers replaced": told["worker.serves"] - 2,
            "clients": CLIENTS,
            "kept connections found closed and opened anew": tally.stale,
        },
    )
