import asyncio
import sqlite3
import subprocess
import sys
import time

import pytest

from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.storage.host_rates import HostRates
from freehold.storage.rates import LEASE_S, RatesAwayError
from support.power import compiled, watched

MANY = """
import asyncio, sys, time
from pathlib import Path
from freehold.policy.gcra import Charge, Hold, Taken
from freehold.storage.host_rates import HostRates

async def go():
    rates = HostRates(Path(sys.argv[1]), lambda: 10**15)
    got = 0
    for number in range(100):
        said = await rates.take([Charge("m", 1, 150)], [Hold("p", 150)], sys.argv[2] + str(number))
        got += isinstance(said, Taken)
    print(got, flush=True)
    sys.stdin.read()
asyncio.run(go())
"""

ONE = """
import asyncio, sys
from pathlib import Path
from freehold.policy.gcra import Charge
from freehold.storage.host_rates import HostRates

async def go():
    rates = HostRates(Path(sys.argv[1]), lambda: 10**15)
    await rates.take([Charge("m", 1, 9)], [], "h")
    await rates.close()
asyncio.run(go())
"""


@pytest.fixture
def clock():
    return [10**15]


@pytest.fixture
async def host(tmp_path, clock):
    host = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    yield host
    await host.close()


def test_workers_of_one_machine_are_counted_together(tmp_path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(tmp_path / "rates.db"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    counts = [int(worker.stdout.readline()) for worker in workers]
    for worker in workers:
        worker.communicate("")
    assert sum(counts) == 150


def test_no_take_waits_for_the_disk_and_the_first_one_does_not_either(tmp_path) -> None:
    """Who opens a new file has it locked, and others of this machine wait: a disk that is slow would make them count alone."""
    (tmp_path / "home").mkdir()
    happened = watched(compiled(tmp_path), tmp_path / "home", tmp_path / "log", ("-c", ONE, str(tmp_path / "home" / "rates.db")))
    kinds = {event.kind for event in happened}
    assert "w" in kinds
    assert "s" not in kinds


async def test_who_opens_a_new_file_waits_for_another_who_does(host, tmp_path, monkeypatch) -> None:
    (tmp_path / "home").mkdir()
    other = sqlite3.connect(tmp_path / "home" / "rates.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    asked_again = 0

    def sleep(_s: float) -> None:
        nonlocal asked_again
        asked_again += 1
        if asked_again == 3:
            other.execute("COMMIT")

    monkeypatch.setattr("freehold.storage.sqlite_opening.time.sleep", sleep)
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((1,))
    assert asked_again == 3
    other.close()


async def test_the_file_is_made_when_it_is_needed_and_private(host, tmp_path) -> None:
    assert not (tmp_path / "home").exists()
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((1,))
    assert (tmp_path / "home" / "rates.db").stat().st_mode & 0o077 == 0


async def test_counts_outlive_the_process(host, tmp_path, clock) -> None:
    await host.take([Charge("m", 5, 9)], (), "h")
    again = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    assert isinstance(await again.take([Charge("m", 5, 9)], (), "h"), Denied)
    await again.close()


async def test_the_places_of_a_process_that_died_come_back(host, tmp_path, clock) -> None:
    dead = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    await dead.take((), [Hold("p", 1)], "dead")
    assert await host.take((), [Hold("p", 1)], "h") == Denied("p", None)
    dead._held.clear()  # as a process that was killed would leave it
    await dead.close()
    assert await host.take((), [Hold("p", 1)], "h") == Denied("p", None)
    clock[0] += int(LEASE_S * 1e6)
    assert isinstance(await host.take((), [Hold("p", 1)], "h"), Taken)


async def test_places_that_are_held_are_renewed(host, clock, monkeypatch) -> None:
    monkeypatch.setattr("freehold.storage.host_rates.LEASE_S", 0.03)
    loop, renewed, renew = asyncio.get_running_loop(), asyncio.Event(), host._renew

    def tell(held) -> None:
        renew(held)
        loop.call_soon_threadsafe(renewed.set)

    monkeypatch.setattr(host, "_renew", tell)
    await host.take((), [Hold("p", 1)], "long")
    clock[0] += int(LEASE_S * 1e6) - 1
    for _ in range(2):  # the first may have begun before the clock was moved
        renewed.clear()
        await renewed.wait()
    clock[0] += 1
    assert await host.take((), [Hold("p", 1)], "h") == Denied("p", None)


async def test_places_are_given_back_at_the_end(host, tmp_path, clock) -> None:
    other = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    await other.take((), [Hold("p", 1)], "other")
    await other.close()
    assert isinstance(await host.take((), [Hold("p", 1)], "h"), Taken)


async def test_a_damaged_file_is_thrown_away(host, tmp_path) -> None:
    path = tmp_path / "home" / "rates.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    assert isinstance(await host.take([Charge("m", 1, 9)], (), "h"), Taken)


async def test_a_store_that_is_locked_for_long_is_away_for_all_who_waited(host, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("freehold.storage.host_rates.BUSY_TIMEOUT_S", 1.0)
    await host.take([Charge("m", 1, 9)], (), "h")
    other = sqlite3.connect(tmp_path / "home" / "rates.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    said = await asyncio.gather(*(host.take([Charge("m", 1, 9)], (), "h") for _ in range(100)), return_exceptions=True)
    assert [type(one) for one in said] == [RatesAwayError] * 100
    assert time.monotonic() - began < 50  # each after the other would take 100
    other.execute("ROLLBACK")
    other.close()
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((2,))


async def test_a_wait_that_is_cancelled_leaves_no_place_taken(host) -> None:
    task = asyncio.ensure_future(host.take((), [Hold("p", 1)], "gone"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await host.take((), [Hold("p", 1)], "h"), Taken)


async def test_processes_that_find_the_same_damage_count_together_afterwards(tmp_path, clock) -> None:
    path = tmp_path / "home" / "rates.db"
    path.parent.mkdir()
    for _ in range(20):
        path.write_bytes(b"no database" * 1000)
        others = [HostRates(path, lambda: clock[0]) for _ in range(3)]
        said = await asyncio.gather(*(one.take([Charge("m", 1, 1)], (), "h") for one in others))
        again = [await one.take([Charge("m", 1, 1)], (), "h") for one in others]
        assert sorted(type(one).__name__ for one in said) == ["Denied", "Denied", "Taken"]
        assert {type(one) for one in again} == {Denied}
        for one in others:
            await one.close()


async def test_a_file_that_was_removed_is_no_reason_to_count_apart(host, tmp_path, clock) -> None:
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((1,))
    for path in (tmp_path / "home").glob("rates.db*"):
        path.unlink()
    other = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    assert await other.take([Charge("m", 5, 9)], (), "h") == Taken((5,))
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((6,))
    assert await other.take([Charge("m", 1, 9)], (), "h") == Taken((7,))
    await other.close()


async def test_damage_that_shows_later_ends_with_the_file(tmp_path, clock) -> None:
    path = tmp_path / "rates.db"
    first = HostRates(path, lambda: clock[0])
    await first.take([Charge(f"meter {number}", 9, 9) for number in range(500)], (), "h")
    await first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    again = HostRates(path, lambda: clock[0])
    assert await again.take([Charge("m", 1, 9)], (), "h") == Taken((1,))
    other = HostRates(path, lambda: clock[0])
    assert await other.take([Charge("m", 1, 9)], (), "h") == Taken((2,))
    await again.close()
    await other.close()


async def test_a_commit_that_fails_is_undone_and_stands_in_nobodys_way(host) -> None:
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((1,))

    def deny(action: int, what: str | None, *_names: str | None) -> int:
        return sqlite3.SQLITE_DENY if (action, what) == (sqlite3.SQLITE_TRANSACTION, "COMMIT") else sqlite3.SQLITE_OK

    host._run(lambda: host._database.set_authorizer(deny)).result()
    with pytest.raises(RatesAwayError):
        await host.take([Charge("m", 1, 9)], (), "h")
    host._run(lambda: host._database.set_authorizer(None)).result()
    assert await host.take([Charge("m", 1, 9)], (), "h") == Taken((2,))


async def test_a_place_that_cannot_be_written_is_away(tmp_path, clock) -> None:
    (tmp_path / "home").write_text("no folder")
    host = HostRates(tmp_path / "home" / "rates.db", lambda: clock[0])
    with pytest.raises(RatesAwayError, match="rates.db"):
        await host.take([Charge("m", 1, 9)], [Hold("p", 1)], "h")
    await host.close()
