"""Crowds that repeat their idempotency keys while gateways are killed and started again; the vendor's journal is the judge."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
import psutil

from freehold.gateways.fake import Act, FakeRuntime
from freehold.gateways.fake.runtime import Received
from support.budget_servers import Backing
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.paid import PRICE, Asked, ask, body
from support.paying_gateways import make_places, told, was_cut
from support.place import Place, end

Kill = Literal["worker", "gateway"]
CLIENTS_EACH = 3
"""Clients that send the same key, each until it is told something final."""
KEYS_AT_ONCE = 8
WORDS = 10
SPREAD_S = 0.15
"""Within this the clients of one key begin."""
LONGEST_LIFE_S = 0.3
"""Under load, between two kills."""
ASKS_AGAIN_S = 0.05
GIVES_UP_S = 60.0


async def vendor() -> FakeRuntime:
    """One whose answers take a moment, and no two of which are the same: whoever paid twice was told two things."""
    runtime = FakeRuntime(lambda received: Act(say=f"answer {received.number} " + "word " * WORDS, slow_s=0.006))
    await runtime.start()
    return runtime


class Found(msgspec.Struct, kw_only=True):
    """What came of it."""

    answers: dict[int, list[Asked]] = {}
    """By key, the final one of each of its clients."""
    kills: Counter[str] = Counter()
    cut: int = 0
    """Requests without an end, because a process was killed. The client asked again."""
    asked_again: Counter[str] = Counter()
    """By what the client was told, of which it asked again."""

    def given(self, *, again: bool) -> int:
        """Whole answers: the first ones, or those given again."""
        return sum(told(one) is None and ("idempotent-replayed" in one.headers) is again for one in self._all())

    @property
    def refused(self) -> int:
        """Clients that were told for good that it is not known what became of the first request."""
        return sum(told(one) is not None for one in self._all())

    def _all(self) -> list[Asked]:
        return [one for answers in self.answers.values() for one in answers]


class Repeats:
    """Gateways of `workers` processes each, on one ledger, in front of one vendor."""

    def __init__(self, folder: Path, backing: Backing, runtime: FakeRuntime, *, gateways: int, workers: int, seed: int) -> None:
        self.runtime, self.found, self.chance = runtime, Found(), Random(seed)
        config = f'[discovery]\nlocal = false\n[log]\nlevel = "error"\n{NO_ENGINE}[storage]\nurl = "{backing.url}"\n'
        config += runtime_toml("cloud", "vendor", base_url(runtime)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
        config += '[[budgets]]\nname = "team"\nwindow = "total"\nusd = 10000\n'
        self.places = make_places(folder, config, gateways=gateways, workers=workers)
        self._running: dict[Place, subprocess.Popen[bytes]] = {}
        self._number = 0

    async def run(self, kills: list[Kill]) -> None:
        """Crowds until that many kills are done, and all that was asked by then is answered."""
        await asyncio.gather(*map(self._start, self.places))
        is_over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(KEYS_AT_ONCE):
                    group.create_task(self._crowds(is_over))
                for kill in kills:
                    await self._kill(kill)
                is_over.set()
        finally:
            for server in self._running.values():
                await asyncio.to_thread(_kill_all, server)

    async def _start(self, place: Place) -> None:
        with (place.folder / "log").open("ab") as log:
            self._running[place] = server = place.start("serve", stdout=log, stderr=log)
        try:
            await asyncio.to_thread(place.until_serving, server)
        except AssertionError as error:
            raise AssertionError((place.folder / "log").read_text(errors="replace")) from error

    async def _kill(self, kill: Kill) -> None:
        """Kill something amid answers."""
        sent = len(self.runtime.journal)
        async with asyncio.timeout(GIVES_UP_S):
            await self.runtime.received(sent + 1 + self.chance.randrange(KEYS_AT_ONCE))
        await asyncio.sleep(self.chance.random() * LONGEST_LIFE_S)
        place = self.chance.choice(self.places)
        server = self._running[place]
        self.found.kills[kill] += 1
        if kill == "worker":
            while not (workers := psutil.Process(server.pid).children()):
                assert server.poll() is None, (place.folder / "log").read_text(errors="replace")
                await asyncio.sleep(ASKS_AGAIN_S)
            self.chance.choice(workers).kill()
        else:
            await asyncio.to_thread(_kill_all, server)
            await self._start(place)

    async def _crowds(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            self._number += 1
            number = self._number
            async with asyncio.timeout(GIVES_UP_S):
                self.found.answers[number] = list(await asyncio.gather(*(self._client(number) for _ in range(CLIENTS_EACH))))

    async def _client(self, number: int) -> Asked:
        """Ask until it is told something final: the answer, or that nobody knows what became of the first request."""
        await asyncio.sleep(self.chance.random() * SPREAD_S)
        asked, headers = body(number, stream=number % 3 == 0), {"idempotency-key": f"key-{number}"}
        while True:
            port = self.chance.choice(self.places).port
            one = await ask(port, asked, headers)
            if one.status == 0 or was_cut(one):
                self.found.cut += 1
            else:
                error = told(one)
                if error is None or error["code"] == "idempotency_unknown":
                    return one
                assert one.status in {200, 409, 503}, (one.status, one.body)
                self.found.asked_again[error["code"]] += 1
            await asyncio.sleep(ASKS_AGAIN_S)

    def judge(self) -> None:
        """Nobody pays twice under one key, and whoever was answered was given that one answer."""
        paid: dict[int, list[Received]] = {}
        for received in self.runtime.journal:
            paid.setdefault(_key_of(received), []).append(received)
        twice = {key: len(calls) for key, calls in paid.items() if len(calls) > 1}
        assert not twice, twice
        for key, answers in self.found.answers.items():
            for one in answers:
                error = told(one)
                if error is None:
                    assert f"answer {paid[key][0].number} " in _text_of(one), (key, one.body)
                    continue
                assert one.status in {200, 409}, one.status
                assert one.status == 200 or one.headers["x-should-retry"] == "false"
                assert re.search(r"\breq_\w+", error["message"]), "it names the first request"
            served = {_served_as(one) for one in answers if told(one) is None}
            assert len(served) <= 1, (key, served)
        assert set(self.found.asked_again) <= {"idempotency_under_way", "idempotency_away", "budgets_away"}, (
            self.found.asked_again
        )


def _key_of(received: Received) -> int:
    return int(json.loads(received.body)["messages"][-1]["content"].removeprefix("question "))


def _text_of(one: Asked) -> str:
    pieces = re.findall(rb'"content":\s*("(?:[^"\\]|\\.)*")', one.body)
    return "".join(json.loads(piece) for piece in pieces)


def _served_as(one: Asked) -> str:
    """The request that the answer is of."""
    return one.headers.get("x-freehold-first-request-id", one.request_id)


def _kill_all(server: subprocess.Popen[bytes]) -> None:
    """Parent and workers at one blow: no one of them is left to end anything in order."""
    parent = psutil.Process(server.pid)
    parent.suspend()  # or it replaces a worker meanwhile
    for one in (*parent.children(recursive=True), parent):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    end(server, signal.SIGKILL)


def numbers(found: Found) -> dict[str, Any]:
    """What a proof tells of it."""
    return {
        "keys": len(found.answers),
        "clients of each key": CLIENTS_EACH,
        "workers killed": found.kills["worker"],
        "gateways killed": found.kills["gateway"],
        "requests cut by a kill, and asked again": found.cut,
        "answers": found.given(again=False),
        "given again": found.given(again=True),
        "told that it is not known": found.refused,
        "paid twice": 0,
    }
