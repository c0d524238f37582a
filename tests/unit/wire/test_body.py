import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.fault import FaultError, Kind
from freehold.wire.body import split_top


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "b": 2, "a": 1}',
        b'{"\\u0061":1,"a":1}',
        b'{"a":11,"a":1}',
        b'{"a":1,"a":"zz}  "}',
        b'{\n  "a": {"a": 1},\n  "a": {"a": 1}\n}',
        b'{"a":1 ,"b":[{"a":1}],"b":[{"a":1}]}',
    ],
)
def test_a_field_said_twice_is_refused(body: bytes):
    with pytest.raises(FaultError, match="twice"):
        split_top(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "expected `object`"),
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b"{", "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":1} {}', "not JSON"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"\xff":1}', "not valid UTF-8"),
        (b'{"a":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(body: bytes, said: str):
    with pytest.raises(FaultError, match=said) as caught:
        split_top(body)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\{}:, ü', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text('ab"\\{}:, ü', max_size=4), json_values, max_size=5),
    st.sampled_from([{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": "\t", "ensure_ascii": False}]),
)
def test_every_layout_of_a_body_is_split_alike_and_a_repeat_is_always_seen(value: dict, layout: dict):
    body = json.dumps(value, **layout).encode()
    assert {key: json.loads(bytes(raw)) for key, raw in split_top(body).items()} == value
    for key, one in value.items():
        entry = json.dumps(key).encode() + b":" + json.dumps(one).encode()
        with pytest.raises(FaultError, match="twice"):
            split_top(b"{" + entry + b"," + body.lstrip()[1:])
