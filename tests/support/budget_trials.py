"""Trials of the ledger's money: a process is killed, or the power cut, and what is left is held against what was acknowledged."""

import os
import select
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from random import Random

from freehold.storage.engine import create_tables, open_engine
from freehold.storage.owners import is_dead, own_name
from freehold.storage.sqlite_budgets import SqliteLink
from freehold.storage.store import prepare, sqlite_url
from support.budget_servers import wall_ms
from support.power import Disk, compiled, watched


def judge(path: Path, said: Iterable[str]) -> Counter[str]:
    """Recover the ledger as a start does; count what was lost, doubled or corrupt, and what there was to lose."""
    reserved: dict[str, int] = {}
    settling: dict[str, int] = {}
    settled, voiding = set[str](), set[str]()
    for line in said:
        kind, _, rest = line.partition(" ")
        attempt_id, _, amount = rest.partition(" ")
        match kind:
            case "r":
                reserved[attempt_id] = int(amount)
            case "s":
                settling[attempt_id] = int(amount)
            case "S":
                settled.add(attempt_id)
            case "v":
                voiding.add(attempt_id)
    found: Counter[str] = Counter(acknowledged=len(reserved) + len(settled))
    try:
        link = SqliteLink(path, wall_ms, own_name())
        try:
            link.begin()
            link.steps.recover(is_dead)
            link.commit()
        finally:
            link.close()
        with closing(sqlite3.connect(path)) as database:
            found["corrupt"] += database.execute("PRAGMA integrity_check").fetchone() != ("ok",)
            rows = {
                f"{row[0]}.{row[1]}": row[2] for row in database.execute("SELECT request_id, number, cost_nano_usd FROM attempts")
            }
            lapsed = dict(
                database.execute("SELECT attempt_id, spent FROM money_flags WHERE flag = 'lapsed' AND account = 'team'")
            )
            accounts = {row[0]: row[1:] for row in database.execute("SELECT account, spent, reserved FROM accounts")}
            left = database.execute("SELECT count(*) FROM reservations").fetchone()[0]
    except sqlite3.Error as error:
        found["corrupt"] += 1
        found[f"{type(error).__name__}: {error}"] += 1
        return found
    found["lost"] += sum(rows.get(one) != settling[one] for one in settled)
    traced = rows.keys() | lapsed.keys() | voiding
    found["lost"] += sum(one not in traced for one in reserved)
    expected = sum(rows.values()) + sum(spent for one, spent in lapsed.items() if one not in rows)
    found["doubled or lost money"] += any(stands != (expected, 0) for stands in accounts.values()) or left > 0
    found["lapsed"] += len(lapsed)
    return found


def kill_once(work: object, path: Path, chance: Random, number: int) -> list[str]:
    """Fork, let `work(number)` run there, kill it after a while. Gives what it said. The caller has no threads."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        os.dup2(writes, 1)
        try:
            work(number)  # type: ignore[operator] - what the trial hands in
        finally:
            os._exit(3)
    os.close(writes)
    said, wanted = bytearray(), chance.choice((0, 1, 2, 5, 20, 60))
    delay_s = chance.random() * 0.004
    while said.count(b"\n") < wanted and (piece := os.read(reads, 65536)):
        said += piece
    select.select([], [], [], delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while piece := os.read(reads, 65536):
        said += piece
    os.close(reads)
    whole = said.rpartition(b"\n")[0].decode()
    return whole.splitlines()


def killed(folder: Path, trials: int, seed: int) -> Counter[str]:
    """Kill that many processes at random moments, many of them on one file. In a process of its own, without threads."""
    import asyncio

    from freehold.storage.sqlite_budgets import sqlite_budgets
    from support.budget_work import work

    chance, total = Random(seed), Counter[str]()
    path, said = folder / "0.db", list[str]()

    def run(number: int) -> None:
        async def main() -> None:
            store = await sqlite_budgets(path, wall_ms).open()
            await work(store, number, f"q{number}", 10_000)

        asyncio.run(main())

    for number in range(trials):
        if number % 50 == 0:
            path, said = folder / f"{number}.db", []
            prepare(sqlite_url(path))
        said += kill_once(run, path, chance, number)
        found = judge(path, said)
        if (number + 1) % 50 and number + 1 < trials:
            found = Counter({name: count for name, count in found.items() if name not in {"acknowledged", "lapsed"}})
        total += found
        total["trials"] += 1
    return total


def cut_off(folder: Path, cuts: int, seed: int, *, each_run: int = 50, synchronous: str = "FULL") -> Counter[str]:
    """Cut the power that many times, at random moments of runs that are watched below their SQLite."""
    chance, total = Random(seed), Counter[str]()
    layer = compiled(folder)
    for run in range(-(-cuts // each_run)):
        place = folder / f"run{run}"
        prepare(sqlite_url(place / "l.db"))
        create_tables(open_engine(sqlite_url(place / "l.db")), now_ms=0)
        disk = Disk(place)
        command = ("-m", "support.budget_work", str(place / "l.db"), str(seed + run), "120", synchronous)
        events = watched(layer, place, folder / "log", command)
        moments = sorted(chance.randrange(len(events) + 1) for _ in range(min(each_run, cuts - total["cuts"])))
        said, at = list[str](), 0
        for moment in moments:
            for event in events[at:moment]:
                if event.kind == "m":
                    said += event.data.decode().splitlines()
                else:
                    disk.take(event)
            at = moment
            left = folder / "left"
            disk.cut(chance, left)
            total += judge(left / "l.db", said)
            total["cuts"] += 1
            shutil.rmtree(left)
        shutil.rmtree(place)
    return total


if __name__ == "__main__":
    where = Path(sys.argv[1])
    for name, count in killed(where, int(sys.argv[2]), int(sys.argv[3])).items():
        sys.stdout.write(f"{name}: {count}\n")
    shutil.rmtree(where, ignore_errors=True)
