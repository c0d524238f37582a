"""The whole gateway killed 500 times in the middle of everything: no money lost, none counted twice, one final row each."""

import time
from pathlib import Path

import pytest

from proof.conftest import Found
from support.killed import Trials, vendor

KILLS = 500


@pytest.mark.proof
@pytest.mark.timeout(3600)
async def test_five_hundred_kills_lose_no_money_and_double_none(tmp_path: Path, found: Found) -> None:
    runtime = await vendor()
    try:
        trials = Trials(tmp_path, runtime, seed=500)
        await trials.run(KILLS)
        since_s = time.monotonic()
        books = await trials.books()
        settled_s = time.monotonic() - since_s
        trials.judge(books)
        assert len(books.lapsed) >= KILLS // 10, "kills found reservations under way"
    finally:
        await runtime.stop()
    found(
        f"SIGKILL of the whole gateway under load, {KILLS} times: each request that got anything has one final row, each attempt one "
        "row of money, the account is their sum and no less than the vendor's journal",
        kills=KILLS,
        sent_upstream=len(runtime.journal),
        answered_whole=sum(one.status == 200 for one in trials.answered),
        settled_as_reserved=len(books.lapsed),
        final_rows=len(books.final_rows),
        lost=0,
        doubled=0,
        last_start_until_all_was_settled_s=round(settled_s, 2),
    )
