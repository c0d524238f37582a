"""What a Responses client receives, by OpenAI's published schema, the SDK's types and the order that is documented."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
)
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import openai_responses
from freehold.wire.codec import Asked
from support.openai_schema import complaints

STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FUNCTION = {"type": "function", "name": "look", "description": "d", "parameters": {"type": "object"}}
CUSTOM = {"type": "custom", "name": "patch", "description": "d", "format": {"type": "text"}}
SPACE = {"type": "namespace", "name": "files", "description": "d", "tools": [{**FUNCTION, "strict": False}]}
ASKED_TOP: dict[str, Any] = {
    "instructions": "Be short.",
    "tools": [FUNCTION, CUSTOM, SPACE],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "metadata": {"a": "b"},
    "temperature": 0.5,
    "max_output_tokens": 90,
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "user": "u",
}
USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=1)
TOKEN = msgspec.Raw(b'[{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":[]}]')


def asked(**top: Any) -> Asked:
    raw = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in top.items()}
    return Asked(model="asked", stream_usage=True, reply_id="req_7", now_s=100, prompt_tokens=3, top=raw)


def write(events: list[Event], **top: Any) -> list[dict[str, Any]]:
    writer = openai_responses.writer(asked(**top))
    return parse(b"".join([writer.write(event) for event in events]) + writer.close())


def parse(stream: bytes) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for block in stream.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        told.append(event)
    return told


def valid(told: list[dict[str, Any]]) -> list[str]:
    """The types of the events, each of which the published schema and the SDK accept."""
    for number, event in enumerate(told):
        assert event["sequence_number"] == number
        assert complaints("ResponseStreamEvent", event) == []
        assert STREAM_EVENT.validate_python(event).type == event["type"]
    return [event["type"].removeprefix("response.") for event in told]


def called(index: int, name: str, arguments: str) -> list[Event]:
    return [ToolCallStarted(index, f"call_{index}", name), *(ToolCallDelta(index, letter) for letter in arguments)]


ANSWERS: dict[str, list[Event]] = {
    "text": [Started("up", "their", 50), TextDelta("Hel"), TextDelta("lo"), Finished("stop"), UsageReported(USAGE)],
    "nothing": [Started("up", "their", 50), Finished("stop")],
    "not even a start": [Finished("stop")],
    "thinking, text, calls": [
        Started("up", "their", 50),
        ReasoningDelta("hm"),
        ReasoningDelta("", signature="c2ln"),
        TextDelta("Hi"),
        *called(0, "look", '{"a":1}'),
        *called(1, "files__look", "{}"),
        *called(2, "patch", '{"input":"*** Begin"}'),
        Finished("tool_calls"),
        UsageReported(USAGE),
    ],
    "encrypted thinking": [ReasoningDelta("", redacted="abc"), TextDelta("Hi"), Finished("stop")],
    "refusal": [TextDelta("No", refusal=True), TextDelta(", never", refusal=True), Finished("refusal")],
    "log probabilities": [TextDelta("Hi", 0, TOKEN), TextDelta("!", 0, TOKEN), Finished("stop")],
    "length": [TextDelta("Hel"), Finished("length"), UsageReported(USAGE)],
    "content filter": [TextDelta("Hel"), Finished("content_filter")],
    "a call cut short": [*called(0, "look", '{"a"'), Finished("length")],
    "other choices": [TextDelta("a"), TextDelta("b", 1), Finished("stop"), Finished("length", None, 1)],
    "mixed calls": [
        ToolCallStarted(0, "a", "look"),
        ToolCallStarted(1, "b", "look"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, "}"),
        Finished("tool_calls"),
    ],
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("top", [{}, ASKED_TOP, {"reasoning": {"summary": "auto"}}], ids=["bare", "full", "summary"])
def test_every_event_and_every_whole_answer_is_what_openai_publishes(name: str, top: dict[str, Any]) -> None:
    told = write(ANSWERS[name], **top)
    kinds = valid(told)
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds[-1] in {"completed", "incomplete"}
    whole = json.loads(openai_responses.write_whole(fold(ANSWERS[name]), asked(**top)))
    assert complaints("Response", whole) == []
    assert Response.model_validate(whole).model == "asked"
    assert whole == told[-1]["response"]
    begun = [event for event in told if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in begun] == list(range(len(begun)))
    assert [item["id"] for item in whole["output"]] == [event["item"]["id"] for event in begun]
    assert {event["response"]["id"] for event in told if "response" in event} == {"resp_7"}


def test_the_order_is_the_documented_one() -> None:
    told = write(ANSWERS["thinking, text, calls"], **ASKED_TOP)
    kinds = [event["type"].removeprefix("response.") for event in told]
    deltas_once = [kind for at, kind in enumerate(kinds) if at == 0 or kind != kinds[at - 1]]
    call = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
    freeform = ["output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"]
    thinking = ["reasoning_text.delta", "reasoning_text.done"]
    text = ["output_text.delta", "output_text.done"]
    around = ["output_item.added", "content_part.added"], ["content_part.done", "output_item.done"]
    assert deltas_once == [
        *("created", "in_progress"),
        *(*around[0], *thinking, *around[1]),
        *(*around[0], *text, *around[1]),
        *(*call, *call, *freeform),
        "completed",
    ]


def test_a_summary_is_told_to_who_asked_for_one() -> None:
    told = write([ReasoningDelta("hm"), TextDelta("x"), Finished("stop")], reasoning={"summary": "auto"})
    kinds = [event["type"].removeprefix("response.") for event in told[2:8]]
    assert kinds == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]


def test_tools_come_back_as_the_kinds_the_client_gave() -> None:
    output = write(ANSWERS["thinking, text, calls"], **ASKED_TOP)[-1]["response"]["output"]
    shown = [{key: item.get(key) for key in ("type", "name", "namespace", "arguments", "input")} for item in output[2:]]
    assert shown == [
        {"type": "function_call", "name": "look", "namespace": None, "arguments": '{"a":1}', "input": None},
        {"type": "function_call", "name": "look", "namespace": "files", "arguments": "{}", "input": None},
        {"type": "custom_tool_call", "name": "patch", "namespace": None, "arguments": None, "input": "*** Begin"},
    ]


def test_what_was_asked_is_repeated() -> None:
    response = write(ANSWERS["text"], **ASKED_TOP)[-1]["response"]
    tools = [{**FUNCTION, "strict": None}, CUSTOM, SPACE]
    assert {key: response[key] for key in ASKED_TOP} == {**ASKED_TOP, "tools": tools}
    assert response["store"] is False
    assert response["usage"]["input_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 2}
    assert (response["created_at"], response["completed_at"]) == (50, 100)


@pytest.mark.parametrize(
    ("events", "status", "reason"),
    [
        (ANSWERS["text"], "completed", None),
        (ANSWERS["refusal"], "completed", None),
        (ANSWERS["length"], "incomplete", "max_output_tokens"),
        (ANSWERS["content filter"], "incomplete", "content_filter"),
        ([TextDelta("x"), Finished("refusal")], "incomplete", "content_filter"),
        ([TextDelta("x"), Finished("pause")], "completed", None),
    ],
)
def test_the_end_says_why(events: list[Event], status: str, reason: str | None) -> None:
    response = write(events)[-1]["response"]
    assert response["status"] == status
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})


def test_a_call_cut_short_is_never_told_as_done() -> None:
    told = write(ANSWERS["a call cut short"])
    assert "response.output_item.done" not in [event["type"] for event in told]
    assert told[-1]["response"]["output"][0]["status"] == "incomplete"


def test_a_whole_call_is_done_before_the_next_one_begins_so_that_a_client_may_start() -> None:
    writer = openai_responses.writer(asked())
    written = b"".join([writer.write(event) for event in [*called(0, "look", '{"a":1}'), ToolCallStarted(1, "b", "look")]])
    assert [event["type"] for event in parse(written)][-2:] == ["response.output_item.done", "response.output_item.added"]


@pytest.mark.parametrize("index", [0, 3])
def test_a_call_that_goes_on_behind_its_end_is_the_runtimes_fault(index: int) -> None:
    writer = openai_responses.writer(asked())
    for event in [*called(0, "look", "{}"), TextDelta("x")]:
        writer.write(event)
    assert writer.write(ToolCallDelta(0, " \n")) == b""
    with pytest.raises(FaultError) as told:
        writer.write(ToolCallDelta(index, "more"))
    assert told.value.fault.kind is Kind.INVALID_REPLY


def test_ids_of_calls_are_made_up_where_they_are_missing_or_taken() -> None:
    told = write(
        [ToolCallStarted(0, "", "a"), ToolCallStarted(1, "x", "b"), ToolCallStarted(2, "x", "c"), Finished("tool_calls")]
    )
    assert [item["call_id"] for item in told[-1]["response"]["output"]] == ["call_7_0", "x", "call_7_2"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.BROKEN_STREAM, "server_error"),
        (Kind.RATE_LIMITED, "rate_limit_exceeded"),
        (Kind.UPSTREAM_REJECTED, "invalid_prompt"),
        # What Codex and opencode report, instead of asking five times more.
        (Kind.LOOP_STOPPED, "invalid_prompt"),
        (Kind.BUDGET_SPENT, "invalid_prompt"),
        (Kind.UPSTREAM_AUTH, "invalid_prompt"),
        (Kind.OVERLOADED, "server_error"),
        (Kind.IDEMPOTENCY_UNDER_WAY, "server_error"),
    ],
)
@pytest.mark.parametrize("begun", [[], ANSWERS["thinking, text, calls"][:4]], ids=["at once", "amid"])
def test_a_fault_is_a_failed_response_and_an_error_event(kind: Kind, code: str, begun: list[Event]) -> None:
    writer = openai_responses.writer(asked())
    stream = b"".join([writer.write(event) for event in begun])
    stream += writer.fault(Fault(kind=kind, message="it went away", retry_after_s=2.0))
    assert writer.close() == writer.write(TextDelta("more")) == b""
    told = parse(stream)
    assert valid(told)[-2:] == ["failed", "error"]
    assert told[0]["type"] == "response.created"
    failed, error = told[-2]["response"], told[-1]
    assert failed["error"]["code"] == error["code"] == error["error"]["code"] == code
    assert ("try again in 2" in failed["error"]["message"]) == (kind is Kind.RATE_LIMITED)
    assert [item["type"] for item in failed["output"]] == (["reasoning"] if begun else [])


def test_an_overflow_is_told_by_the_code_clients_compact_on() -> None:
    fault = Fault(kind=Kind.CONTEXT_OVERFLOW, message="too long", details={"prompt_tokens": 9, "limit_tokens": 5})
    failed = parse(openai_responses.writer(asked()).fault(fault))[-2]["response"]
    assert failed["error"]["code"] == "context_length_exceeded"
    assert "maximum context length" in failed["error"]["message"]
