"""Schemas that the engine would refuse, or die of, reach it in a form it takes."""

import json
from typing import Any

import pytest

from support.gateway import Served

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "next": {"$ref": "#/$defs/node"}},
    "required": ["name"],
}
ODD: dict[str, Any] = {
    "a lower bound above the upper one": {"a": {"type": "string", "minLength": 5, "maxLength": 2}},
    "more items than allowed": {"a": {"type": "array", "items": {"type": "null"}, "minItems": 5, "maxItems": 2}},
    "an unknown type": {"a": {"type": "banana"}},
    "a boolean schema": {"a": True},
    "a reference": {"a": {"$ref": "#/$defs/node"}},
    "a reference to nowhere": {"a": {"$ref": "#/nowhere"}},
    "a reference to elsewhere": {"a": {"$ref": "https://example.com/x.json"}},
    "alternatives": {"a": {"oneOf": [{"type": "integer", "minimum": 1, "maximum": 3}, {"type": "boolean"}]}},
    "no limit": {"a": {"type": "array", "items": {"type": "boolean"}}},
    "a pattern that is none": {"a": {"type": "string", "pattern": "^([a-z$", "maxLength": 5}},
    "a huge number": {"a": {"type": "integer", "maximum": 10**30}},
    "an odd name": {'b"\n\\': {"type": "boolean"}},
}


def schema_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "$defs": {"node": NODE}}


async def test_no_schema_of_a_client_ends_the_engine(embedded: Served) -> None:
    pid = embedded.app.engines.state("embedded").pid
    client = embedded.openai()
    for name, properties in ODD.items():
        ask: Any = {
            "model": "auto",
            "max_tokens": 6,
            "temperature": 0,
            "messages": [{"role": "user", "content": "Say something."}],
        }
        format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema_of(properties)}}
        reply = await client.chat.completions.create(**ask, response_format=format_)
        assert (reply.choices[0].message.content or "").lstrip().startswith("{"), name
        tool = {"type": "function", "function": {"name": "f", "parameters": schema_of(properties)}}
        await client.chat.completions.create(**ask, tools=[tool], tool_choice="required")
    assert embedded.app.engines.state("embedded").pid == pid
    assert {row.outcome for row in embedded.rows()} == {"served"}


async def test_a_tool_without_parameters_is_called_with_none(embedded: Served) -> None:
    tool: Any = {"type": "function", "function": {"name": "get_time", "description": "The time now"}}
    reply = await embedded.openai().chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "What time is it?"}], tools=[tool], tool_choice="required",
        parallel_tool_calls=False, max_tokens=100, temperature=0,
    )  # fmt: skip
    calls: Any = reply.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [("get_time", {})]
