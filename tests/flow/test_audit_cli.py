"""`freehold audit`: what it exports of a real ledger, and that no change of the file goes unseen."""

import hashlib
import json
from pathlib import Path

import pytest

from freehold.features import Caller, Finding, Label
from freehold.ledger.audit import REQUESTS_AT_ONCE, events
from freehold.ledger.chain import NO_CHAIN
from freehold.ledger.ids import new_id
from freehold.record import PlannedStep, Rejected
from freehold.storage.engine import open_engine
from freehold.storage.store import prepare, sqlite_url
from freehold.storage.writer import Writer
from support import records
from support.ledgers import kept
from support.place import Place

AT_MS = 1_794_312_000_000  # 2026-11-10T12:00Z
DAY_MS = 86_400_000


def request_id(at_ms: int, number: int = 0) -> str:
    return new_id("req_", at_ms, number.to_bytes(10))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Three requests: one sent to a vendor after a local fault, one that policy refused, one that was killed midway."""
    place = Place(tmp_path_factory.mktemp("audit"))
    database = place.folder / "audit.db"
    place.config.write_text(f'[storage]\npath = "{database}"\n')
    sent, refused, killed = request_id(AT_MS), request_id(AT_MS + 1000), request_id(AT_MS + DAY_MS)
    known = records.features(
        caller=Caller(key="ci", user="ada", team="core"),
        label=Label.CONFIDENTIAL,
        label_reason="dataset shop",
        findings=(Finding("email", 0, 0, 3, 9), Finding("email", 1, 0, 0, 9), Finding("card", 1, 0, 20, 16)),
    )
    with kept(database) as store:
        put = store.writer.put
        put(
            "decisions",
            records.decision(
                sent,
                at_ms=AT_MS,
                features=known,
                rule="local first",
                steps=(PlannedStep("box/m", "first"), PlannedStep("openai/m", "then")),
                rejected=(Rejected("other/m", "denies vendor", "no other"),),
            ),
        )
        put(
            "attempts",
            records.attempt(sent, number=2, egress="vendor", deployment="openai/m", sent_bytes=1234, started_ms=AT_MS + 2),
        )
        put("attempts", records.attempt(sent, number=1, egress="local", deployment="box/m", end="fault", fault="connect_failed"))
        put(
            "requests",
            records.request(sent, at_ms=AT_MS, caller_user="ada", label="confidential", deployment="openai/m", egress="vendor"),
        )
        put(
            "requests",
            records.request(refused, at_ms=AT_MS + 1000, outcome="refused", fault="refused_by_policy", fault_message="SECRET"),
        )
        put("attempts", records.attempt(killed, number=1, egress="vendor", sent_bytes=9))
    return place


@pytest.fixture(scope="module")
def exported(place: Place) -> str:
    """All of it."""
    return place.run("audit")


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_request_is_told_in_order_with_what_left_and_by_which_rule(exported: str) -> None:
    head, *told, end = lines_of(exported)
    assert (head["event"], head["prev"], end["event"]) == ("audit", NO_CHAIN, "end")
    assert [line["event"] for line in told] == ["decision", "attempt", "attempt", "request", "request", "attempt"]
    decision, local, vendor, request, refused, killed = told
    assert decision["rule"] == "local first"
    assert (decision["key"], decision["user"], decision["team"]) == ("ci", "ada", "core")
    assert (decision["label"], decision["label_reason"], decision["ceiling"]) == ("confidential", "dataset shop", "vendor")
    assert decision["findings"] == {"card": 1, "email": 2}
    assert decision["steps"] == ["box/m", "openai/m"]
    assert decision["rejected"] == [{"deployment": "other/m", "rule": "no other"}]
    assert (local["egress"], local["sent_bytes"], local["fault"]) == ("local", None, "connect_failed")
    assert (vendor["egress"], vendor["sent_bytes"], vendor["at_ms"]) == ("vendor", 1234, AT_MS + 2)
    assert (request["outcome"], request["egress"], request["label"]) == ("served", "vendor", "confidential")
    assert (refused["outcome"], refused["fault"]) == ("refused", "refused_by_policy")
    assert killed["sent_bytes"] == 9


def test_each_line_holds_the_hash_of_the_one_before(exported: str) -> None:
    before = NO_CHAIN
    for line in exported.splitlines():
        assert json.loads(line)["prev"] == before
        before = hashlib.sha256(line.encode()).hexdigest()


def test_a_span_has_the_requests_that_arrived_in_it(place: Place) -> None:
    def ids(*span: str) -> set[str]:
        return {line["request"] for line in lines_of(place.run("audit", *span)) if "request" in line}

    sent, refused, killed = request_id(AT_MS), request_id(AT_MS + 1000), request_id(AT_MS + DAY_MS)
    assert ids("--since", "2026-11-10", "--until", "2026-11-11") == {sent, refused}
    assert ids("--since", "2026-11-10T12:00:01") == {refused, killed}
    assert ids("--until", "2026-11-10T13:00:01+01:00") == {sent}
    assert ids("--since", "2027-01-01") == set()


def test_a_file_is_verified_against_its_head_and_the_next_goes_on_from_it(place: Place) -> None:
    first, second = place.folder / "one.jsonl", place.folder / "two.jsonl"
    head = place.json("audit", "export", str(first), "--until", "2026-11-11")["head"]
    assert first.stat().st_mode & 0o777 == 0o600
    assert "is whole" in place.run("audit", "verify", str(first), "--head", head)
    next_head = place.json("audit", "export", str(second), "--since", "2026-11-11", "--after", head)["head"]
    checked = place.json("audit", "verify", str(second), "--head", next_head, "--after", head)
    assert (checked["after"], checked["head"]) == (head, next_head)
    assert "another one" in place.run("audit", "verify", str(second), "--head", head, code=1)
    assert "goes on from" in place.run("audit", "verify", str(first), "--after", next_head, code=1)


@pytest.mark.parametrize("change", ["edit", "remove", "insert", "swap", "cut", "append"])
def test_a_file_that_was_touched_is_found_with_the_line(place: Place, exported: str, change: str, tmp_path: Path) -> None:
    lines = exported.splitlines(keepends=True)
    match change:
        case "edit":
            lines[3] = lines[3].replace('"vendor"', '"local"').replace("1234", "0")
        case "remove":
            del lines[3]
        case "insert":
            lines.insert(3, lines[2])
        case "swap":
            lines[2], lines[3] = lines[3], lines[2]
        case "cut":
            lines = lines[:-1]
        case "append":
            lines.append(lines[-1])
    file = tmp_path / "touched.jsonl"
    file.write_text("".join(lines))
    said = place.run("audit", "verify", str(file), code=1)
    assert "is not as it was written: line" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("audit", "destroy"), 2, "none of export, verify"),
        (("audit", "verify"), 2, "which file"),
        (("audit", "verify", "nowhere"), 2, "cannot be read"),
        (("audit", "--since", "yesterday"), 2, "--since is a day or a moment"),
        (("audit", "--after", "12"), 2, "64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_done_is_said(place: Place, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in place.run(*words, code=code)


def test_no_export_writes_over_a_file(place: Place) -> None:
    there = place.folder / "there"
    there.write_text("kept")
    assert "never writes over" in place.run("audit", "export", str(there), code=2)
    assert there.read_text() == "kept"


def test_no_free_text_is_in_it(exported: str) -> None:
    assert "SECRET" not in exported


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_many_requests_are_each_told_once_whatever_tables_they_are_in(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = sqlite_url(tmp_path / "many.db") if kind == "sqlite" else request.getfixturevalue("servers").postgres().fresh()
    count = REQUESTS_AT_ONCE + 50
    prepare(url)
    writer = Writer(url, now_ms=lambda: AT_MS, tell=lambda *_, **_facts: None, spill=tmp_path / "journal")
    writer.start()
    for number in range(count):
        one = request_id(AT_MS, number)
        if number % 3 != 1:
            writer.put("requests", records.request(one))
        if number % 3:
            for attempt in range(1, 4):
                writer.put("attempts", records.attempt(one, number=attempt))
    assert writer.flush(30)
    engine = open_engine(url, read_only=True)
    told = [facts["request"] for event, facts in events(engine, since_ms=0, until_ms=None) if event == "attempt"]
    ends = [facts["request"] for event, facts in events(engine, since_ms=0, until_ms=None) if event == "request"]
    engine.dispose()
    writer.close()
    assert told == sorted(told)
    assert len(told) == 3 * sum(1 for number in range(count) if number % 3)
    assert ends == [request_id(AT_MS, number) for number in range(count) if number % 3 != 1]
