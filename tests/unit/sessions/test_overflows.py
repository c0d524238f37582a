"""Whoever cannot get shorter is told to stop, nobody else is; and what is told so reads as an overflow to no client."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.chat import WireFormat
from freehold.config.settings import SessionSettings
from freehold.fault import Fault, Kind
from freehold.features import Caller, Features
from freehold.sessions.overflows import MOST_KEPT, REST_S, Overflows, OwnRows
from freehold.storage.host_overflows import HostOverflows
from freehold.wire.formats import CODECS
from freehold.wire.overflow import read_overflow
from support.records import features

ANN = features(session="s", caller=Caller(key="ann", user="ann"), prompt_tokens=40_000)
TOO_LONG = Fault(
    kind=Kind.CONTEXT_OVERFLOW, message="too long", details={"prompt_tokens": 40_000, "limit_tokens": 32_768}, is_quoted=True
)
CLAUDE_S_AGENT = {"x-claude-code-agent-id": "a1"}
TAKEN_FOR_ANOTHER = re.compile(
    r"429|50[0-4]|524|too large|too many|too long|(?:token|context|window|size|prompt)\w* (?:limit|length|size|exceed)|exceed"
    r"|server.?error|overloaded|unavailable|exhausted|rate.?limit|time.?out|try again|retry",
    re.IGNORECASE,
)
"""What the clients that are known look for in the words of an error, whatever its status: to shorten, or to ask again."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


Make = Callable[..., Overflows]


