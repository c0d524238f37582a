"""Every string of a piece of JSON is in the text that is looked through, at the place it says."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from freehold.wire.strings import is_encoded_file, joined, strings_of

PIECES = st.recursive(
    st.one_of(st.text(st.characters(codec="utf-8"), max_size=20), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for key, inner in value.items() for one in (key, *strings_in(inner))]
    if isinstance(value, list):
        return [one for inner in value for one in strings_in(inner)]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return []
    return [str(value)] if isinstance(value, str) or abs(value) >= 10**8 else []


@given(PIECES)
def test_each_string_stands_in_the_text_in_its_order_and_can_be_placed(piece: Any):
    found = strings_of(json.dumps(piece).encode())
    expected = strings_in(piece)
    assert len(found.starts) == len(expected)
    for index, (start, string) in enumerate(zip(found.starts, expected, strict=True)):
        assert found.text[start : start + len(string)] == string
        if string:
            assert found.place(start + len(string) - 1) == (index, len(string) - 1)


@given(st.lists(st.text(max_size=10), max_size=5))
def test_texts_that_are_read_already_are_placed_too(texts: list[str]):
    found = joined(tuple(texts))
    for index, text in enumerate(texts):
        assert found.text[found.starts[index] :].startswith(text)


def test_a_long_run_of_base64_is_a_file_and_a_long_text_is_not():
    assert is_encoded_file("A9+/" * 2000)
    assert is_encoded_file("data:image/png;base64," + "A9+/" * 2000)
    assert not is_encoded_file("A9+/" * 2000 + " and a text")
    assert not is_encoded_file("A9+/" * 2000 + "\nand a text")
    assert not is_encoded_file("word " * 2000)
    assert not is_encoded_file("A9+/" * 100)
