import asyncio
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.routing.schema import violation


async def test_a_remote_reference_is_never_fetched():
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"type":"string"}')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    schemas: list[dict[str, Any]] = [
        {"$ref": f"{base}/a.json"},
        {"$id": f"{base}/root.json", "$ref": "other.json"},
        {"$schema": f"{base}/meta.json"},
        {"$dynamicRef": f"{base}/a.json#x"},
        {"properties": {"a": {"$ref": f"{base}/a.json"}}},
    ]
    for schema in schemas:
        assert await asyncio.to_thread(violation, schema, {"a": 7}) is None
    await asyncio.sleep(0)
    server.close()
    assert asked == []


def test_a_reference_to_a_file_is_never_read(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"type": "string"}')
    assert violation({"$ref": (tmp_path / "a.json").as_uri()}, 7) is None


def test_local_references_hold():
    schema = {"$defs": {"n": {"type": "integer", "minimum": 3}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    assert violation(schema, {"a": 3}) is None
    assert violation(schema, {"a": 2}) == "minimum"


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"pattern": "("}, {"$ref": "#/nowhere"}, {"required": 7}])
def test_a_schema_that_cannot_be_used_judges_nothing(schema: dict[str, Any]):
    assert violation(schema, "x") is None


def test_a_hostile_pattern_takes_no_time():
    started = time.thread_time()
    violation({"pattern": "^(a+)+$"}, "a" * 5000 + "b")
    violation({"pattern": "^(?=(a+)+b)(a|aa)+$"}, "a" * 5000 + "c")
    assert time.thread_time() - started < 2.0


SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", None]}}, "required": ["a"]},
        {"type": "array", "items": {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "number", "maximum": 3}]}},
        {"oneOf": [{"type": "boolean"}, {"const": {"a": 1}}], "not": {"const": True}},
        {"type": ["string", "null"], "minLength": 1, "pattern": "^[a-z]*$"},
        {"additionalProperties": {"type": "array", "uniqueItems": True, "minItems": 1}, "maxProperties": 2},
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("abxY", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(SCHEMAS, VALUES)
@settings(max_examples=200, deadline=None)
def test_verdicts_are_those_of_the_reference_validator(schema: dict[str, Any], value: Any):
    assert (violation(schema, value) is None) == jsonschema.Draft202012Validator(schema).is_valid(value)
