import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.dispatch.plain_schema import MAX_ITEMS, MAX_STRING_LENGTH, make_arguments, make_plain

STRING = {"type": "string", "maxLength": MAX_STRING_LENGTH}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "plain"),
    [
        ({"type": "string"}, STRING),
        ({"type": "string", "maxLength": 5, "description": "x"}, {"type": "string", "maxLength": 5}),
        ({"type": "string", "minLength": 9000}, {"type": "string", "minLength": 9000, "maxLength": 9000}),
        ({"type": "string", "minLength": 5, "maxLength": 2}, STRING),
        ({"type": "string", "maxLength": "x"}, STRING),
        ({"type": "string", "maxLength": -1}, STRING),
        ({"type": "string", "pattern": "^(?=x)"}, STRING),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "uri"}, STRING),
        ({"type": "integer", "minimum": 5, "maximum": 2}, {"type": "integer"}),
        ({"type": "integer", "minimum": 1, "maximum": 10**30}, {"type": "integer", "minimum": 1}),
        ({"type": "number", "minimum": 0.5}, {"type": "number"}),
        ({"type": "array"}, {"type": "array", "items": {}, "maxItems": MAX_ITEMS}),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 3}, {"type": "array", "items": {"type": "null"}, "maxItems": 3}),
        ({"type": "array", "minItems": 9, "maxItems": 3}, {"type": "array", "items": {}, "maxItems": MAX_ITEMS}),
        ({"type": ["string", "null"]}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"type": "string", "anyOf": [{"format": "date"}, {}]}, {"anyOf": [{"type": "string", "format": "date"}, STRING]}),
        ({"type": "banana"}, {}),
        ({"type": None}, {}),
        ({"type": []}, {}),
        ({"enum": []}, {}),
        ({"enum": [1, "x", None]}, {"enum": [1, "x", None]}),
        ({"const": None}, {"const": None}),
        (True, {}),
        (False, {}),
        (None, {}),
        ({"$ref": "#/$defs/X", "$defs": {"X": {"type": "boolean"}}}, {"type": "boolean"}),
        ({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"type": "boolean"}}}, {"type": "boolean"}),
        ({"$ref": "#/nowhere"}, {}),
        ({"$ref": "https://example.com/schema.json"}, {}),
        ({"$ref": "#"}, {}),
        (
            {"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"type": "null"}}, "required": ["v", "absent"]},
            {
                "type": "object",
                "properties": {
                    "next": {
                        "type": "object",
                        "properties": {"next": {}, "v": {"type": "null"}},
                        "required": ["v"],
                        "additionalProperties": False,
                    },
                    "v": {"type": "null"},
                },
                "required": ["v"],
                "additionalProperties": False,
            },
        ),
        ({"allOf": [obj(a={"type": "null"}), {"$ref": "#/$defs/b"}], "$defs": {"b": obj(b={"type": "null"})}},
         obj(a={"type": "null"}, b={"type": "null"})),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "object", "properties": None, "required": None}, {"type": "object"}),
        ({"type": "object", "additionalProperties": {"type": "null"}}, {"type": "object", "additionalProperties": {"type": "null"}}),
        ({"properties": {"a": True}, "anyOf": [{"required": ["a"]}]},
         {"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}),
    ],
)  # fmt: skip
def test_only_what_the_engine_takes_is_kept(schema: Any, plain: dict[str, Any]) -> None:
    assert make_plain(schema) == plain


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        (None, {"const": {}}),
        ({}, {"const": {}}),
        ({"type": "object", "properties": {}}, {"const": {}}),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, {"const": {}}),
        ({"type": "object", "properties": {}, "additionalProperties": True}, {"type": "object", "additionalProperties": True}),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "array"}, {"type": "object"}),
        ({"anyOf": [{"type": "string"}]}, {"type": "object"}),
        ({"oneOf": [obj(a={"type": "null"}), obj(b={"type": "null"})]},
         {"anyOf": [obj(a={"type": "null"}), obj(b={"type": "null"})]}),
    ],
)  # fmt: skip
def test_arguments_are_always_an_object(parameters: dict[str, Any] | None, arguments: dict[str, Any]) -> None:
    assert make_arguments(parameters) == arguments


def test_a_schema_that_would_grow_without_end_stays_small() -> None:
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(40)}
    deep: Any = {"type": "null"}
    for _ in range(500):
        deep = {"type": "object", "properties": {"x": deep}}
    for schema in ({"$ref": "#/$defs/d0", "$defs": definitions}, deep):
        assert len(json.dumps(make_plain(schema))) < 500_000


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.sampled_from(["#", "#/x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "items",
                    "anyOf",
                    "allOf",
                    "oneOf",
                    "enum",
                    "const",
                    "$ref",
                    "minLength",
                    "maxLength",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JUNK)
def test_no_schema_is_too_odd(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(make_plain(schema))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def schema_of(value: Any) -> dict[str, Any]:
    """A schema that the value satisfies."""
    match value:
        case None:
            return {"type": "null"}
        case bool():
            return {"type": ["boolean", "null"]}
        case int():
            return {"type": "integer", "minimum": value}
        case str():
            return {"type": "string", "minLength": len(value), "pattern": ""}
        case list():
            return {"type": "array", "items": {"anyOf": [schema_of(one) for one in value]}} if value else {"type": "array"}
        case _:
            inner = {name: schema_of(one) for name, one in value.items()}
            return {"type": "object", "properties": inner, "required": list(inner)}


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_the_schema_allows_stays_allowed(value: Any) -> None:
    schema = schema_of(value)
    jsonschema.validate(value, schema)
    jsonschema.validate(value, make_plain(schema))