@pytest.fixture(params=["own", "host"])
def overflows(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes one that counts for itself, or for all processes of the machine."""

    def make(clock: Clock | None = None, most: int = 3) -> Overflows:
        rows = OwnRows() if request.param == "own" else HostOverflows(tmp_path / "overflows")
        return Overflows(clock or Clock(), lambda: SessionSettings(overflows_most=most), rows)

    return make


def told(of: Overflows, who: Features, tokens: int = 40_000, headers: dict[str, str] | None = None) -> Kind:
    return of.tell(TOO_LONG, msgspec.structs.replace(who, prompt_tokens=tokens), headers or {}).kind


def test_three_overflows_are_told_as_they_are_and_the_fourth_ends_it_until_something_fits(overflows: Make) -> None:
    of = overflows()
    assert [told(of, ANN) for _ in range(6)] == [Kind.CONTEXT_OVERFLOW] * 3 + [Kind.LOOP_STOPPED] * 3
    of.fits(ANN, {})
    assert [told(of, ANN) for _ in range(4)] == [Kind.CONTEXT_OVERFLOW] * 3 + [Kind.LOOP_STOPPED]


def test_an_agent_that_compacts_and_goes_on_is_never_stopped(overflows: Make) -> None:
    of = overflows(most=1)
    for _ in range(100):
        assert told(of, ANN) is Kind.CONTEXT_OVERFLOW
        of.fits(msgspec.structs.replace(ANN, auxiliary="compaction"), {})
        of.fits(ANN, {})


def test_a_summary_that_was_made_does_not_hide_that_the_work_still_does_not_fit(overflows: Make) -> None:
    of = overflows()
    seen = []
    for _ in range(4):
        seen.append(told(of, ANN))
        of.fits(msgspec.structs.replace(ANN, auxiliary="compaction"), {})
        of.fits(msgspec.structs.replace(ANN, auxiliary="title"), {})
    assert seen[-1] is Kind.LOOP_STOPPED


def test_who_gets_shorter_is_on_the_way_and_who_gets_longer_again_is_not(overflows: Make) -> None:
    of = overflows(most=2)
    lengths = [200_000, 150_000, 120_000, 90_000, 70_000, 50_000, 44_000]
    assert {told(of, ANN, tokens) for tokens in lengths} == {Kind.CONTEXT_OVERFLOW}
    assert [told(of, ANN, tokens) for tokens in (43_000, 60_000)] == [Kind.CONTEXT_OVERFLOW, Kind.LOOP_STOPPED]


def test_however_it_is_shortened_it_ends(overflows: Make) -> None:
    of, tokens = overflows(), 1_000_000
    for number in range(100):
        if told(of, ANN, tokens) is Kind.LOOP_STOPPED:
            break
        tokens = round(tokens * (0.8 if number % 2 else 1.1))
    assert number < 10


def test_after_a_rest_it_is_told_the_truth_again(overflows: Make) -> None:
    clock = Clock()
    of = overflows(clock)
    for _ in range(5):
        last = told(of, ANN)
        clock.now_s += REST_S - 1
    assert last is Kind.LOOP_STOPPED
    clock.now_s += 2
    assert told(of, ANN) is Kind.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    ("changed", "headers"),
    [
        ({"session": "t"}, {}),
        ({"caller": Caller(key="bob", user="ann")}, {}),
        ({"caller": Caller(key="ann", user="bob")}, {}),
        ({"auxiliary": "compaction"}, {}),
        ({"request_class": "subagent"}, {}),
        ({"asked_model": "a larger one"}, {}),
        ({}, CLAUDE_S_AGENT),
        ({}, {"thread-id": "t2"}),
    ],
)
def test_each_conversation_counts_for_itself(overflows: Make, changed: dict[str, Any], headers: dict[str, str]) -> None:
    of = overflows()
    other = msgspec.structs.replace(ANN, **changed)
    for _ in range(5):
        told(of, ANN)
    assert told(of, other, headers=headers) is Kind.CONTEXT_OVERFLOW
    of.fits(other, headers)
    assert told(of, ANN) is Kind.LOOP_STOPPED


def test_other_faults_requests_without_a_session_and_a_limit_of_nothing_are_left_alone(overflows: Make) -> None:
    of = overflows()
    busy = Fault(kind=Kind.OVERLOADED, message="busy")
    nobody = msgspec.structs.replace(ANN, session=None)
    for _ in range(9):
        assert of.tell(busy, ANN, {}) is busy
        assert of.tell(TOO_LONG, nobody, {}) is TOO_LONG
        assert overflows(most=0).tell(TOO_LONG, ANN, {}) is TOO_LONG
    off = overflows(most=0)
    assert {told(off, ANN) for _ in range(50)} == {Kind.CONTEXT_OVERFLOW}
    assert told(of, ANN) is Kind.CONTEXT_OVERFLOW


def test_processes_of_one_machine_count_together(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Overflows(clock, SessionSettings, HostOverflows(tmp_path / "overflows")) for _ in range(2))
    assert [told(of, ANN) for of in (one, other, one, other)] == [Kind.CONTEXT_OVERFLOW] * 3 + [Kind.LOOP_STOPPED]
    other.fits(ANN, {})
    assert [told(of, ANN) for of in (one, one, one, other)] == [Kind.CONTEXT_OVERFLOW] * 3 + [Kind.LOOP_STOPPED]
    clock.now_s = 1.0  # the machine was started anew, and what the file says is from before
    assert told(one, ANN) is Kind.CONTEXT_OVERFLOW


def test_memory_is_bounded_whatever_comes() -> None:
    rows = OwnRows()
    of = Overflows(Clock(), SessionSettings, rows)
    for number in range(MOST_KEPT + 500):
        told(of, msgspec.structs.replace(ANN, session=f"s{number}"))
    assert len(rows) == MOST_KEPT
    told(of, ANN, headers={"thread-id": "x" * 10_000})
    assert max(len(part) for key in rows._rows for part in key) < 300


@pytest.mark.parametrize("form", ["openai_chat", "anthropic_messages", "openai_responses", "ollama", "openai_completions"])
def test_no_client_takes_the_end_for_an_overflow_or_for_something_to_ask_again(overflows: Make, form: WireFormat) -> None:
    of = overflows(most=1)
    told(of, ANN)
    status, headers, body = CODECS[form].write_fault(of.tell(TOO_LONG, ANN, {}), "req_1")
    assert status == 400
    assert "retry-after" not in headers
    assert b"runs in circles" in body
    assert read_overflow(body.decode()) == (False, None, None)
    assert TAKEN_FOR_ANOTHER.search(body.decode()) is None
