"""Who writes a ledger, and who of them is gone: certain on this machine, after a silence elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.storage.engine import open_engine
from freehold.storage.entry import Entry
from freehold.storage.owners import own_name
from freehold.storage.processes import SILENT_S, Processes
from freehold.storage.store import prepare, sqlite_url
from freehold.storage.unfinished import finish_rows, left_open
from support import records
from support.ledgers import kept

DIES = "from freehold.storage.owners import own_name; print(own_name())"


@pytest.fixture
def url(tmp_path: Path) -> str:
    with kept(tmp_path / "ledger.db") as store:
        assert store.writer.flush(20)
        return store.url


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def dead_name() -> str:
    """Of a process that has ended."""
    ran = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, check=True, env=os.environ)
    return ran.stdout.strip()


def test_a_dead_process_of_this_machine_is_gone_at_once_and_a_live_one_never(url: str) -> None:
    own, other, dead = Entry(url, "aaaa", own_name()), Entry(url, "bbbb", own_name()), Entry(url, "cccc", dead_name())
    for one in (own, other, dead):
        one.sign()
    clock = Clock()
    processes, engine = Processes(own, clock), open_engine(url)
    standing = processes.standing(engine)
    assert (standing.alive, standing.gone) == ({"aaaa", "bbbb"}, {"cccc"})
    clock.now_s += 10 * SILENT_S
    assert processes.standing(engine) == standing, "it says nothing, but it is there"
    processes.strike(engine, standing.gone)
    assert processes.standing(engine).gone == frozenset()
    other.leave()
    assert processes.standing(engine).alive == {"aaaa"}
    engine.dispose()


def test_a_process_elsewhere_is_gone_when_it_gave_no_sign_for_long_by_our_own_clock(url: str) -> None:
    own, other = Entry(url, "aaaa", own_name()), Entry(url, "bbbb", "another-machine:17:99")
    other.sign()
    clock = Clock()
    processes, engine = Processes(own, clock), open_engine(url)
    assert processes.standing(engine).alive == {"aaaa", "bbbb"}, "we ourselves are there even before our own entry is"
    clock.now_s += SILENT_S - 1
    assert not processes.standing(engine).gone
    other.sign()
    clock.now_s += SILENT_S - 1
    assert not processes.standing(engine).gone
    clock.now_s += SILENT_S
    assert processes.standing(engine).gone == {"bbbb"}
    other.sign()
    assert processes.standing(engine).alive == {"aaaa", "bbbb"}, "it was only cut off"
    engine.dispose()


def test_a_store_without_tables_is_left_as_it_is(tmp_path: Path) -> None:
    prepare(sqlite_url(tmp_path / "fresh.db"))
    entry = Entry(sqlite_url(tmp_path / "fresh.db"), "aaaa", own_name())
    entry.sign()
    entry.leave()
    assert (tmp_path / "fresh.db").stat().st_size == 0


def test_final_rows_of_very_different_requests_are_written_together(tmp_path: Path) -> None:
    """Some with all that a row can hold, some with next to nothing; more than one transaction takes."""
    with kept(tmp_path / "ledger.db") as store:
        for number in range(200):
            name = f"req_{number:04}"
            store.writer.put("decisions", records.decision(name))
            if number % 3 == 0:
                store.writer.put("attempts", records.attempt(name, end="served"))
        store.writer.put("requests", records.request("req_0000"))
        assert store.writer.flush(20)
        engine = open_engine(store.url)
        left = left_open(engine)
        assert left == {f"req_{number:04}" for number in range(1, 200)}
        assert finish_rows(engine, left) == 199
        assert left_open(engine) == frozenset()
        assert store.query("SELECT count(*), count(DISTINCT request_id) FROM requests") == [(200, 200)]
        assert store.query("SELECT outcome, count(*) FROM requests WHERE request_id > 'req_0000' GROUP BY 1 ORDER BY 1") == [
            ("failed", 133),
            ("served", 66),
        ]
        engine.dispose()
