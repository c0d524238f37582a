from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from freehold.wire.openai_chat.alternation import alternate

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_neighbours_are_joined_and_lists_stay_lists() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:x"}}
    assert alternate([user("a"), user("b")]) == [user("a\n\nb")]
    assert alternate([user("a"), user([image])]) == [user([{"type": "text", "text": "a"}, image])]
    assert alternate([user(""), user([image])]) == [user([image])]


def test_a_text_before_calls_joins_them_and_words_behind_results_join_the_last_result() -> None:
    said = {"role": "assistant", "content": "first"}
    calls = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
    assert alternate([user("a"), said, calls, result, user("more")]) == [
        user("a"),
        {"role": "assistant", "content": "first", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "42\n\nmore"},
    ]


def test_a_name_that_differs_goes() -> None:
    assert alternate([{**user("a"), "name": "x"}, {**user("b"), "name": "y"}]) == [user("a\n\nb")]
    assert alternate([{**user("a"), "name": "x"}, {**user("b"), "name": "x"}]) == [{**user("a\n\nb"), "name": "x"}]


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(alphabet="abc", min_size=1)), max_size=8))
def test_turns_alternate_and_every_word_stays_in_its_order(turns: list[tuple[str, str]]) -> None:
    done = alternate([{"role": role, "content": text} for role, text in turns])
    assert all(one["role"] != other["role"] for one, other in pairwise(done))
    assert "\n\n".join(message["content"] for message in done) == "\n\n".join(text for _, text in turns)
