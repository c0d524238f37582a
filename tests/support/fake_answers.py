"""Answers of the scripted runtime, read the same way from both formats."""

import json

import pytest

from freehold.gateways.http import Exchange

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "input_schema": SCHEMA}]
BOTH = pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
EITHER_WAY = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


async def body_of(exchange: Exchange) -> bytes:
    return await exchange.read(1 << 20)


async def answer_of(exchange: Exchange) -> dict:
    """A whole answer as one shape: text, thoughts, calls, end, model, usage."""
    assert exchange.status == 200
    reply = json.loads(await body_of(exchange))
    if "choices" in reply:
        [choice] = reply["choices"]
        calls = choice["message"].get("tool_calls") or []
        return {
            "text": choice["message"]["content"] or "",
            "calls": [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
            "end": choice["finish_reason"],
            "model": reply["model"],
            "tokens": (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]),
        }
    ends = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    return {
        "text": "".join(block["text"] for block in reply["content"] if block["type"] == "text"),
        "calls": [(block["name"], block["input"]) for block in reply["content"] if block["type"] == "tool_use"],
        "end": ends[reply["stop_reason"]],
        "model": reply["model"],
        "tokens": (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]),
    }
