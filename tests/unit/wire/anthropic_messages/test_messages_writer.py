import json
from collections.abc import Callable
from typing import Any

import pytest

from freehold.chat import (
    Choice,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
)
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import anthropic_messages as codec
from freehold.wire.codec import Asked

Accumulate = Callable[[bytes], dict[str, Any]]

BEGUN = Started("msg_up", "upstream-model")


def written(asked: Asked, *events: Event) -> bytes:
    writer = codec.writer(asked)
    return b"".join([writer.write(event) for event in events]) + writer.close()


CONVERSATIONS: dict[str, list[Event]] = {
    "nothing": [],
    "text": [BEGUN, TextDelta("a"), TextDelta(""), TextDelta("b"), Finished("stop")],
    "no start": [TextDelta("a"), Finished("length")],
    "thinking before text": [BEGUN, ReasoningDelta("th"), ReasoningDelta("ink"), TextDelta("a"), Finished("stop")],
    "signed thinking": [
        BEGUN, ReasoningDelta("t"), ReasoningDelta("", signature="c2ln"), ReasoningDelta("u"), ReasoningDelta("", redacted="ZW5j"),
        ReasoningDelta("", signature="b25seQ=="), TextDelta("a"), Finished("stop"),
    ],
    "calls": [
        BEGUN, TextDelta("a"), ToolCallStarted(0, "x", "f"), ToolCallDelta(0, '{"a"'), ToolCallDelta(0, ":1}"),
        ToolCallStarted(1, "y", "g"), ToolCallDelta(1, "{}"), Finished("tool_calls"),
    ],
    "mixed calls": [
        BEGUN, ToolCallStarted(0, "x", "f"), ToolCallStarted(1, "y", "g"), ToolCallDelta(1, '{"b"'), ToolCallDelta(0, '{"a":'),
        ToolCallDelta(1, ":2}"), ToolCallDelta(0, "1}"), ToolCallDelta(1, " "), Finished("tool_calls"),
    ],
    "calls without arguments, and text between": [
        BEGUN, ToolCallStarted(0, "", "f"), TextDelta("so"), ToolCallStarted(1, "", "g"), TextDelta("far"), Finished("tool_calls"),
    ],
    "one id for all": [
        BEGUN, ToolCallStarted(0, "0", "f"), ToolCallDelta(0, "{}"), ToolCallStarted(1, "0", "g"), ToolCallDelta(1, "{}"),
        Finished("tool_calls"),
    ],
    "refusal": [BEGUN, TextDelta("I will not.", refusal=True), Finished("stop")],
    "second choice": [BEGUN, TextDelta("a"), TextDelta("zzz", 1), Finished("length", None, 1), Finished("stop")],
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_sdk_puts_the_stream_together_as_the_whole_reply(name: str, asked: Asked, accumulate: Accumulate) -> None:
    events = [
        *CONVERSATIONS[name],
        UsageReported(Usage(input_tokens=50, output_tokens=7, cached_tokens=20, cache_write_tokens=10)),
    ]
    whole = json.loads(codec.write_whole(fold(events), asked))
    streamed = accumulate(written(asked, *events))
    assert streamed == {key: value for key, value in whole.items() if value is not None}
    assert streamed["model"] == "claude-asked"


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_blocks_come_one_at_a_time(name: str, asked: Asked, parse_stream: Callable[[bytes], list[Any]]) -> None:
    events = parse_stream(written(asked, *CONVERSATIONS[name]))
    assert [events[0].type, events[-2].type, events[-1].type] == ["message_start", "message_delta", "message_stop"]
    opened: list[int] = []
    is_open = False
    for event in events[1:-2]:
        if event.type == "content_block_start":
            assert not is_open
            assert event.index == len(opened)
            opened.append(event.index)
            is_open = True
        else:
            assert is_open
            assert event.index == opened[-1]
            is_open = event.type != "content_block_stop"
    assert not is_open


def test_the_usual_calls_are_not_held_back(asked: Asked) -> None:
    writer = codec.writer(asked)
    for event in CONVERSATIONS["calls"][:5]:
        assert writer.write(event)
    assert b'"index":2' in writer.write(ToolCallStarted(1, "y", "g"))


def test_ids_are_kept_and_made_only_where_needed(asked: Asked, accumulate: Accumulate) -> None:
    kept = accumulate(written(asked, *CONVERSATIONS["calls"]))["content"]
    assert [block["id"] for block in kept[1:]] == ["x", "y"]
    made = [block["id"] for block in accumulate(written(asked, *CONVERSATIONS["one id for all"]))["content"]]
    assert made == ["0", "toolu_msg_ours_0"]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"), ("length", "max_tokens"), ("stop_sequence", "stop_sequence"), ("tool_calls", "end_turn"),
        ("content_filter", "refusal"), ("refusal", "refusal"), ("pause", "pause_turn"),
    ],
)  # fmt: skip
def test_stop_reasons(finish: FinishReason, reason: str, asked: Asked, accumulate: Accumulate) -> None:
    message = accumulate(written(asked, BEGUN, TextDelta("a"), Finished(finish, "END" if finish == "stop_sequence" else None)))
    assert message["stop_reason"] == reason
    assert message.get("stop_sequence") == ("END" if finish == "stop_sequence" else None)


