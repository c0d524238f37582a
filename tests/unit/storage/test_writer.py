"""The writer: every row once, whatever the database does."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.record import AttemptRecord, DecisionRecord, RequestRecord
from freehold.storage.rows import COLUMNS
from freehold.storage.writer import Bounds
from support import records
from support.ledgers import QUICK, Kept, kept


def ids_of(store: Kept) -> list[str]:
    return sorted(name for (name,) in store.query("SELECT request_id FROM requests"))


def test_close_writes_all_that_is_queued(tmp_path: Path) -> None:
    names = [f"req_{number:05}" for number in range(3000)]
    with kept(tmp_path / "ledger.db", Bounds(linger_s=30, warm_after_s=0)) as store:
        for name in names:
            store.writer.put("decisions", records.decision(name))
            store.writer.put("attempts", records.attempt(name))
            store.writer.put("requests", records.request(name))
    assert ids_of(store) == names
    assert store.query("SELECT count(*) FROM attempts") == store.query("SELECT count(*) FROM decisions") == [(3000,)]
    assert store.writer.tally.rows == 9000
    assert store.told == []


def test_a_flushed_row_is_there_for_another_connection(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db", Bounds(linger_s=30, warm_after_s=0)) as store:
        for name in ("req_a", "req_b"):
            store.writer.put("requests", records.request(name))
            assert store.writer.flush(10)
            assert name in ids_of(store)
        assert store.writer.queued == 0


def test_a_batch_is_written_without_a_flush(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a"))
        while store.writer.tally.rows == 0:
            threading.Event().wait(0.002)
        assert ids_of(store) == ["req_a"]


def test_a_row_offered_twice_is_kept_once_and_told(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a", status=200))
        store.writer.put("requests", records.request("req_a", status=500))
        store.writer.flush(10)
        store.writer.put("requests", records.request("req_a", status=501))
        store.writer.flush(10)
    assert store.query("SELECT request_id, status FROM requests") == [("req_a", 200)]
    assert store.writer.tally.doubled == 2
    assert store.events() == ["ledger.doubled", "ledger.doubled"]


def test_a_locked_database_delays_rows_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.storage.engine.BUSY_TIMEOUT_S", 0.0)
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_0"))
        store.writer.flush(10)
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.writer.put("requests", records.request("req_1"))
            while store.writer.tally.failures < 2:  # it tries more than once
                threading.Event().wait(0.002)
            assert not store.writer.flush(0.1)
            assert store.writer.is_failing
            assert store.writer.queued >= 1
            other.execute("ROLLBACK")
        assert store.writer.flush(10)
        assert not store.writer.is_failing
    assert ids_of(store) == ["req_0", "req_1"]
    assert store.events() == ["store.unavailable", "store.recovered"], "and said so once"


def test_rows_that_cannot_be_written_before_the_end_come_back_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.storage.engine.BUSY_TIMEOUT_S", 0.0)
    path = tmp_path / "ledger.db"
    names = [f"req_{number}" for number in range(9)]
    store = Kept(path)
    store.writer.start()
    store.writer.flush(10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for name in names:
            store.writer.put("decisions", records.decision(name))
            store.writer.put("requests", records.request(name))
        store.writer.close(0.05)
        other.execute("ROLLBACK")
    journal = tmp_path / "ledger.db.journal"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert store.writer.tally.spilled == 18
    assert ids_of(store) == []
    with kept(path) as store:
        store.writer.flush(10)
        assert ids_of(store) == names
        assert store.writer.tally.replayed == 18
    assert not list(tmp_path.glob("*.journal*"))


def test_too_much_to_hold_goes_to_the_journal_and_comes_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.storage.engine.BUSY_TIMEOUT_S", 0.0)
    bounds = Bounds(linger_s=0.001, warm_after_s=0, first_retry_s=0.002, last_retry_s=0.01, spill_rows=50, behind_rows=20)
    with kept(tmp_path / "ledger.db", bounds) as store:
        store.writer.flush(10)
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(200):
                store.writer.put("requests", records.request(f"req_{number:03}"))
            assert store.writer.flush(10), "the journal counts as kept"
            assert store.writer.tally.spilled >= 50
            other.execute("ROLLBACK")
        store.writer.put("requests", records.request("req_last"))
        assert store.writer.flush(10)
        assert len(ids_of(store)) == 201
    assert store.writer.tally.doubled == 0


def test_a_torn_line_of_a_journal_is_told_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    row = {"kind": "requests", "record": msgspec.to_builtins(records.request("req_a"))}
    (tmp_path / "ledger.db.journal").write_text(json.dumps(row) + '\n{"kind":"requests","rec')
    with kept(path) as store:
        store.writer.flush(10)
        assert ids_of(store) == ["req_a"]
    assert store.told == [("ledger.replayed", {"level": "error", "rows": 1, "unread": 1})]
    assert [kept_aside.name for kept_aside in tmp_path.glob("*.unread")] == ["ledger.db.journal.unread"]


def test_is_behind_says_when_to_turn_work_away(tmp_path: Path) -> None:
    store = Kept(tmp_path / "ledger.db", Bounds(behind_rows=10))
    for number in range(10):
        assert not store.writer.is_behind
        store.writer.put("requests", records.request(f"req_{number}"))
    assert store.writer.is_behind
    store.writer.start()
    store.writer.close()
    assert not store.writer.is_behind
    assert len(ids_of(store)) == 10


def test_a_row_after_the_end_is_kept_for_the_next_start(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        pass
    store.writer.put("requests", records.request("req_late"))
    with kept(tmp_path / "ledger.db") as store:
        store.writer.flush(10)
    assert ids_of(store) == ["req_late"]


@pytest.mark.parametrize(
    ("column", "told", "stored"),
    [
        ("usage.input_tokens", 10**30, 2**63 - 1),
        ("session", "half \ud800 a letter", "half ? a letter"),
    ],
)
def test_a_value_no_database_takes_is_mended_and_the_others_are_untouched(
    tmp_path: Path, column: str, told: Any, stored: Any
) -> None:
    changes = {"usage": Usage(input_tokens=told, output_tokens=1)} if column.startswith("usage") else {column: told}
    with kept(tmp_path / "ledger.db") as store:
        for number in range(40):
            store.writer.put("requests", records.request(f"req_{number:02}", **(changes if number == 20 else {})))
        store.writer.flush(10)
    assert store.writer.tally.rows == 40
    assert store.writer.tally.mended == 1
    assert store.query(f"SELECT {column.removeprefix('usage.')} FROM requests WHERE request_id = 'req_20'") == [(stored,)]


def test_a_row_the_database_refuses_is_set_aside_and_the_others_are_written(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        for number in range(40):
            store.writer.put("requests", records.request(f"req_{number:02}", outcome="vanished" if number == 20 else "served"))
        store.writer.flush(10)
    assert len(ids_of(store)) == 39
    assert store.events() == ["ledger.refused"]
    aside = [json.loads(line) for line in (tmp_path / "ledger.db.journal.refused").read_text().splitlines()]
    assert [line["record"]["request_id"] for line in aside] == ["req_20"]
    assert "CHECK" in aside[0]["reason"]


def test_rows_with_and_without_their_rare_columns_are_written_side_by_side(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db", Bounds(linger_s=30, warm_after_s=0)) as store:
        for number in range(600):
            failed = {"fault": "overloaded", "fault_message": f"no. {number}"} if number % 3 == 0 else {}
            store.writer.put("attempts", records.attempt(f"req_{number:03}", **failed))
            store.writer.put("requests", records.request(f"req_{number:03}", **failed))
    for table in ("attempts", "requests"):
        told = store.query(f"SELECT request_id, fault, fault_message FROM {table} WHERE fault IS NOT NULL ORDER BY request_id")
        assert told == [(f"req_{number:03}", "overloaded", f"no. {number}") for number in range(0, 600, 3)]
        assert store.query(f"SELECT count(*) FROM {table} WHERE fault_message IS NULL") == [(400,)]
    assert store.writer.tally.doubled == 0


def test_what_is_no_record_harms_only_itself(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a"))
        store.writer.put("requests", records.attempt("req_b"))
        store.writer.put("nonsense", records.request("req_c"))  # type: ignore[arg-type]  # a defect of the caller
        store.writer.put("requests", records.request("req_d"))
        assert store.writer.flush(10)
    assert ids_of(store) == ["req_a", "req_d"]
    assert store.writer.tally.refused == 2


def test_rows_from_many_threads_are_all_written(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:

        def work(worker: int) -> None:
            for number in range(500):
                store.writer.put("requests", records.request(f"req_{worker}_{number}"))

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ids_of(store)) == 2000


CHILD = """
import sys, itertools
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import records
from support.ledgers import Kept
store = Kept(Path({path!r}))
store.writer.start()
for number in itertools.count():
    name = f"req_{{number:07}}"
    for kind, make in (("decisions", records.decision), ("attempts", records.attempt), ("requests", records.request)):
        store.writer.put(kind, make(name))
    if number % 100 == 0:
        store.writer.flush()
        print(number, flush=True)
