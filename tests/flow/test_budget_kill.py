"""Killed in the middle of everything, the gateway loses no money and counts none twice. `make proof` does it 500 times."""

from pathlib import Path

from support.killed import Trials, vendor

KILLS = 10


async def test_ten_kills_leave_one_final_row_and_one_row_of_money_for_each_request(tmp_path: Path) -> None:
    runtime = await vendor()
    try:
        trials = Trials(tmp_path, runtime, seed=6)
        await trials.run(KILLS)
        books = await trials.books()
        trials.judge(books)
        assert books.lapsed, "some were killed between their reservation and its settlement"
        assert any(one.status == 200 for one in trials.answered)
    finally:
        await runtime.stop()
