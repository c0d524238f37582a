"""Killed at any moment, cut off from power, its server gone midway: money is neither lost nor doubled nor overspent."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.storage.reservations import Balance
from support.budget_servers import Backing, Servers
from support.budget_trials import cut_off

TESTS = Path(__file__).parents[2]
LIMIT, AMOUNT = 5_005, 10
AFFORDABLE = LIMIT // AMOUNT


def test_of_a_hundred_killed_processes_nothing_acknowledged_is_lost_or_charged_twice(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "support.budget_trials", str(tmp_path / "trials"), "100", "7"],
        check=True,
        capture_output=True,
        text=True,
        timeout=110,  # type: ignore[call-overload] - one line
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    ).stdout
    found = {name: int(count) for name, _, count in (line.rpartition(": ") for line in said.splitlines())}
    assert found.pop("trials") == 100
    assert found.pop("acknowledged") > 300
    assert found.pop("lapsed") > 20
    assert found == {}


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    found = cut_off(tmp_path, 60, 11)
    assert found.pop("cuts") == 60
    assert found.pop("acknowledged") > 1_000
    assert found.pop("lapsed") > 20
    assert +found == {}


def test_a_disk_that_is_told_to_sync_less_is_caught(tmp_path: Path) -> None:
    assert cut_off(tmp_path, 30, 12, synchronous="NORMAL")["lost"] > 0


async def spend(backing: Backing, journal: Path, processes: int, each: int) -> list[asyncio.subprocess.Process]:
    """Start processes that spend from one budget."""
    return [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.budget_crowd", backing.address, str(journal), f"p{number}_"),
            *(str(each), str(LIMIT), str(AMOUNT)),
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        for number in range(processes)
    ]


async def until_half(journal: Path) -> None:
    """Wait until half of what is affordable was sent."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(billed_in, journal) < AFFORDABLE // 2:  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(0.005)


def billed_in(journal: Path) -> int:
    """How many were sent by now."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
async def test_a_thousand_in_four_processes_spend_one_budget_and_no_more_though_what_keeps_it_is_killed_midway(
    kind: str, tmp_path: Path, servers: Servers
) -> None:
    backing, journal = Backing(kind, tmp_path, servers), tmp_path / "upstream"
    crowd = await spend(backing, journal, 4, 250)
    await until_half(journal)
    if backing.server is None:
        crowd[0].kill()  # the file has no server: one of those who write to it dies
    else:
        backing.server.kill()
        backing.server.start()
    ended = [await one.wait() for one in crowd]
    assert ended == ([-9, 0, 0, 0] if backing.server is None else [0, 0, 0, 0])
    billed = [line.split() for line in journal.read_text().splitlines()]
    store = await backing.open()
    stands = (await store.balances(["team"]))["team"]
    await store.close()
    assert stands.reserved == 0
    assert sum(int(amount) for amount, _ in billed) <= stands.spent <= LIMIT
    settled = set(backing.attempts())
    lapsed = {flag[0] for flag in backing.flags() if flag[1] == "lapsed"}
    # Who was killed may have held a half of the budget for calls it never sent: they were admitted, and count as spent.
    assert len(settled | lapsed) >= 0.9 * AFFORDABLE
    assert {attempt_id for _, attempt_id in billed} <= settled | lapsed
    assert stands == Balance(AMOUNT * len(settled | lapsed), 0)
