"""The ledger read back: lists, one request whole, and what is new."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from freehold.ledger import Ledger
from freehold.ledger.ids import new_id
from freehold.ledger.queries import AmbiguousIdError, Place, follow, policy_source, recent, request
from freehold.storage.engine import open_engine
from freehold.storage.store import prepare, sqlite_url
from support import records
from support.ledgers import Kept, kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path / "ledger.db") as made:
        made.writer.flush(10)
        yield made


@pytest.fixture
def ledger(store: Kept) -> Ledger:
    return Ledger(store.writer, lambda: 5)


@pytest.fixture
def engine(store: Kept) -> Engine:
    return open_engine(store.url, read_only=True)


def names(rows: list[records.RequestRecord]) -> list[str]:
    return [row.request_id for row in rows]


def test_recent_is_newest_first_and_limited(store: Kept, ledger: Ledger, engine: Engine) -> None:
    for number in range(5):
        ledger.finished(records.request(f"req_{number}", at_ms=1000 + number))
    store.writer.flush(10)
    assert names(recent(engine, limit=3)) == ["req_4", "req_3", "req_2"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"since_ms": 1001}, ["req_2", "req_1"]),
        ({"until_ms": 1001}, ["req_0"]),
        ({"deployment": "vendor/large"}, ["req_1"]),
        ({"outcome": "failed"}, ["req_2"]),
        ({"session": "s1"}, ["req_1", "req_0"]),
        ({"session": "s1", "deployment": "vendor/large"}, ["req_1"]),
        ({"task": "review"}, ["req_0"]),
        ({"label": "restricted"}, ["req_0"]),
        ({"user": "ann"}, ["req_2"]),
        ({"egress": "vendor"}, ["req_1"]),
        ({"fault": "overloaded"}, ["req_2"]),
        ({"task": "' OR 1=1 --"}, []),
    ],
)
def test_recent_finds_what_was_asked_for(
    store: Kept, ledger: Ledger, engine: Engine, asked: dict[str, str], found: list[str]
) -> None:
    ledger.finished(records.request("req_0", at_ms=1000, session="s1", task="review", label="restricted"))
    ledger.finished(records.request("req_1", at_ms=1001, session="s1", deployment="vendor/large", egress="vendor"))
    ledger.finished(
        records.request(
            "req_2", at_ms=1002, outcome="failed", fault="overloaded", deployment=None, egress=None, caller_user="ann"
        )
    )
    store.writer.flush(10)
    assert names(recent(engine, **asked)) == found  # type: ignore[arg-type]  # table-driven keywords


def test_a_request_is_given_back_whole(store: Kept, ledger: Ledger, engine: Engine) -> None:
    decision = records.decision("req_a")
    tries = (records.attempt("req_a", 1, end="fault", fault="overloaded", usage=None), records.attempt("req_a", 2))
    final = records.request("req_a", attempts=2)
    ledger.policy_used("v1", '{"rules":[]}')
    ledger.decided(decision)
    for tried in reversed(tries):
        ledger.attempted(tried)
    ledger.attempted(records.attempt("req_other"))
    ledger.finished(final)
    store.writer.flush(10)
    found = request(engine, "req_a")
    assert found is not None
    assert (found.request, found.decision, found.attempts) == (final, decision, tries)
    assert found.policy_source == '{"rules":[]}'


def test_a_request_without_a_final_row_yet_shows_its_decision(store: Kept, ledger: Ledger, engine: Engine) -> None:
    ledger.decided(records.decision("req_a"))
    store.writer.flush(10)
    found = request(engine, "req_a")
    assert found is not None
    assert found.request is None
    assert found.decision == records.decision("req_a")


def test_the_beginning_of_an_id_is_enough_where_it_is_unmistakable(store: Kept, ledger: Ledger, engine: Engine) -> None:
    one, other = (new_id("req_", 1_760_000_000_000, bytes([chance]) * 10) for chance in (1, 255))
    ledger.finished(records.request(one))
    ledger.finished(records.request(other))
    store.writer.flush(10)
    for asked in (one, one[:-3], one[4:], one[4:-3]):
        found = request(engine, asked)
        assert found is not None
        assert found.request is not None
        assert found.request.request_id == one
    with pytest.raises(AmbiguousIdError, match=f"{one}, {other}; give more"):
        request(engine, one[:12])
    assert request(engine, "req_9") is None
    assert request(engine, "%") is None


def test_follow_gives_each_request_once_in_the_order_they_ended(store: Kept, ledger: Ledger, engine: Engine) -> None:
    ledger.finished(records.request("req_before"))
    store.writer.flush(10)
    seen, place = follow(engine)
    assert seen == []
    told: list[str] = []
    for number in range(6):
        ledger.finished(records.request(f"req_{number}", at_ms=9000 - number))
        store.writer.flush(10)
        if number % 2:
            rows, place = follow(engine, place)
            told += names(rows)
    assert told == [f"req_{number}" for number in range(6)]
    assert follow(engine, place) == ([], place)


def test_follow_comes_after_more_rows_than_it_may_give_at_once(store: Kept, ledger: Ledger, engine: Engine) -> None:
    _, place = follow(engine)
    for number in range(10):
        ledger.finished(records.request(f"req_{number}"))
    store.writer.flush(10)
    told: list[str] = []
    for _ in range(4):
        rows, place = follow(engine, place, limit=3)
        told += names(rows)
    assert told == [f"req_{number}" for number in range(10)]


def test_follow_gives_rows_that_became_visible_behind_younger_ones(store: Kept, ledger: Ledger, engine: Engine) -> None:
    for number in range(4):
        ledger.finished(records.request(f"req_{number}"))
    store.writer.flush(10)
    place = Place(4, frozenset({1, 2, 4}))  # as left by a read before another process committed the third
    rows, place = follow(engine, place)
    assert names(rows) == ["req_2"]
    assert follow(engine, place) == ([], place)


def test_a_span_of_time_is_found_by_the_ids_and_bounded_by_the_moments(store: Kept, ledger: Ledger, engine: Engine) -> None:
    hour_ms = 3_600_000
    made = [
        (records.AT_MS + hours * hour_ms, new_id("req_", records.AT_MS + hours * hour_ms - 1, bytes(10))) for hours in range(6)
    ]
    for at_ms, name in made:
        ledger.finished(records.request(name, at_ms=at_ms))
    store.writer.flush(10)
    assert names(recent(engine, since_ms=made[2][0], until_ms=made[4][0])) == [made[3][1], made[2][1]]
    assert names(recent(engine, since_ms=-1, until_ms=2**60, limit=2)) == [made[5][1], made[4][1]]


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        ({}, "SCAN requests USING INDEX sqlite_autoindex_requests_1"),
        ({"since_ms": records.AT_MS}, "SEARCH requests USING INDEX sqlite_autoindex_requests_1 (request_id>?)"),
        ({"session": "s"}, "SEARCH requests USING INDEX ix_requests_session_request_id (session=?)"),
        ({"deployment": "box/small"}, "SCAN requests USING INDEX sqlite_autoindex_requests_1"),
    ],
)
def test_a_list_is_walked_newest_first_and_never_sorted(store: Kept, engine: Engine, asked: dict[str, str], way: str) -> None:
    asks: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, sql, cells, *_: asks.append((sql, cells)))
    recent(engine, **asked)  # type: ignore[arg-type]  # table-driven keywords
    sql, cells = asks[-1]
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", cells)]
    assert plan == [way]


def test_a_policy_is_kept_once_with_its_first_use_and_its_repetition_is_no_defect(store: Kept, engine: Engine) -> None:
    for now_ms in (5, 9):
        Ledger(store.writer, lambda now_ms=now_ms: now_ms).policy_used("v1", "{}")  # type: ignore[misc]  # a fixed clock
        store.writer.flush(10)
    assert store.query("SELECT version, first_used_ms FROM policies") == [("v1", 5)]
    assert policy_source(engine, "v1") == "{}"
    assert policy_source(engine, "v2") is None
    assert store.told == []


def test_a_store_without_tables_yet_reads_as_empty(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "fresh.db")
    prepare(url)
    engine = open_engine(url, read_only=True)
    assert recent(engine) == []
    assert request(engine, "req_a") is None
    assert follow(engine)[0] == []
    assert policy_source(engine, "v1") is None
