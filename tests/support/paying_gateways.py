"""Whole gateways, each a process of its own, that spend from one budget; a crowd that asks them; the store killed midway."""

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.runtime import Received
from freehold.storage.redis_scripts import KEYS
from freehold.storage.store import sqlite_path
from support.budget_servers import Backing
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.paid import PRICE, Asked, ask, body, nano_usd
from support.place import Place, end

GIVES_UP_S = 100.0
LOOKS_EACH_S = 0.01


class Crowd(msgspec.Struct, kw_only=True):
    """What clients saw, and what the vendor's journal says of it. Amounts are nano-USD."""

    answers: list[Asked] = []
    """The last one of each client."""
    turned_away: list[Asked] = []
    """Told that the store is away. The client asked again when it was told to."""
    cut: int = 0
    """Requests without an answer, because the gateway was killed. The client asked again."""
    bought: Sequence[Received] = ()
    limit: int = 0
    forfeited: int = 0
    """What a killed gateway had reserved, and nobody used."""

    @property
    def admitted(self) -> int:
        return len(self.bought)

    @property
    def given(self) -> int:
        """Whole answers."""
        return sum(told(one) is None for one in self.answers)

    @property
    def spent(self) -> int:
        return sum(map(nano_usd, self.bought))

    @property
    def affordable(self) -> int:
        """Requests, at the price of the dearest one."""
        return (self.limit - self.forfeited) // max(map(nano_usd, self.bought))


def told(one: Asked) -> dict[str, Any] | None:
    """The error that an answer is, or that ends it: a stream that had to wait has begun with 200 by then. None: a whole answer."""
    if one.status != 200:
        return json.loads(one.body)["error"]  # type: ignore[no-any-return] - JSON of ours
    if one.is_whole or b"data: [DONE]" in one.body:
        return None
    found = re.search(rb'^data: (\{"error".*\})\r?$', one.body, re.MULTILINE)
    assert found is not None, one.body[-2000:]
    return json.loads(found[1])["error"]  # type: ignore[no-any-return] - JSON of ours


def was_cut(one: Asked) -> bool:
    """Whether it has no end of its own."""
    return one.status == 200 and not one.is_whole and b"data: [DONE]" not in one.body and b'data: {"error"' not in one.body


def make_places(folder: Path, config: str, *, gateways: int, workers: int) -> list[Place]:
    """One for each gateway of `workers` processes, all with the same configuration."""
    places = []
    for number in range(gateways):
        (folder / f"gateway{number}").mkdir()
        place = Place(folder / f"gateway{number}")
        place.config.write_text(f"[server]\nport = {place.port}\nworkers = {workers}\n{config}")
        places.append(place)
    return places


