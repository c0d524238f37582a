"""Alerts: each threshold once per window, whoever spends, and never in anybody's way."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from freehold.costs.bound import Bound
from freehold.limits import alerts as module
from freehold.limits.alerts import Alerts
from freehold.limits.charges import Item
from freehold.policy.budgets import Budget, BudgetTable
from freehold.server.budgeting import mark_once
from support.budget_store import MemoryStore, tells

ACCOUNT = "team/day/2026-11-21/usd/ann"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHERED_S", 0.0)
    monkeypatch.setattr(module, "RETRIES_S", (0.0, 0.0))


def item(*shares: float, limit: int = 1_000_000_000) -> Item:
    budget = Budget(name="team", window="day", usd=1.0, per="user", alerts=shares)
    return Item(BudgetTable([budget], []).lines[0], "usd", ACCOUNT, limit, 1_795_219_200_000, Bound(0, 0))


class Desk:
    def __init__(self, folder: Path, *answers: bool) -> None:
        self.tell, self.told = tells()
        self.sent: list[Any] = []
        self.answers = list(answers)
        self.store = MemoryStore()
        self.alerts = Alerts(self.tell, lambda name: mark_once(folder, name), self.send)

    async def send(self, body: bytes) -> bool:
        self.sent.append(json.loads(body))
        return self.answers.pop(0) if self.answers else True

    async def spend(self, nano_usd: int, one: Item) -> None:
        self.store.spent[ACCOUNT] = self.store.spent.get(ACCOUNT, 0) + nano_usd
        self.alerts.spent([one], self.store)
        while self.alerts._task is not None:
            await asyncio.wait([self.alerts._task])


async def test_each_threshold_is_told_once_and_in_order(tmp_path: Path):
    desk, one = Desk(tmp_path), item(1.0, 0.5, 0.8)
    for nano_usd in (400_000_000, 100_000_000, 100_000_000, 300_000_000, 200_000_000, 500_000_000):
        await desk.spend(nano_usd, one)
    assert [alert["share"] for alert in desk.sent] == [0.5, 0.8, 1.0]
    assert [facts["share"] for event, facts in desk.told if event == "budget.threshold"] == [0.5, 0.8, 1.0]
    assert desk.sent[0] == {
        "event": "budget_threshold",
        "budget": "team",
        "account": ACCOUNT,
        "whose": "ann",
        "unit": "usd",
        "share": 0.5,
        "spent": 0.5,
        "limit": 1.0,
        "resets_at": "2026-11-21T00:00:00Z",
    }


async def test_a_start_after_a_start_tells_nothing_twice_and_two_processes_neither(tmp_path: Path):
    desk, other = Desk(tmp_path), Desk(tmp_path)
    await desk.spend(600_000_000, item(0.5))
    await other.spend(700_000_000, item(0.5))
    assert (len(desk.sent), len(other.sent)) == (1, 0)


async def test_an_alert_that_did_not_arrive_is_sent_again_a_few_times(tmp_path: Path):
    desk = Desk(tmp_path, False, False, True)
    await desk.spend(600_000_000, item(0.5))
    assert len(desk.sent) == 3
    given_up = Desk(tmp_path / "other", *[False] * 9)
    await given_up.spend(600_000_000, item(0.5))
    assert len(given_up.sent) == 3


async def test_nothing_is_asked_of_the_store_once_all_is_told_or_where_no_alert_is_wanted(tmp_path: Path):
    desk = Desk(tmp_path)
    await desk.spend(900_000_000, item(0.5))
    desk.store.is_away = True  # whoever asks now fails
    await desk.spend(1, item(0.5))
    await desk.spend(1, item())
    assert desk.told[-1][0] == "budget.threshold"


async def test_while_the_store_is_away_alerts_wait_for_what_is_spent_next(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.store.is_away = True
    await desk.spend(900_000_000, item(0.5))
    assert desk.sent == []
    desk.store.is_away = False
    await desk.spend(1, item(0.5))
    assert len(desk.sent) == 1


def test_a_marker_that_cannot_be_made_leaves_an_alert_twice_rather_than_none(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    assert mark_once(tmp_path / "file" / "below", "name")
    assert mark_once(tmp_path, "name")
    assert not mark_once(tmp_path, "name")


def test_markers_of_windows_long_over_go_and_those_without_an_end_stay(tmp_path: Path):
    assert mark_once(tmp_path, "team/day/2026-01-01/usd/ 0.5")
    assert mark_once(tmp_path, "team/total/total/usd/ 0.5")
    for marker in tmp_path.iterdir():
        os.utime(marker, (0, 0))
    assert mark_once(tmp_path, "team/day/2026-11-21/usd/ 0.5")
    assert mark_once(tmp_path, "team/day/2026-01-01/usd/ 0.5")
    assert not mark_once(tmp_path, "team/total/total/usd/ 0.5")
