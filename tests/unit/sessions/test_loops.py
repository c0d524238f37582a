"""A session that runs in circles is stopped, no other one is, and it costs next to nothing to know."""

import json
import time
from typing import Any

import msgspec
import pytest

from freehold.chat import WireFormat
from freehold.config.settings import SessionSettings
from freehold.fault import FaultError, Kind
from freehold.features import Caller, Features
from freehold.sessions.loops import MOST_SESSIONS, Loops
from freehold.wire.codec import Envelope
from freehold.wire.formats import CODECS
from support.records import features

ANN = features(session="s", caller=Caller(key="ann", user="ann"))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def chat(text: str) -> Envelope:
    return CODECS["openai_chat"].peek(json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode())


def loops(clock: Clock, same_most: int = 5, per_minute: int = 0) -> Loops:
    limits = SessionSettings(same_request_most=same_most, requests_per_minute=per_minute)
    return Loops(bytes(32), clock, lambda: limits)


def times(guard: Loops, who: Features, *asked: Envelope) -> int:
    """How many of these were admitted, until the first that was not."""
    for number, one in enumerate(asked):
        try:
            guard.admit(who, one)
        except FaultError as error:
            fault = error.fault
        else:
            continue
        assert fault.kind is Kind.LOOP_STOPPED
        assert fault.meaning.status == 400
        assert not fault.meaning.falls_back
        return number
    return len(asked)


def test_the_same_request_again_and_again_is_stopped_and_stays_stopped_until_it_rests() -> None:
    clock = Clock()
    guard = loops(clock)
    again = [chat("read the file")] * 40
    admitted = times(guard, ANN, *again)
    assert admitted == 6  # the first of its length is not hashed, so it counts for none
    clock.now_s += 59
    assert times(guard, ANN, *again) == 0
    clock.now_s += 59
    assert times(guard, ANN, *again) == 0
    clock.now_s += 61
    assert times(guard, ANN, *again) > 0


def test_a_session_that_goes_on_is_never_stopped() -> None:
    guard = loops(Clock())
    assert times(guard, ANN, *(chat("x" * number) for number in range(500))) == 500
    assert times(guard, ANN, *(chat(f"step {number:05}") for number in range(500))) == 500


def test_two_conversations_of_one_session_are_told_apart_where_they_take_turns() -> None:
    guard = loops(Clock())
    turns = [one for number in range(200) for one in (chat("x" * number), chat("make a title"))]
    assert times(guard, ANN, *turns) < 20  # the title is asked again and again
    assert times(loops(Clock()), ANN, *(one for one in turns if one.body != turns[1].body)) == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"session": "t"},
        {"caller": Caller(key="bob", user="ann")},
        {"caller": Caller(key="ann", user="bob")},
    ],
)
def test_nobody_stops_another_s_session(changed: dict[str, Any]) -> None:
    guard = loops(Clock())
    again = [chat("read the file")] * 40
    assert times(guard, ANN, *again) < 40
    assert times(guard, msgspec.structs.replace(ANN, **changed), again[0]) == 1


def test_requests_without_a_session_are_not_counted() -> None:
    guard = loops(Clock(), per_minute=3)
    assert times(guard, msgspec.structs.replace(ANN, session=None), *[chat("again")] * 100) == 100
    assert len(guard) == 0


def test_claude_code_is_known_by_its_conversation_since_its_system_prompt_changes_every_time() -> None:
    def asked(number: int) -> Envelope:
        system = f"x-anthropic-billing-header: cch={number:05x};\nYou are Claude Code."
        body = {"model": "m", "max_tokens": 9, "system": system, "messages": [{"role": "user", "content": "again"}]}
        return CODECS["anthropic_messages"].peek(json.dumps(body).encode())

    claude = msgspec.structs.replace(ANN, agent="claude-code")
    assert times(loops(Clock()), claude, *map(asked, range(100))) < 20


def test_more_requests_in_a_minute_than_anybody_makes_are_stopped_whatever_they_ask() -> None:
    clock = Clock()
    guard = loops(clock, same_most=0, per_minute=10)
    asked = [chat("x" * number) for number in range(30)]
    assert times(guard, ANN, *asked) == 10
    clock.now_s += 61
    assert times(guard, ANN, *asked) == 10


def test_it_is_off_only_where_both_limits_are_set_to_nothing() -> None:
    again = [chat("again")] * 100
    assert times(loops(Clock(), same_most=0), ANN, *again) == 100
    assert times(loops(Clock(), same_most=0, per_minute=50), ANN, *again) == 50
    assert times(loops(Clock(), same_most=50), ANN, *again) < 60


def test_memory_is_bounded_whatever_comes() -> None:
    guard = loops(Clock())
    one = chat("hello")
    for number in range(MOST_SESSIONS + 500):
        guard.admit(msgspec.structs.replace(ANN, session=f"s{number}"), one)
    assert len(guard) == MOST_SESSIONS
    for number in range(300):
        guard.admit(ANN, chat("x" * number))
    session = guard._sessions["ann", "ann", "s"]
    assert len(session.requests) <= 4


@pytest.mark.parametrize("form", ["openai_chat", "anthropic_messages", "openai_responses", "ollama"])
def test_every_format_tells_its_client_what_no_client_repeats(form: WireFormat) -> None:
    guard = loops(Clock(), same_most=1)
    with pytest.raises(FaultError) as told:
        for _ in range(9):
            guard.admit(ANN, chat("again"))
    status, headers, body = CODECS[form].write_fault(told.value.fault, "req_1")
    assert status == 400
    assert "retry-after" not in headers
    assert b"runs in circles" in body


def test_an_ordinary_turn_costs_a_few_microseconds_however_long_it_is() -> None:
    guard = loops(Clock(), per_minute=10**6)
    asked = [chat("x" * (60_000 + number)) for number in range(400)]
    started_ns = time.process_time_ns()
    for one in asked:
        guard.admit(ANN, one)
    assert (time.process_time_ns() - started_ns) / len(asked) < 50_000