class PayingGateways:
    """Gateways of `workers` processes each on one backing. Each budget (USD, by name) pays for the model of its name alone.

    On SQLite the one gateway is the store: it is the one that is killed.
    """

    def __init__(
        self,
        folder: Path,
        backing: Backing,
        vendor: FakeRuntime,
        budgets: dict[str, float],
        *,
        gateways: int = 1,
        workers: int = 1,
    ) -> None:
        self.backing, self.vendor, self.budgets = backing, vendor, budgets
        config = '[discovery]\nlocal = false\n[log]\nlevel = "error"\n' + NO_ENGINE + self._storage()
        config += runtime_toml("cloud", "vendor", base_url(vendor))
        for name, usd in budgets.items():
            config += deployment_toml("cloud", name, name, price=PRICE)
            config += (
                f'[[budgets]]\nname = "{name}"\nwhen = {{ models = ["{name}"] }}\nwindow = "total"\nusd = {usd}\nwait_s = 200.0\n'
            )
        self.places = make_places(folder, config, gateways=gateways, workers=workers)
        self._running: list[subprocess.Popen[bytes]] = []

    def _storage(self) -> str:
        also = "" if self.backing.redis is None else f'redis = "{self.backing.redis}"\n'
        return f'[storage]\nurl = "{self.backing.url}"\n{also}'

    async def start(self) -> None:
        """Start all, and wait until they serve."""
        self._running = [place.start("serve") for place in self.places]
        for place, server in zip(self.places, self._running, strict=True):
            await asyncio.to_thread(place.until_serving, server)

    async def stop(self) -> None:
        """End all in order: what is queued is written."""
        while self._running:
            code, _, err = await asyncio.to_thread(end, self._running.pop())
            assert code == 0, err

    def kill(self) -> None:
        """Kill whatever still runs."""
        while self._running:
            end(self._running.pop(), signal.SIGKILL)

    async def crowd(
        self,
        name: str,
        count: int,
        *,
        killed_at: int | None = None,
        at_once: int | None = None,
        max_tokens: int = 4000,
        is_locked: bool = False,
    ) -> Crowd:
        """So many ask at once for that budget's model; when the vendor has seen `killed_at` of them, the store is killed,
        and started again once a client was told of it; `is_locked`: SQLite's file is locked instead. Gives what came of it when all is settled."""
        found = Crowd(limit=round(self.budgets[name] * 1e9))
        before, room = len(self.vendor.journal), asyncio.Semaphore(at_once or count)

        async def client(number: int) -> Asked:
            async with room:
                return await self._client(body(number, model=name, stream=number % 3 == 0, max_tokens=max_tokens), number, found)

        async with asyncio.timeout(GIVES_UP_S), asyncio.TaskGroup() as group:
            asking = [group.create_task(client(number)) for number in range(count)]
            if killed_at is not None:
                await self.vendor.received(before + killed_at)
                await (self._locked(found) if is_locked else self._outage(found))
        found.answers = [one.result() for one in asking]
        async with asyncio.timeout(GIVES_UP_S):
            while (await asyncio.to_thread(self.account, name))[1]:  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(LOOKS_EACH_S)
        found.bought = self.vendor.journal[before:]
        found.forfeited = self.account(name)[0] - found.spent
        return found

    async def _client(self, asked: dict[str, Any], number: int, found: Crowd) -> Asked:
        port = self.places[number % len(self.places)].port
        while True:
            answer = await ask(port, asked)
            if answer.status == 0 or was_cut(answer):
                found.cut += 1
                await asyncio.sleep(LOOKS_EACH_S * 10)
                continue
            error = told(answer)
            if error is None or error["code"] != "budgets_away":
                return answer
            found.turned_away.append(answer)
            await asyncio.sleep(float(answer.headers.get("retry-after", "1")))

    async def _outage(self, found: Crowd) -> None:
        server = self.backing.server
        if server is None:
            [killed] = self._running
            await asyncio.to_thread(end, killed, signal.SIGKILL)
            await self.start()
            return
        await asyncio.to_thread(server.kill)
        while not found.turned_away:  # noqa: ASYNC110 - clients are told by another process
            await asyncio.sleep(LOOKS_EACH_S)
        await asyncio.to_thread(server.start)

    async def _locked(self, found: Crowd) -> None:
        """Another process keeps SQLite's file to itself for longer than anybody waits for it."""
        path = sqlite_path(self.backing.url)
        assert path is not None
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=GIVES_UP_S)) as other:
            other.execute("BEGIN IMMEDIATE")
            while not found.turned_away:  # noqa: ASYNC110 - clients are told by another process
                await asyncio.sleep(LOOKS_EACH_S)
            other.execute("ROLLBACK")

    def account(self, name: str) -> tuple[int, int]:
        """Nano-USD spent and reserved of a budget, as its store says."""
        if self.backing.redis is None:
            rows = self.backing.rows(f"SELECT spent, reserved FROM accounts WHERE account LIKE '{name}/%'")
        else:
            with redis.Redis.from_url(self.backing.redis, decode_responses=True) as client:
                spent, reserved = (client.hgetall(key) for key in KEYS[1:3])
            rows = [(spent.get(one, 0), amount) for one, amount in reserved.items() if one.startswith(f"{name}/")]
        [(spent, reserved)] = rows
        return int(spent), int(reserved)

    async def finished(self) -> None:
        """Until what is known of every request has a final row: that of a killed process gets one at the next start."""
        missing = "SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM requests r WHERE r.request_id = a.request_id)"
        async with asyncio.timeout(GIVES_UP_S):
            while (await asyncio.to_thread(self.backing.rows, missing))[0][0]:  # noqa: ASYNC110 - the same
                await asyncio.sleep(LOOKS_EACH_S * 5)

    def final_rows(self) -> Counter[str]:
        """How many each request has."""
        return Counter(row[0] for row in self.backing.rows("SELECT request_id FROM requests"))

    def charged(self) -> int:
        """Nano-USD: what the rows of all attempts say, those included whose process was killed."""
        return sum(row[0] for row in self.backing.rows("SELECT cost_nano_usd FROM attempts"))


def judge(found: Crowd, *, is_killed: bool, is_server: bool) -> None:
    """No overspend by the vendor's own journal, most of what was affordable admitted, and refusals that say what helps."""
    errors = [error for error in map(told, found.answers) if error is not None]
    assert found.spent <= found.limit
    assert 0.9 * found.affordable <= found.admitted <= found.affordable, (found.affordable, found.admitted)
    assert {one.status for one in found.answers} <= {200, 402}
    for error in errors:
        assert (error["type"], error["code"]) == ("insufficient_quota", "budget_spent"), error
        assert "the operator can raise the budget" in error["message"]
    for one in found.turned_away:
        error = told(one)
        assert one.status in {200, 503}
        assert error is not None
        assert "nothing that is paid for is sent" in error["message"]
    assert bool(errors)
    assert bool(found.turned_away) is (is_killed and is_server)
    assert bool(found.cut) is (is_killed and not is_server)
    if is_server or not is_killed:
        assert found.given == found.admitted, "what was bought was given"
        assert found.forfeited == 0, "the account is what the vendor's journal says, to the nano-USD"
    else:
        assert found.forfeited >= 0
        assert 0 < found.given <= found.admitted


def numbers(found: Crowd) -> dict[str, Any]:
    """What a proof tells of it."""
    said: dict[str, Any] = {
        "budget, USD": found.limit / 1e9,
        "spent by the vendor's journal, USD": round(found.spent / 1e9, 6),
        "affordable": found.affordable,
        "admitted": found.admitted,
        "whole answers": found.given,
        "refused over budget": len(found.answers) - found.given,
    }
    if found.turned_away:
        said["told that the store is away, and asked again"] = len(found.turned_away)
    if found.cut:
        said["cut by the kill, and asked again"] = found.cut
        said["reserved by the killed and not used, USD"] = round(found.forfeited / 1e9, 6)
    return said
