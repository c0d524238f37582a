"""Counters say what happened since the start."""

from pathlib import Path

from freehold.telemetry import Counters
from support import records
from support.ledgers import Kept


def test_counters_add_up(tmp_path: Path) -> None:
    store = Kept(tmp_path / "ledger.db")
    counters = Counters(store.writer)
    for number, outcome in enumerate(["served", "served", "refused"]):
        record = records.request(f"req_{number}", outcome=outcome)
        store.writer.put("requests", record)
        counters.count_request(record)
    for number, (end, fault) in enumerate([("served", None), ("fault", "overloaded"), ("fault", "overloaded")]):
        counters.count_attempt(records.attempt("req_0", number, end=end, fault=fault))
    before = counters.snapshot()
    assert before.requests == {"served": 2, "refused": 1}
    assert before.attempts == {"served": 1, "overloaded": 2}
    assert (before.rows_queued, before.rows_written) == (3, 0)
    store.writer.start()
    store.writer.close()
    after = counters.snapshot()
    assert (after.rows_queued, after.rows_written, after.write_failures, after.rows_doubled) == (0, 3, 0, 0)