def test_a_call_stops_for_its_tool_even_where_the_upstream_says_stop(asked: Asked, accumulate: Accumulate) -> None:
    call = (ToolCallStarted(0, "x", "f"), ToolCallDelta(0, "{}"))
    assert accumulate(written(asked, BEGUN, *call, Finished("stop")))["stop_reason"] == "tool_use"
    assert accumulate(written(asked, BEGUN, *call, Finished("length")))["stop_reason"] == "max_tokens"


def test_usage_is_stated_early_and_again_when_it_is_known(asked: Asked, parse_stream: Callable[[bytes], list[Any]]) -> None:
    late = UsageReported(Usage(input_tokens=30, output_tokens=4, cached_tokens=10, reasoning_tokens=3))
    events = parse_stream(written(asked, BEGUN, TextDelta("a"), Finished("stop"), late))
    assert events[0].message.usage.input_tokens == 21
    usage = events[-2].usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (20, 10, 4)
    assert usage.output_tokens_details.thinking_tokens == 3


def test_usage_nobody_reports_is_estimated_not_zero(asked: Asked, accumulate: Accumulate) -> None:
    events = [BEGUN, TextDelta("x" * 100), TextDelta("y" * 100), ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{}")]
    usage = accumulate(written(asked, *events, Finished("stop")))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (21, 51)
    assert json.loads(codec.write_whole(fold(events), asked))["usage"] == usage


def test_after_a_fault_nothing_follows(asked: Asked) -> None:
    writer = codec.writer(asked)
    writer.write(TextDelta("a"))
    error = writer.fault(Fault(kind=Kind.BROKEN_STREAM, message="cut"))
    assert error.startswith(b"event: error\ndata: ")
    assert json.loads(error[len(b"event: error\ndata: ") :]) == {
        "type": "error",
        "error": {"type": "api_error", "message": "cut"},
    }
    assert writer.write(TextDelta("b")) + writer.write(ToolCallStarted(0, "a", "f")) + writer.close() == b""


@pytest.mark.parametrize(
    "events",
    [
        [ToolCallDelta(0, "{}")],
        [ToolCallStarted(0, "a", "f"), ToolCallDelta(1, "{}")],
        [ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{}"), TextDelta("x"), ToolCallDelta(0, '{"late":1}')],
    ],
)
def test_calls_that_make_no_sense_are_the_upstreams_fault(events: list[Event], asked: Asked) -> None:
    writer = codec.writer(asked)
    with pytest.raises(FaultError) as caught:
        for event in events:
            writer.write(event)
    assert caught.value.fault.kind is Kind.INVALID_REPLY


def test_broken_arguments_are_never_passed_on_as_none(asked: Asked) -> None:
    call = ToolCallPart("a", "f", '{"path": "/us')
    with pytest.raises(FaultError) as caught:
        codec.write_whole(Reply(choices=(Choice((call,), "tool_calls"),)), asked)
    assert caught.value.fault.kind is Kind.INVALID_REPLY
    cut = json.loads(codec.write_whole(Reply(choices=(Choice((call,), "length"),)), asked))
    assert (cut["stop_reason"], cut["content"][0]["input"]) == ("max_tokens", {})
