"""What comes out may be called: on offer, valid, and of the model's own words."""

import json
from typing import Any

import pytest

from freehold.chat import Tool
from freehold.routing.calls.mending import Offer
from freehold.routing.calls.shapes import Written

SCHEMA: Any = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean", "default": False},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
        "options": {"type": "object", "properties": {"mode": {"enum": ["Text", "Binary"]}}},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["path", "deep"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "pattern": "^[a-z0-9]+$"}},
}
OFFER = Offer([Tool("read_file", None, SCHEMA), Tool("ping", None, None)])


def mended(arguments: Any, name: str = "read_file", **more: Any) -> Any:
    call = OFFER.mend(Written(name, arguments), **more)
    return None if call is None else json.loads(call.arguments)


@pytest.mark.parametrize(
    ("written", "fitted"),
    [
        ({"limit": "3"}, {"limit": 3}),
        ({"limit": 3.0}, {"limit": 3}),
        ({"ratio": "1,234.5"}, {"ratio": 1234.5}),
        ({"deep": "True"}, {"deep": True}),
        ({"tags": "a"}, {"tags": ["a"]}),
        ({"tags": '["a", "b"]'}, {"tags": ["a", "b"]}),
        ({"tags": [1, 2]}, {"tags": ["1", "2"]}),
        ({"options": "{'mode': 'text'}"}, {"options": {"mode": "Text"}}),
        ({"either": "7"}, {"either": 7}),
        ({"either": None}, {"either": None}),
        ({"limit": None}, {}),
        ({"Limit": 5}, {"limit": 5}),
    ],
)
def test_what_says_the_same_is_fitted(written: Any, fitted: Any) -> None:
    assert mended({"path": "a", "deep": False} | written) == {"path": "a", "deep": False} | fitted


@pytest.mark.parametrize(
    "written",
    [
        {"path": "a", "limit": "many"},
        {"limit": 1},
        {"path": None},
        {"path": "a", "tags": ["A!"]},
        {"path": "a", "extra": 1},
        7,
        "not JSON",
        [1],
    ],
)
def test_nothing_is_invented(written: Any) -> None:
    assert mended(written) is None


def test_a_missing_argument_comes_from_the_schemas_default_alone() -> None:
    call = OFFER.mend(Written("read_file", {"path": "a"}))
    assert call is not None
    assert json.loads(call.arguments) == {"path": "a", "deep": False}
    assert "call_defaults" in call.repairs


def test_a_right_call_keeps_its_text() -> None:
    odd = '{ "deep":true , "path":"a" }'
    call = OFFER.mend_structured("read_file", odd)
    assert call is not None
    assert (call.arguments, call.repairs) == (odd, frozenset())


@pytest.mark.parametrize(
    ("text", "is_mended"), [('{"path": "a", "deep": true', True), ('{"deep": true, "path": "half a na', False)]
)
def test_what_may_lack_words_is_not_completed(text: str, is_mended: bool) -> None:
    assert (OFFER.mend_structured("read_file", text) is not None) is is_mended
    assert OFFER.mend_structured("read_file", text, was_limited=True) is None


def test_a_tool_without_a_schema_takes_any_object() -> None:
    assert mended({"x": 1}, "ping") == {"x": 1}
    assert mended(None, "Ping") == {}
