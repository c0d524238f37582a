"""Several processes write one ledger: every row once, and what one leaves behind another takes over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.storage import journal
from freehold.storage.leftovers import is_any_waiting, own_journal, take_over
from freehold.storage.rows import RowKind
from support import records
from support.ledgers import kept

TESTS = Path(__file__).resolve().parent.parent.parent
WRITES = """
import sys, time
from pathlib import Path
from support import records
from support.ledgers import Kept
from freehold.storage.leftovers import own_journal
from freehold.storage.writer import Bounds, Writer

path, number, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
told = []
writer = Writer(
    f"sqlite:///{path}", now_ms=lambda: 1_760_000_000_000, tell=lambda event, **fields: told.append((event, fields)),
    bounds=Bounds(linger_s=0.002, gathered_rows=16, batch_rows=64, warm_after_s=0.0), spill=own_journal(path, number),
)
writer.start()
for row in range(rows):
    name = f"req_{number}_{row:05}"
    writer.put("decisions", records.decision(name))
    writer.put("attempts", records.attempt(name))
    writer.put("requests", records.request(name))
    if row % 50 == 0:
        time.sleep(0.001)
writer.close(60)
assert writer.tally.rows == 3 * rows, (writer.tally, told)
assert writer.tally.doubled == writer.tally.refused == 0, (writer.tally, told)
"""
ROWS = 1500


def test_processes_that_write_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    """On a store that has no tables yet: they also race to make them."""
    path = tmp_path / "ledger.db"
    with kept(path) as store:
        environ = os.environ | {"PYTHONPATH": str(TESTS)}
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITES, str(path), str(number), str(ROWS)], env=environ)
            for number in range(3)
        ]
        assert [writer.wait(100) for writer in writers] == [0, 0, 0]
        for table in ("requests", "attempts", "decisions"):
            assert store.query(f"SELECT count(*), count(DISTINCT request_id) FROM {table}") == [(3 * ROWS, 3 * ROWS)]
        assert store.query("PRAGMA integrity_check") == [("ok",)]
        assert not list(tmp_path.glob("*.journal*"))


def test_a_ledger_on_a_server_needs_no_folder_here_until_rows_have_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "home" / "data" / "freehold.db"
    assert take_over(path, own_journal(path, 1)) == 0
    assert not is_any_waiting(path)
    assert not path.parent.exists()
    leave(own_journal(path, 1), "req_a")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert is_any_waiting(path)
    assert take_over(path, own_journal(path, 2)) == 1


def leave(path: Path, *names: str, torn: bool = False) -> None:
    batch: list[tuple[RowKind, object]] = [("requests", records.request(name)) for name in names]
    journal.append(path, batch)  # type: ignore[arg-type]  # records of one kind
    if torn:
        path.write_bytes(path.read_bytes().rstrip(b"\n"))


def test_what_processes_that_are_gone_left_is_written_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a [ledger].db"
    leave(own_journal(path, 1), "req_a", "req_b", torn=True)
    leave(own_journal(path, 2).with_name(own_journal(path, 2).name + ".replaying"), "req_b", "req_c")
    leave(own_journal(path, 3), "req_of_one_that_lives")
    leave(path.with_name(path.name + ".journal.leftover"), "req_d")
    leave(path.with_name(path.name + ".journal.refused"), "req_that_no_database_takes")
    leave(path.with_name("another.db.w1.journal"), "req_of_another_store")
    into = own_journal(path, 4)
    assert take_over(path, into, alive={own_journal(path, 3)}) == 3
    assert take_over(path, into, alive={own_journal(path, 3)}) == 0
    assert [record.request_id for _, record in journal.take(into).rows] == ["req_d", "req_a", "req_b", "req_b", "req_c"]  # type: ignore[union-attr]
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {
        "a [ledger].db.w3.journal",
        "a [ledger].db.w4.journal.replaying",
        "a [ledger].db.journal.refused",
        "another.db.w1.journal",
    }


@pytest.mark.parametrize("number", [1, 12])
def test_a_process_has_a_journal_of_its_own(tmp_path: Path, number: int) -> None:
    assert own_journal(tmp_path / "x.db", number).name == f"x.db.w{number}.journal"
