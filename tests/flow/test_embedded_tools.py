"""SmolLM2 calls a tool and answers from its result, in its own words, by each API."""

import json
from typing import Any

import pytest

from support.gateway import Served

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
QUESTION = "Read the file code.txt with your tool and answer with the code that stands in it."
CODES = ("FH-130861233189", "FH-836554894607", "FH-965948822225", "FH-492269499932")
ENOUGH = 3
"""Of these. A model of 135 million parameters may miss one on another processor's numbers."""


@pytest.mark.parametrize("then", [{"tool_choice": "auto"}, {"tool_choice": "none"}, {"tools": None}], ids=str)
async def test_it_answers_from_the_result_of_its_call(embedded: Served, then: dict[str, Any]) -> None:
    client = embedded.openai()
    tools: Any = [{"type": "function", "function": {"name": "read_file", "description": "Read a file", "parameters": SCHEMA}}]
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    ask: dict[str, Any] = {"model": "auto", "temperature": 0, "max_tokens": 60, "tools": tools}
    first = (await client.chat.completions.create(**ask, messages=messages)).choices[0].message
    calls: Any = first.tool_calls
    [call] = calls
    assert json.loads(call.function.arguments) == {"path": "code.txt"}
    messages.append(first.model_dump(exclude_none=True))
    more = {key: value for key, value in (ask | then).items() if value is not None}
    said = []
    for code in CODES:
        result = {"role": "tool", "tool_call_id": call.id, "content": f"{code}\n"}
        reply = await client.chat.completions.create(**more, messages=[*messages, result])
        said.append(reply.choices[0].message.content or "")
    assert sum(code in answer for code, answer in zip(CODES, said, strict=True)) >= ENOUGH, said
    assert not any("reply" in answer or "calls" in answer for answer in said), "the schema's own words got out"
