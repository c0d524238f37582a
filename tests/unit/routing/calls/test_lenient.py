"""Broken JSON says what it says, or nothing."""

import json
from typing import Any

import pytest

from freehold.routing.calls.lenient import NoValueError, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': True, 'b': None,}", {"a": True, "b": None}),
        ('{"a": [1, 2,], "b": "x"', {"a": [1, 2], "b": "x"}),
        ('{"a": [1, 2, "b": 3}', None),
        ('{"a": "say "hi" to them"}', {"a": 'say "hi" to them'}),
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        ('{"a": "C:\\dir\\x"}', {"a": "C:\\dir\\x"}),
        ('{a: 1, "b: 2}', {"a": 1, "b": 2}),
        ('{"a": Rome, "b": 1}', {"a": "Rome", "b": 1}),
        ('{"a": 1 // why\n, "b": /* because */ 2}', {"a": 1, "b": 2}),
        ('{"a": 1\n "b": 2}', {"a": 1, "b": 2}),
        ("{“a”: “b”}", {"a": "b"}),
        ('{"a": {"b": "Paris}}', {"a": {"b": "Paris"}}),
        ('{"a": "\\ud83d\\ude00"}}', {"a": "😀"}),
        ("{'a': (1, 2), 'b': 1_000}", {"a": [1, 2], "b": 1000}),
        ('{"a": {"b": [1, 2}}', {"a": {"b": [1, 2]}}),
        ('{"a": """long "text" here"""}', {"a": 'long "text" here'}),
    ],
)  # fmt: skip
def test_what_can_be_told_is_read(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(NoValueError):
            read_value(text)
    else:
        assert read_value(text)[0] == value


@pytest.mark.parametrize(
    "text", ["", '{"a": ...}', '{"a": 1/6}', '{"a": f(1)}', '{"a": 10-5}', '{"a": 1} and more', "[" * 500, '{"a" 1}']
)
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(NoValueError):
        read_value(text)


@pytest.mark.parametrize(
    ("text", "cut"), [('{"a": 1', "marks"), ('{"a": "half a', "words"), ('{"a": "b}', "marks"), ('{"a": 1}', "")]
)
def test_a_missing_end_is_told(text: str, cut: str) -> None:
    assert read_value(text)[1].cut == cut


def test_json_reads_as_json_does() -> None:
    text = json.dumps({"a": [1, 2.5, True, None, 'é\\"\n'], "b": {"c": {}}})
    value, reading = read_value(text)
    assert value == json.loads(text)
    assert not reading.mended
