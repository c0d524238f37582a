"""What a durable reservation takes at 200 requests a second, beside what one fsync of this disk takes in the same seconds.

    .venv/bin/python bench/reservations.py [--seconds 10] [--rate 200] [--rows 1000000 [--log-mib 128]]

Each request reserves on two accounts, waits as a fast upstream would, and settles; the ledger's ordinary writer writes five rows
for each meanwhile. A thread of another process appends a page to a file beside the ledger and syncs it, again and again, at the
same rate. With `--rows`, a ledger of so many rows is recovered first, after a process died on it;
with `--log-mib`, so much of it is only in SQLite's log.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from freehold.storage.engine import create_tables, open_engine  # noqa: E402 - behind the path above
from freehold.storage.reservations import Charge  # noqa: E402 - behind the path above
from freehold.storage.sqlite_budgets import sqlite_budgets  # noqa: E402 - behind the path above
from freehold.storage.store import prepare, sqlite_url  # noqa: E402 - behind the path above
from freehold.storage.writer import Writer  # noqa: E402 - behind the path above
from support import records  # noqa: E402 - behind the path above

PAGE = 8192
ANSWER_S = 0.05
LEASE_S = 60.0


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def sync_alone(path: str, rate: float, seconds: float, spans: "multiprocessing.SimpleQueue[list[float]]") -> None:
    """Append and sync, at that rate."""
    taken: list[float] = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ends_s = time.perf_counter() + seconds
    while (begun_s := time.perf_counter()) < ends_s:
        os.write(file, os.urandom(PAGE))
        synced_s = time.perf_counter()
        os.fdatasync(file)
        taken.append(time.perf_counter() - synced_s)
        time.sleep(max(0.0, 1 / rate - (time.perf_counter() - begun_s)))
    spans.put(taken)


async def load(path: Path, rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Spans of reservations and of settlements, in seconds."""
    store = await sqlite_budgets(path, wall_ms).open()
    writer = Writer(sqlite_url(path), now_ms=wall_ms, tell=lambda *_a, **_k: None)
    writer.start()
    reserved: list[float] = []
    settled: list[float] = []

    async def one(number: int) -> None:
        charges = (Charge("team/day", 10**15, 1000), Charge("user/day", 10**15, 1000))
        begun_s = time.perf_counter()
        assert await store.reserve(f"b_{number}.1", charges, LEASE_S) is None
        reserved.append(time.perf_counter() - begun_s)
        await asyncio.sleep(ANSWER_S)
        for row in range(5):
            writer.put("requests", records.request(f"b_{number}_{row}"))
        begun_s = time.perf_counter()
        await store.settle(f"b_{number}.1", {"team/day": 900, "user/day": 900}, records.attempt(f"b_{number}", cost_nano_usd=900))
        settled.append(time.perf_counter() - begun_s)

    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun_s + number / rate - loop.time()))
            group.create_task(one(number))
    await store.close()
    writer.close()
    return reserved, settled


async def recover(folder: Path, rows: int, log_mib: int) -> float:
    """Seconds until a ledger of so many rows serves again, after a process died with a hundred reservations on it.

    `log_mib`: so much had been written to the log and not copied into the file.
    """
    path = folder / "large.db"
    prepare(sqlite_url(path))
    engine = open_engine(sqlite_url(path))
    create_tables(engine, now_ms=wall_ms())
    engine.dispose()
    writer = Writer(sqlite_url(path), now_ms=wall_ms, tell=lambda *_a, **_k: None)
    writer.start()
    for number in range(rows):
        writer.put("attempts", records.attempt(f"old_{number:09}"))
        if number % 20_000 == 0:
            writer.flush()
    writer.close(600)
    store = await sqlite_budgets(path, wall_ms).open()
    for number in range(100):
        await store.reserve(f"dead_{number}.1", (Charge("team/day", 10**15, 1000),), 3600.0)
    await store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reservations SET owner = replace(owner, ':', ':9')")
    database.close()
    if log_mib:
        dies = multiprocessing.get_context("spawn").Process(target=fill_log, args=(str(path), log_mib))
        dies.start()
        dies.join()
        assert path.with_name("large.db-wal").stat().st_size >= log_mib * 2**20
    begun_s = time.perf_counter()
    prepare(sqlite_url(path))
    store = await sqlite_budgets(path, wall_ms).open()
    stands = (await store.balances(["team/day"]))["team/day"]
    took_s = time.perf_counter() - begun_s
    await store.close()
    assert (stands.spent, stands.reserved) == (100_000, 0), stands
    return took_s


def fill_log(path: str, mebibytes: int) -> None:
    """Write rows of money until the log is that long and none of it is in the file yet; then die on the spot, as by a power cut."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
        database.execute(f"PRAGMA {pragma}")
    log, number = Path(path + "-wal"), 0
    while log.stat().st_size < mebibytes * 2**20:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(1000):
            number += 1
            row = (f"log_{number}.1", "lapsed", f"team-{number % 1000}/day", wall_ms(), 1000, 1000)
            database.execute("INSERT INTO money_flags VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("COMMIT")
    os.kill(os.getpid(), signal.SIGKILL)


def p99(spans: list[float]) -> float:
    """In milliseconds."""
    return round(quantiles(spans, n=100)[98] * 1000, 2)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--log-mib", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as where:
        folder = Path(where)
        path = folder / "ledger.db"
        prepare(sqlite_url(path))
        spans: multiprocessing.SimpleQueue[list[float]] = multiprocessing.get_context("spawn").SimpleQueue()
        beside = multiprocessing.get_context("spawn").Process(
            target=sync_alone, args=(str(folder / "beside"), asked.rate, asked.seconds, spans)
        )
        beside.start()
        reserved, settled = asyncio.run(load(path, asked.rate, asked.seconds))
        synced = spans.get()
        beside.join()
        found: dict[str, float] = {
            "reserve_p50_ms": round(median(reserved) * 1000, 2),
            "reserve_p99_ms": p99(reserved),
            "settle_p99_ms": p99(settled),
            "fsync_p50_ms": round(median(synced) * 1000, 2),
            "fsync_p99_ms": p99(synced),
            "ratio_p99": round(p99(reserved) / p99(synced), 2),
            "requests": len(reserved),
            "syncs": len(synced),
        }
        if asked.rows:
            found |= {
                "rows": asked.rows,
                "recovery_s": round(asyncio.run(recover(folder, asked.rows, asked.log_mib)), 3),
                "log_mib": asked.log_mib,
            }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