"""
TESTS = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("flushes", [1, 4, 9])
def test_a_killed_process_leaves_whole_rows_none_twice_and_all_that_were_flushed(tmp_path: Path, flushes: int) -> None:
    path = tmp_path / "ledger.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(TESTS), path=str(path))], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        flushed = [int(child.stdout.readline()) for _ in range(flushes)][-1]
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with kept(path) as store:
        store.writer.put("requests", records.request("req_after"))
        store.writer.flush(10)
        names = ids_of(store)
        assert store.query("PRAGMA integrity_check") == [("ok",)]
        assert names.pop() == "req_after"
        assert names == [f"req_{number:07}" for number in range(len(names))], "no gap, none twice"
        assert len(names) > flushed, "what was flushed is there"
        for table in ("decisions", "attempts"):
            assert store.query(f"SELECT count(*), count(DISTINCT request_id) FROM {table}") == [(len(names), len(names))]


def test_a_program_that_forgets_to_close_still_writes_and_still_ends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    program = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\nfrom pathlib import Path\nfrom support import records\n"
        f"from support.ledgers import Kept\nstore = Kept(Path({str(path)!r}))\nstore.writer.start()\n"
        "store.writer.put('requests', records.request('req_a'))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert ids_of(Kept(path)) == ["req_a"]


def test_such_a_program_ends_even_while_the_database_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with kept(path) as store:
        store.writer.flush(10)
    program = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\nfrom pathlib import Path\nfrom support import records\n"
        "import freehold.storage.engine, freehold.storage.writer\n"
        "freehold.storage.engine.BUSY_TIMEOUT_S = 0.0; freehold.storage.writer._FORSAKEN_S = 0.1\n"
        f"from support.ledgers import Kept\nstore = Kept(Path({str(path)!r}))\nstore.writer.start()\n"
        "store.writer.put('requests', records.request('req_a'))\n"
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
        other.execute("ROLLBACK")
    with kept(path) as store:
        store.writer.flush(10)
        assert ids_of(store) == ["req_a"]


def test_putting_a_record_costs_the_loop_almost_nothing(tmp_path: Path) -> None:
    made = [records.request(f"req_{number:06}") for number in range(5000)]
    with kept(tmp_path / "ledger.db", Bounds(linger_s=5, gathered_rows=10**9, warm_after_s=0)) as store:
        store.writer.flush(10)
        took = []
        for record in made:
            start = perf_counter()
            store.writer.put("requests", record)
            took.append(perf_counter() - start)
    assert sorted(took)[len(took) // 2] < 5e-6, "1.5 us promised; the median with room for a slow machine"
    assert len(ids_of(store)) == 5000


def test_every_field_of_a_record_has_its_column() -> None:
    assert set(RequestRecord.__struct_fields__) - {"usage"} <= set(COLUMNS["requests"])
    assert set(AttemptRecord.__struct_fields__) - {"usage", "attempt_id"} <= set(COLUMNS["attempts"])
    assert set(DecisionRecord.__struct_fields__) - {"features", "situation", "steps", "rejected"} <= set(COLUMNS["decisions"])
    assert QUICK.behind_rows < QUICK.spill_rows
