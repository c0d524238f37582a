"""The response cache: who finds what, and how much is kept."""

import json
from typing import Any

import msgspec
import pytest

from freehold.dispatch.answer_cache import ENTRY_OVERHEAD_BYTES, LARGEST_BYTES, AnswerCache, Place
from freehold.dispatch.flight import ChatFlight
from freehold.features import Caller, Features, Label, Task
from freehold.policy.rules import Caching
from freehold.record import Rejected
from freehold.routing.plan import Plan
from freehold.runtime import Egress
from freehold.wire.codec import Asked
from freehold.wire.formats import CODECS

BODY = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
}
KEY = bytes(32)


def flight(
    caller: Caller = Caller(),  # noqa: B008 - frozen
    *,
    label: Label = Label.INTERNAL,
    ceiling: Egress = Egress.VENDOR,
    policy: str = "p1",
    rule: str = "r",
    body: Any = BODY,
    cache: Caching | None = Caching(ttl_s=10),  # noqa: B008 - frozen
    rejected: tuple[Rejected, ...] = (),
    **headers: str,
) -> ChatFlight:
    codec = CODECS["openai_chat"]
    features = Features(
        operation="chat", wire_format="openai_chat", asked_model="m", caller=caller, prompt_tokens=1,
        prompt_tokens_exact=True, max_tokens=None, messages=1, stream=False, tools=0, images=0, schema=False,
        logprobs=False, choices=1, task=Task.CHAT, task_reason="", label=label, session=None,
    )  # fmt: skip
    nothing: Any = None
    return ChatFlight(
        request_id="req_1",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        features=features,
        plan=Plan(steps=(), rejected=rejected, rule=rule, ceiling=ceiling, cache=cache),
        policy_version=policy,
        reaches=nothing,
        codec=codec,
        envelope=codec.peek(json.dumps(body).encode()),
        asked=Asked(model="m", stream_usage=False, reply_id="req_1", now_s=1),
    )


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache:
    return AnswerCache(KEY, clock, max_bytes=100_000, max_entries=100)


def placed(cache: AnswerCache, one: ChatFlight) -> Place:
    place = cache.place(one)
    assert place is not None
    return place


def keep(cache: AnswerCache, one: ChatFlight, answer: Any = ANSWER) -> None:
    cache.keep(placed(cache, one), one, json.dumps(answer).encode(), None, "lab/m")


def has(cache: AnswerCache, one: ChatFlight) -> bool:
    return cache.find(placed(cache, one), one) is not None


def test_the_same_request_finds_its_answer_until_its_time_is_over(cache: AnswerCache, clock: Clock) -> None:
    keep(cache, flight())
    clock.now_s = 9.9
    assert has(cache, flight())
    clock.now_s = 10
    assert not has(cache, flight())
    assert cache.total_entries == cache.total_bytes == 0


OTHERS = [
    {"caller": Caller(key="ann")},
    {"caller": Caller(user="ann")},
    {"caller": Caller(team="red")},
    {"label": Label.CONFIDENTIAL},
    {"ceiling": Egress.LOCAL},
    {"policy": "p2"},
    {"rule": "r2"},
    {"body": {**BODY, "seed": 1}},
    {"anthropic_beta": "x"},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_whoever_differs_in_anything_finds_nothing(cache: AnswerCache, other: Any) -> None:
    keep(cache, flight())
    assert not has(cache, flight(**other))
    keep(cache, flight(**other))
    assert cache.total_entries == 2


def test_callers_whose_names_run_together_are_kept_apart(cache: AnswerCache) -> None:
    keep(cache, flight(Caller(key="a", user="bc")))
    assert not has(cache, flight(Caller(key="ab", user="c")))
    assert not has(cache, flight(Caller(key="a", user="b", team="c")))


def test_the_place_cannot_be_worked_out_without_the_key_of_the_process(clock: Clock) -> None:
    one, other = (AnswerCache(key, clock, max_bytes=1, max_entries=1) for key in (KEY, b"x" * 32))
    assert placed(one, flight()).digest != placed(other, flight()).digest


@pytest.mark.parametrize(
    "kept_out",
    [
        {"cache": None},
        {"label": Label.RESTRICTED},
        {"cache_control": "no-store"},
        {"body": {**BODY, "previous_response_id": "r"}},
        {"body": {**BODY, "conversation": "c"}},
    ],
    ids=str,
)
def test_what_is_kept_out_has_no_place(cache: AnswerCache, kept_out: Any) -> None:
    assert cache.place(flight(**kept_out)) is None


def test_a_gate_that_blocks_who_answered_blocks_the_answer(cache: AnswerCache) -> None:
    keep(cache, flight())
    assert not has(cache, flight(rejected=(Rejected("lab/m", "denied", "night"),)))
    assert has(cache, flight(rejected=(Rejected("lab/m", "its breaker is open"),))), "being down is no reason to ask again"


def test_memory_is_bounded_and_the_fullest_makes_room(clock: Clock) -> None:
    size = len(json.dumps(ANSWER)) + ENTRY_OVERHEAD_BYTES
    cache = AnswerCache(KEY, clock, max_bytes=size * 10, max_entries=1000)
    shy = Caller(key="shy")
    keep(cache, flight(shy))
    for seed in range(50):
        keep(cache, flight(Caller(key="busy"), body={**BODY, "seed": seed}))
        assert cache.total_bytes <= size * 10
    assert has(cache, flight(shy)), "one caller's many answers do not drive out another's few"
    assert has(cache, flight(Caller(key="busy"), body={**BODY, "seed": 49}))
    assert not has(cache, flight(Caller(key="busy"), body={**BODY, "seed": 0}))


def test_entries_are_bounded_and_the_one_not_read_for_longest_goes(clock: Clock) -> None:
    cache = AnswerCache(KEY, clock, max_bytes=10**6, max_entries=2)
    first, second, third = (flight(body={**BODY, "seed": seed}) for seed in range(3))
    keep(cache, first)
    keep(cache, second)
    assert has(cache, first)
    keep(cache, third)
    assert [has(cache, one) for one in (first, second, third)] == [True, False, True]
    assert cache.total_entries == 2


def test_too_long_an_answer_is_not_kept(clock: Clock) -> None:
    cache = AnswerCache(KEY, clock, max_bytes=10**8, max_entries=10)
    long = msgspec.convert(ANSWER, dict)
    long["choices"] = [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": "x" * LARGEST_BYTES}}]  # type: ignore[index]
    keep(cache, flight(), long)
    assert cache.total_entries == 0


def test_keeping_again_replaces(cache: AnswerCache) -> None:
    keep(cache, flight())
    before = cache.total_bytes
    keep(cache, flight())
    assert (cache.total_entries, cache.total_bytes) == (1, before)
