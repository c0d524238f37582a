"""Every store of budgets holds its bound, settles once, and settles for those who died; the same tests on each."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from freehold.storage.reservations import Balance, Charge, Short
from support.budget_cases import BEGUN, LEASE_S, charges, paid, race
from support.budget_servers import KINDS, Backing, Servers


@pytest.fixture(params=KINDS)
def backing(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Backing:
    """A fresh, empty place to keep budgets."""
    return Backing(request.param, tmp_path, servers)


@pytest.fixture
async def store(backing: Backing) -> AsyncIterator[Any]:
    opened = await backing.open()
    yield opened
    await opened.close()


async def test_what_is_reserved_is_settled_at_what_it_cost(store: Any, backing: Backing) -> None:
    assert await store.reserve("q_1.1", charges(40, "a", "b"), LEASE_S) is None
    assert await store.balances(["a", "b", "never"]) == {"a": Balance(0, 40), "b": Balance(0, 40), "never": Balance()}
    await store.settle("q_1.1", {"a": 30, "b": 40}, paid("q_1.1"))
    assert await store.balances(["a", "b"]) == {"a": Balance(30, 0), "b": Balance(40, 0)}
    assert backing.attempts() == ["q_1.1"]


async def test_where_one_account_is_short_nothing_is_reserved_and_it_is_named(store: Any) -> None:
    assert await store.reserve("q_1.1", charges(40, "b", limit=50), LEASE_S) is None
    wanted = (Charge("a", 100, 20), Charge("b", 50, 20))
    assert await store.reserve("q_2.1", wanted, LEASE_S) == Short(wanted[1], Balance(0, 40))
    assert await store.balances(["a"]) == {"a": Balance()}
    assert await store.reserve("q_3.1", (Charge("fresh", 10, 11),), LEASE_S) == Short(Charge("fresh", 10, 11), Balance())
    assert await store.reserve("q_4.1", (Charge("fresh", 10, 10),), LEASE_S) is None


async def test_every_step_may_be_repeated(store: Any, backing: Backing) -> None:
    for _ in range(2):
        assert await store.reserve("q_1.1", charges(40), LEASE_S) is None
    assert await store.balances(["a"]) == {"a": Balance(0, 40)}
    for _ in range(2):
        await store.settle("q_1.1", {"a": 30}, paid("q_1.1"))
        await store.void("q_1.1", None)
    assert await store.balances(["a"]) == {"a": Balance(30, 0)}
    assert await store.reserve("q_2.1", charges(40), LEASE_S) is None
    for _ in range(2):
        await store.void("q_2.1", paid("q_2.1", end="fault"))
    assert await store.balances(["a"]) == {"a": Balance(30, 0)}
    assert backing.attempts() == ["q_1.1", "q_2.1"]
    assert backing.flags() == []


async def test_an_overrun_is_charged_and_flagged_in_a_row_of_its_own(store: Any, backing: Backing) -> None:
    assert await store.reserve("q_1.1", charges(40), LEASE_S) is None
    for _ in range(2):
        await store.settle("q_1.1", {"a": 130}, paid("q_1.1"))
    assert await store.balances(["a"]) == {"a": Balance(130, 0)}
    assert backing.flags() == [("q_1.1", "overrun", "a", 40, 130)]
    assert isinstance(await store.reserve("q_2.1", charges(1), LEASE_S), Short)


async def test_a_lapsed_reservation_is_settled_at_what_was_reserved_and_corrected_by_the_true_settlement(
    store: Any, backing: Backing
) -> None:
    assert await store.reserve("q_1.1", charges(40), 0.0) is None
    assert await store.reserve("q_2.1", charges(10), 0.0) is None
    assert await store.reserve("q_3.1", charges(10), LEASE_S) is None
    await store.renew(["q_2.1", "q_gone.1"], LEASE_S)
    other = await backing.open()
    try:
        assert await other.balances(["a"]) == {"a": Balance(40, 20)}
        assert backing.flags() == [("q_1.1", "lapsed", "a", 40, 40)]
    finally:
        await other.close()
    for _ in range(2):
        await store.settle("q_1.1", {"a": 15}, paid("q_1.1"))
    assert await store.balances(["a"]) == {"a": Balance(15, 20)}
    assert backing.flags() == [("q_1.1", "lapsed", "a", 40, 15)]
    assert backing.attempts() == ["q_1.1"]


async def test_accounts_are_found_by_how_their_names_begin_letter_for_letter(store: Any) -> None:
    names = ("a%_!/x", "a%_!/y", "A%_!/x", "ab_!/x", "a%", "other")
    assert await store.reserve("q_1.1", charges(40, *names), LEASE_S) is None
    await store.settle("q_1.1", dict.fromkeys(names, 30), paid("q_1.1"))
    assert await store.reserve("q_2.1", charges(5, "a%_!/y", "a%_!/new"), LEASE_S) is None
    found = await store.standings(["a%_!/", "none/"])
    assert found == {"a%_!/new": Balance(0, 5), "a%_!/x": Balance(30, 0), "a%_!/y": Balance(30, 5)}


ROW = "SELECT number, deployment, cost_nano_usd, cost_basis, input_tokens, output_tokens, {} FROM attempts ORDER BY request_id"
LAPSED = (1, "cloud/big", 40, "estimated", 3, 7, "cut", "internal")


async def test_what_lapsed_has_its_row_and_the_true_settlement_or_its_withdrawal_takes_the_place_of_it(
    store: Any, backing: Backing
) -> None:
    wanted = ROW.format('"end", fault')
    for name in ("q_1.1", "q_2.1", "q_3.1"):
        assert await store.reserve(name, charges(40, limit=200), 0.0, BEGUN) is None
    other = await backing.open()
    try:
        await other.recover()
        assert await other.balances(["a"]) == {"a": Balance(120, 0)}
        assert backing.rows(wanted) == [LAPSED] * 3, "what the account says, the ledger says too"
        for _ in range(2):
            await store.settle("q_1.1", {"a": 15}, paid("q_1.1", cost_nano_usd=15))
            await store.void("q_2.1", None)
        await other.recover()
        assert await other.balances(["a"]) == {"a": Balance(55, 0)}
        assert backing.attempts() == ["q_1.1", "q_3.1"]
        assert [row[2] for row in backing.rows(wanted)] == [15, 40]
    finally:
        await other.close()


async def test_of_a_thousand_at_once_exactly_those_are_admitted_that_the_budget_pays_for(store: Any, backing: Backing) -> None:
    admitted = await race(store, requests=1000, limit=5_005, amount=10)
    assert len(admitted) == 500
    assert await store.balances(["a"]) == {"a": Balance(5_000, 0)}
    assert backing.attempts() == sorted(admitted)


LEAVES = """
import asyncio, sys
from support.budget_cases import charges
from support.budget_servers import reopened
async def main():
    store = await reopened(sys.argv[1])
    assert await store.reserve("q_dead.1", charges(40), 3600.0) is None
    print("reserved", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


async def test_what_a_killed_process_had_reserved_is_settled_at_the_next_start_however_long_its_lease(
    store: Any, backing: Backing
) -> None:
    assert await store.reserve("q_alive.1", charges(10), LEASE_S) is None
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LEAVES, backing.address),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"reserved\n"
    assert await store.balances(["a"]) == {"a": Balance(0, 50)}
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    other = await backing.open()
    try:
        assert await other.balances(["a"]) == {"a": Balance(40, 10)}, "and that of the living still stands"
        assert backing.flags() == [("q_dead.1", "lapsed", "a", 40, 40)]
    finally:
        await other.close()


async def test_a_row_that_the_database_refuses_does_not_keep_the_money_from_being_settled(store: Any, backing: Backing) -> None:
    assert await store.reserve("q_1.1", charges(40), LEASE_S) is None
    assert await store.reserve("q_2.1", charges(40), LEASE_S) is None
    await asyncio.gather(
        store.settle("q_1.1", {"a": 30}, paid("q_1.1", mode="neither")),
        store.settle("q_2.1", {"a": 30}, paid("q_2.1", fault_message="\udcff\x00")),
    )
    assert await store.balances(["a"]) == {"a": Balance(60, 0)}
    assert backing.attempts() == ["q_2.1"]
    assert backing.flags() == [("q_1.1", "unwritten", "a", 30, 30)]


async def test_a_step_at_fault_is_told_to_who_asked_and_undoes_nobody_elses(store: Any) -> None:
    said = await asyncio.gather(
        *(store.reserve(f"q_{number}.1", charges(-5 if number == 3 else 5), LEASE_S) for number in range(6)),
        return_exceptions=True,
    )
    assert [type(one) for one in said] == [type(None)] * 3 + [ValueError] + [type(None)] * 2
    assert await store.balances(["a"]) == {"a": Balance(0, 25)}
