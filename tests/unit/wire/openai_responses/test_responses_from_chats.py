"""What becomes of a request of another format on its way to a runtime that speaks Responses, and what that cannot be told."""

import json
from typing import Any

import pytest

from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages, openai_chat
from freehold.wire.codec import Sent
from support.responses import chat, read, write


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
    ],
)
def test_what_the_format_cannot_say_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(FaultError) as told:
        write(chat(**body))
    assert (told.value.fault.kind, told.value.fault.param) == (Kind.UNSUPPORTED, param)


def test_log_probabilities_are_asked_for_in_this_formats_way_and_read() -> None:
    sent = write(chat(logprobs=True, top_logprobs=3))
    assert (sent["include"], sent["top_logprobs"]) == (["message.output_text.logprobs"], 3)
    request = read(input="hi", include=["message.output_text.logprobs"], top_logprobs=3)
    assert (request.logprobs, request.top_logprobs) == (True, 3)


def test_quirks_of_runtimes_that_speak_it() -> None:
    body: dict[str, Any] = {
        "instructions": "a",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"role": "assistant", "content": "y"},
            {"role": "developer", "content": "b"},
        ],
        "temperature": 0.5,
        "reasoning": {"effort": "low"},
    }
    plain, quirky = (
        write(read(**body)),
        write(read(**body), "system_first", "reasoning_content_in", "no_sampling", "no_reasoning_effort", "cache_control"),
    )
    assert [item["role"] for item in plain["input"]] == ["system", "user", "assistant", "system"]
    assert (plain["temperature"], plain["reasoning"]) == (0.5, {"effort": "low"})
    assert quirky["instructions"] == "a\n\nb"
    assert [item.get("type") for item in quirky["input"]] == [None, "reasoning", None]
    assert quirky["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert {"temperature", "reasoning"} & quirky.keys() == set()


def test_a_failed_result_says_so_and_a_refusal_stays_one() -> None:
    asked = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": "no disk"}]},
    ]
    body = json.dumps({"model": "m", "max_tokens": 20, "messages": asked}).encode()
    sent = write(anthropic_messages.read_request(anthropic_messages.peek(body)))
    assert sent["input"][-1] == {"type": "function_call_output", "call_id": "t", "output": "Error: no disk"}
    refused = [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, {"role": "user", "content": "why"}]
    request = read(input=refused)
    assert write(request)["input"][0]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert b'"refusal":"no"' in openai_chat.write_request(request, Sent(model="m"))
    assert b"refusal" not in anthropic_messages.write_request(request, Sent(model="m"))
