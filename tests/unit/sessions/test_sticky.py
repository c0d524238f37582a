from typing import Any

import msgspec
import pytest

from freehold.features import Caller
from freehold.sessions.sticky import Sticky, lane_of
from support.records import features

ANN, BOB = Caller(key="ann", user="ann"), Caller(key="bob", user="bob")


def test_a_session_stays_until_its_time_is_up_and_each_use_renews_it():
    clock = [0.0]
    sticky = Sticky(lambda: clock[0], ttl_s=10.0)
    sticky.set(ANN, "s", "box/a")
    clock[0] = 9.0
    sticky.set(ANN, "s", "box/a")
    clock[0] = 18.9
    assert sticky.get(ANN, "s") == "box/a"
    clock[0] = 19.0
    assert sticky.get(ANN, "s") is None


def test_a_session_id_of_another_caller_is_another_session():
    sticky = Sticky(lambda: 0.0)
    sticky.set(ANN, "s", "box/a")
    assert sticky.get(BOB, "s") is None
    assert sticky.get(Caller(key="ann", user="bob"), "s") is None


def test_it_never_holds_more_than_it_may_and_the_stalest_goes_first():
    sticky = Sticky(lambda: 0.0, max_entries=3)
    for number in range(3):
        sticky.set(ANN, f"s{number}", "box/a")
    sticky.set(ANN, "s0", "box/b")
    sticky.set(ANN, "s3", "box/a")
    assert len(sticky) == 3
    assert [sticky.get(ANN, f"s{number}") for number in range(4)] == ["box/b", None, "box/a", "box/a"]


def test_no_session_sticks_to_nothing():
    sticky = Sticky(lambda: 0.0)
    sticky.set(ANN, None, "box/a")
    assert len(sticky) == 0
    assert sticky.get(ANN, None) is None


def test_a_forgotten_session_is_free_again():
    sticky = Sticky(lambda: 0.0)
    sticky.set(ANN, "s", "box/a")
    sticky.forget(ANN, "s")
    sticky.forget(ANN, "never")
    assert sticky.get(ANN, "s") is None


@pytest.mark.parametrize(
    "other",
    [
        {"auxiliary": "title"},
        {"auxiliary": "compaction"},
        {"request_class": "subagent"},
        {"request_class": "workflow"},
        {"asked_model": "haiku"},
        {"operation": "embeddings"},
    ],
)
def test_side_jobs_and_sub_agents_do_not_move_the_main_loop(other: dict[str, Any]):
    main = features(session="s", request_class="main")
    aside = msgspec.structs.replace(main, **other)
    sticky = Sticky(lambda: 0.0)
    sticky.set(ANN, "s", "cloud/big", lane_of(main))
    sticky.set(ANN, "s", "box/small", lane_of(aside))
    assert sticky.get(ANN, "s", lane_of(main)) == "cloud/big"
    assert sticky.get(ANN, "s", lane_of(aside)) == "box/small"
    later = msgspec.structs.replace(main, prompt_tokens=90_000, request_class=None, tools=7)
    assert sticky.get(ANN, "s", lane_of(later)) == "cloud/big"
