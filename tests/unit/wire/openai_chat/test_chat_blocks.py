"""What one piece of a chat's prompt is said to hold: every text a model would read, and what tools were called with and gave."""

import msgspec
import pytest

from freehold.wire import openai_chat
from freehold.wire.codec import Block, ToolOutcome, ToolUse


@pytest.mark.parametrize(
    ("block", "told", "counts"),
    [
        ({"role": "developer", "content": "d"}, Block(role="system", texts=("d",)), (0, 0)),
        (
            {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            Block(role="user", texts=("t",), images=1),
            (0, 0),
        ),
        (
            {
                "role": "assistant",
                "content": "c",
                "reasoning_content": "r",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}],
            },
            Block(
                role="assistant",
                texts=("r", "c", "f", '{"a":"b"}'),
                uses=(ToolUse("1", "f", '{"a":"b"}'),),
            ),
            (1, 0),
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            Block(role="assistant", texts=("f", "{}"), uses=(ToolUse("", "f", "{}"),)),
            (1, 0),
        ),
        (
            {"role": "tool", "content": "ok", "tool_call_id": "1"},
            Block(role="tool", texts=("ok",), outcomes=(ToolOutcome("1", "ok"),)),
            (0, 1),
        ),
        (
            {"role": "tool", "content": "Error: no", "tool_call_id": "1"},
            Block(role="tool", texts=("Error: no",), tool_errors=1, outcomes=(ToolOutcome("1", "Error: no"),)),
            (0, 1),
        ),
        (
            [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"x": 1}}}],
            Block(role="tools", texts=("f", "d", '{"x":1}')),
            (0, 0),
        ),
        ([{"name": "old", "description": "d"}], Block(role="tools", texts=("old", "d")), (0, 0)),
    ],
)
def test_describe_finds_every_text_a_model_would_read(block: object, told: Block, counts: tuple[int, int]):
    described = openai_chat.describe(msgspec.Raw(msgspec.json.encode(block)))
    assert described == told
    assert (described.tool_calls, described.tool_results) == counts
