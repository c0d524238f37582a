"""Without its conversation a request offers the same tools, in every chat format."""

import json
from typing import Any

import pytest

from freehold.wire.formats import CODECS
from freehold.wire.offering import without_conversation

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "look", "description": "d", "parameters": PARAMETERS}}
SAID: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}],
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_object"},
    },
    "anthropic_messages": {
        "max_tokens": 5,
        "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "look", "description": "d", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "any"},
    },
    "openai_responses": {
        "instructions": "s",
        "input": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "name": "look", "description": "d", "parameters": PARAMETERS, "strict": False}],
        "tool_choice": "required",
    },
    "ollama": {"messages": [{"role": "user", "content": "x"}], "tools": [FUNCTION], "format": PARAMETERS},
}


@pytest.mark.parametrize("wire_format", list(SAID))
@pytest.mark.parametrize("with_tools", [True, False])
def test_the_same_tools_are_offered(wire_format: Any, *, with_tools: bool) -> None:
    codec = CODECS[wire_format]
    said = {"model": "m", **SAID[wire_format]}
    if not with_tools:
        said = {name: value for name, value in said.items() if name not in {"tools", "tool_choice"}}
    envelope = codec.peek(json.dumps(said).encode())
    whole, bare = codec.read_request(envelope), codec.read_request(without_conversation(envelope))
    assert (bare.tools, bare.tool_choice, bare.output) == (whole.tools, whole.tool_choice, whole.output)
    assert bool(bare.tools) == with_tools
    assert not bare.messages


def test_every_format_that_chats_is_asked() -> None:
    assert set(SAID) == set(CODECS) - {"openai_completions"}
