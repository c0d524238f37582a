"""Several ledgers on one Redis share its accounts and nothing else: what is told of an attempt goes to its own ledger."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from freehold.storage.redis_budgets import RedisBudgets
from freehold.storage.reservations import Balance
from support.budget_cases import BEGUN, LEASE_S, charges, paid
from support.budget_servers import Backing, Servers


class Ledgers:
    """Two of them, each with a file of its own, and stores on them."""

    def __init__(self, folder: Path, servers: Servers, stack: AsyncExitStack) -> None:
        self._stack = stack
        (folder / "ours").mkdir()
        (folder / "theirs").mkdir()
        self.ours, self.theirs = (Backing("redis", folder / name, servers) for name in ("ours", "theirs"))

    async def open(self, backing: Backing) -> Any:
        """A process on that ledger."""
        store = await backing.open()
        self._stack.push_async_callback(store.close)
        return store

    def left_in_redis(self) -> list[str]:
        """Keys of what is not told yet."""
        assert self.ours.redis is not None
        with redis.Redis.from_url(self.ours.redis, decode_responses=True) as client:
            return [key for key in client.scan_iter() if "flags" in key]


@pytest.fixture
async def ledgers(tmp_path: Path, servers: Servers) -> AsyncIterator[Ledgers]:
    async with AsyncExitStack() as stack:
        yield Ledgers(tmp_path, servers, stack)


async def test_accounts_are_common_to_all(ledgers: Ledgers) -> None:
    ours, theirs = await ledgers.open(ledgers.ours), await ledgers.open(ledgers.theirs)
    assert await ours.reserve("q_1.1", charges(60), LEASE_S) is None
    assert await theirs.reserve("q_2.1", charges(60), LEASE_S) is not None, "there is one budget, not one for each"
    await ours.settle("q_1.1", {"a": 30}, paid("q_1.1"))
    assert await theirs.balances(["a"]) == {"a": Balance(30, 0)}


async def test_what_lapsed_is_settled_by_anybody_and_told_in_its_own_ledger_alone(ledgers: Ledgers) -> None:
    ours = await ledgers.open(ledgers.ours)
    assert await ours.reserve("q_1.1", charges(40), 0.0, BEGUN) is None
    theirs = await ledgers.open(ledgers.theirs)
    assert await theirs.balances(["a"]) == {"a": Balance(40, 0)}
    assert (ledgers.theirs.flags(), ledgers.theirs.attempts()) == ([], []), "it is no attempt of theirs"
    await theirs.recover()
    assert (ledgers.ours.flags(), ledgers.ours.attempts()) == ([], []), "nor can they write there"
    await ours.recover()
    assert ledgers.ours.flags() == [("q_1.1", "lapsed", "a", 40, 40)]
    assert ledgers.ours.attempts() == ["q_1.1"]
    assert ledgers.ours.rows("SELECT sum(cost_nano_usd) FROM attempts") == [(40,)]
    assert ledgers.left_in_redis() == []
    await ours.settle("q_1.1", {"a": 50}, paid("q_1.1", cost_nano_usd=50))
    await theirs.recover()
    assert ledgers.ours.flags() == [("q_1.1", "lapsed", "a", 40, 50), ("q_1.1", "overrun", "a", 40, 50)]
    assert (ledgers.theirs.flags(), ledgers.theirs.attempts()) == ([], [])


async def test_what_waits_to_be_told_outlives_a_ledger_that_is_away_and_keeps_nobody_else_busy(
    ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = await ledgers.open(ledgers.ours)
    assert await ours.reserve("q_1.1", charges(40), 0.0, BEGUN) is None
    await ours.close()
    theirs = await ledgers.open(ledgers.theirs)
    told: list[int] = []
    passed_on = RedisBudgets._pass_on

    async def counted(store: RedisBudgets, waiting: int) -> None:
        told.append(waiting)
        await passed_on(store, waiting)

    monkeypatch.setattr(RedisBudgets, "_pass_on", counted)
    assert await theirs.reserve("q_2.1", charges(10), LEASE_S) is None
    await theirs.settle("q_2.1", {"a": 10}, paid("q_2.1"))
    assert told == [0]
    await ledgers.open(ledgers.ours)
    assert ledgers.ours.attempts() == ["q_1.1"]
    assert ledgers.ours.flags() == [("q_1.1", "lapsed", "a", 40, 40)]


async def test_processes_on_one_ledger_tell_for_each_other(ledgers: Ledgers) -> None:
    ours = await ledgers.open(ledgers.ours)
    assert await ours.reserve("q_1.1", charges(40), 0.0, BEGUN) is None
    await ledgers.open(ledgers.ours)
    assert ledgers.ours.flags() == [("q_1.1", "lapsed", "a", 40, 40)]
    assert ledgers.ours.attempts() == ["q_1.1"]


@pytest.mark.parametrize("is_withdrawn", [False, True])
async def test_who_is_late_with_an_old_word_does_not_undo_a_newer_one(
    ledgers: Ledgers, is_withdrawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process has read that it lapsed, another settles it truly meanwhile and tells that first."""
    ours, slow = await ledgers.open(ledgers.ours), await ledgers.open(ledgers.ours)
    theirs = await ledgers.open(ledgers.theirs)
    assert await ours.reserve("q_1.1", charges(40), 0.0, BEGUN) is None
    await theirs.recover()
    flag = slow._rows.flag

    async def settled_first(*words: Any) -> None:
        monkeypatch.undo()
        if is_withdrawn:
            await ours.void("q_1.1", None)
        else:
            await ours.settle("q_1.1", {"a": 15}, paid("q_1.1", cost_nano_usd=15))
        await flag(*words)

    monkeypatch.setattr(slow._rows, "flag", settled_first)
    await slow.recover()
    await ours.recover()
    spent = 0 if is_withdrawn else 15
    assert await ours.balances(["a"]) == {"a": Balance(spent, 0)}
    assert ledgers.ours.flags() == [("q_1.1", "lapsed", "a", 40, spent)]
    assert ledgers.ours.rows("SELECT cost_nano_usd FROM attempts") == ([] if is_withdrawn else [(15,)])
    assert ledgers.left_in_redis() == []
