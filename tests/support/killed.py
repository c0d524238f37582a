"""A whole gateway that is killed again and again while a crowd asks it, and what its ledger says afterwards."""

import asyncio
import contextlib
import signal
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.paid import PRICE, Asked, ask, billed, body, says
from support.place import Place, end

CROWD = 24
"""Requests at once, a third of them streamed."""
LONGEST_LIFE_S = 0.25
"""A server lives as long as this under load, at most."""
USD = 10_000.0


class Books(msgspec.Struct, kw_only=True):
    """What the store holds when all is over."""

    final_rows: Counter[str]
    """By request id."""
    attempt_rows: Counter[str]
    """By attempt id."""
    lapsed: set[str]
    """Attempts that a killed server left, settled at what was reserved."""
    charged: int
    """Nano-USD: the sum over the rows of attempts."""
    spent: int
    """Nano-USD: what the account says."""
    reserved: int
    is_whole: bool


class Trials:
    """Kill after kill on one store."""

    def __init__(self, folder: Path, runtime: FakeRuntime, seed: int) -> None:
        self.place, self.runtime, self.chance = Place(folder), runtime, Random(seed)
        config = runtime_toml("cloud", "vendor", base_url(runtime)) + deployment_toml("cloud", "big", "big-model", price=PRICE)
        budget = f'[[budgets]]\nname = "team"\nwindow = "total"\nusd = {USD}\nalerts = []\n'
        head = f'[server]\nport = {self.place.port}\n[discovery]\nlocal = false\n[log]\nlevel = "error"\n'
        self.place.config.write_text(head + NO_ENGINE + config + budget)
        self.answered: list[Asked] = []

    async def run(self, kills: int) -> None:
        for number in range(kills):
            server = self.place.start("serve")
            await asyncio.to_thread(self.place.until_serving, server)
            self.answered.append(await self._ask(-number))  # the store is there then, also at the very first start
            sent = len(self.runtime.journal)
            crowd = [asyncio.ensure_future(self._ask(number * CROWD + one)) for one in range(CROWD)]
            await asyncio.sleep(self.chance.random() * LONGEST_LIFE_S)
            # A busy machine is slow to begin.
            while len(self.runtime.journal) == sent and not all(one.done() for one in crowd):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.002)
            await asyncio.to_thread(end, server, signal.SIGKILL)
            self.answered += await asyncio.gather(*crowd)

    async def _ask(self, number: int) -> Asked:
        await asyncio.sleep(self.chance.random() * LONGEST_LIFE_S / 2)
        return await ask(self.place.port, body(number, stream=number % 3 == 0))

    async def books(self) -> Books:
        """One more start, until it has settled and finished what was left; then an end in order."""
        server = self.place.start("serve")
        try:
            await asyncio.to_thread(self.place.until_serving, server)
            async with asyncio.timeout(60):
                while self._open_ids():  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(0.05)
        finally:
            code, _, err = await asyncio.to_thread(end, server)
        assert code == 0, err
        return self._read()

    def _open_ids(self) -> bool:
        with contextlib.closing(self._store()) as store:
            [reserved] = store.execute("SELECT count(*) FROM reservations").fetchone()
            told = (
                "SELECT request_id FROM attempts UNION SELECT substr(attempt_id, 1, instr(attempt_id, '.') - 1) FROM money_flags"
            )
            [missing] = store.execute(
                f"SELECT count(*) FROM ({told} UNION SELECT request_id FROM decisions) t "
                "WHERE NOT EXISTS (SELECT 1 FROM requests r WHERE r.request_id = t.request_id)"
            ).fetchone()
        return bool(reserved or missing)

    def _store(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.place.folder / 'data' / 'freehold.db'}?mode=ro", uri=True, timeout=10)

    def _read(self) -> Books:
        with contextlib.closing(self._store()) as store:
            rows = store.execute("SELECT request_id || '.' || number, cost_nano_usd FROM attempts").fetchall()
            flags = store.execute("SELECT attempt_id FROM money_flags WHERE flag = 'lapsed'").fetchall()
            [(spent, reserved)] = store.execute("SELECT spent, reserved FROM accounts").fetchall()
            finals = store.execute("SELECT request_id FROM requests").fetchall()
            [whole] = store.execute("PRAGMA integrity_check").fetchone()
        lapsed = {attempt for (attempt,) in flags}
        return Books(
            final_rows=Counter(one for (one,) in finals),
            attempt_rows=Counter(attempt for attempt, _ in rows),
            lapsed=lapsed,
            charged=sum(cost or 0 for _, cost in rows),
            spent=spent,
            reserved=reserved,
            is_whole=whole == "ok",
        )

    def judge(self, books: Books) -> None:
        """Every request that got anything has one final row, every attempt one row of money, and none is lost or doubled."""
        assert books.is_whole
        assert books.reserved == 0
        assert set(books.final_rows.values()) <= {1}
        assert set(books.attempt_rows.values()) <= {1}
        told = {one.request_id for one in self.answered if one.status == 200}
        assert told <= set(books.final_rows), "a request that was answered has its final row"
        assert books.lapsed <= set(books.attempt_rows), "what lapsed has its row too"
        paid = {attempt.rpartition(".")[0] for attempt in books.attempt_rows}
        assert told <= paid, "and its money"
        assert paid <= set(books.final_rows)
        assert len(self.runtime.journal) <= len(books.attempt_rows), "nothing was sent without a row"
        assert books.charged == books.spent, "what the rows say is what the account says"
        assert books.spent >= billed(self.runtime), "no less than the vendor's own journal"


async def vendor() -> FakeRuntime:
    """One whose answers take a moment, so that kills find some half given."""
    runtime = FakeRuntime(lambda _received: says(12, slow_s=0.004))
    await runtime.start()
    return runtime
