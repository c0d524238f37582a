from collections.abc import Callable

import pytest

from freehold.chat import (
    Event,
    Finished,
    ReasoningPart,
    Reply,
    Started,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageReported,
    fold,
)
from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages as codec

Sample = Callable[[str], bytes]


def read(stream: bytes) -> list[Event]:
    reader = codec.reader()
    return reader.feed(stream) + reader.end()


def frames(*events: str) -> bytes:
    return "".join(f"data: {event}\n\n" for event in events).encode()


def test_text_with_cached_input(sample: Sample) -> None:
    usage = Usage(input_tokens=142, output_tokens=1, cached_tokens=100, cache_write_tokens=30)
    assert read(sample("text.sse")) == [
        Started("msg_01Aa", "claude-sonnet-4-5-20250929", None, usage),
        TextDelta("Grüße, "),
        TextDelta("world ☃"),
        UsageReported(Usage(input_tokens=142, output_tokens=9, cached_tokens=100, cache_write_tokens=30)),
        Finished("stop_sequence", "END"),
    ]


def test_thinking_and_parallel_calls(sample: Sample) -> None:
    reply = fold(read(sample("thinking_and_tools.sse")))
    assert reply.choices[0].parts == (
        ReasoningPart("Two files to read.", "c2lnbmVk"),
        ReasoningPart("", None, "ZW5jcnlwdGVk"),
        ToolCallPart("toolu_01", "read_file", '{"path": "a.py"}'),
        ToolCallPart("toolu_02", "now", ""),
    )
    assert reply.usage == Usage(input_tokens=40, output_tokens=57, reasoning_tokens=11)
    assert reply.choices[0].finish == "tool_calls"


def test_a_whole_reply_says_what_its_stream_says(sample: Sample) -> None:
    def normal(reply: Reply) -> Reply:
        choice = reply.choices[0]
        parts = tuple(
            ToolCallPart(part.id, part.name, part.arguments or "{}") if isinstance(part, ToolCallPart) else part
            for part in choice.parts
        )
        return Reply(choices=(type(choice)(parts, choice.finish),), usage=reply.usage)

    streamed = fold(read(sample("thinking_and_tools.sse")))
    assert normal(fold(codec.reader().whole(sample("whole.json")))) == normal(streamed)


def test_what_the_vendor_runs_itself_is_passed_over(sample: Sample) -> None:
    choice = fold(read(sample("vendor_tools.sse"))).choices[0]
    assert (choice.parts, choice.finish) == ((TextPart("Found."),), "pause")


def test_servers_that_leave_things_out_are_understood(sample: Sample) -> None:
    reply = fold(read(sample("self_hosted.sse")))
    assert reply.choices[0].parts == (TextPart("Look: here."), ToolCallPart("0", "now", '{"zone":"UTC"}'))
    assert reply.id is None
    assert reply.usage == Usage(input_tokens=5, output_tokens=6)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("refusal", "refusal"),
        ("tool_use", "tool_calls"), ("stop_sequence", "stop_sequence"), ("pause_turn", "pause"), ("of_next_year", "stop"),
    ],
)  # fmt: skip
def test_stop_reasons(reason: str, finish: str) -> None:
    events = read(frames(f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}'))
    assert [event.reason for event in events if isinstance(event, Finished)] == [finish]


def test_an_error_event_is_the_fault_it_means_behind_the_events_before_it(sample: Sample) -> None:
    reader = codec.reader()
    assert reader.feed(sample("overloaded.sse"))[-1] == TextDelta("Half an")
    for proceed in (lambda: reader.feed(b""), reader.end):
        with pytest.raises(FaultError) as caught:
            proceed()
        assert caught.value.fault.kind is Kind.OVERLOADED


@pytest.mark.parametrize("at", range(20, 1400, 97))
def test_a_cut_stream_is_broken(sample: Sample, at: int) -> None:
    stream = sample("text.sse")
    cut = stream[: min(at, stream.index(b"event: message_delta") + 30)]
    with pytest.raises(FaultError) as caught:
        read(cut)
    assert caught.value.fault.kind is Kind.BROKEN_STREAM


def test_message_stop_alone_is_a_proper_end() -> None:
    assert read(frames('{"type":"message_stop"}')) == [Finished("stop")]


def test_nothing_counts_behind_the_end() -> None:
    end = '{"type":"message_stop"}'
    late = '{"type":"content_block_delta","delta":{"type":"text_delta","text":"late"}}'
    assert read(frames(end, late)) == [Finished("stop")]


@pytest.mark.parametrize(
    "event",
    [
        "<html>",
        "[]",
        "{}",
        '{"type":3}',
        '{"type":"content_block_delta"}',
        '{"type":"content_block_start"}',
        '{"type":"message_start"}',
        '{"type":"content_block_start","content_block":{"type":"tool_use","id":"a"}}',
        '{"type":"content_block_delta","delta":{"type":"text_delta","text":null}}',
        '{"type":"message_delta","delta":{},"usage":{"output_tokens":"many"}}',
        '{"type":"content_block_start","content_block":{"type":"text","text":"\\ud800"}}',
    ],
)
def test_what_is_no_stream_of_this_format_is_refused(event: str) -> None:
    with pytest.raises(FaultError) as caught:
        codec.reader().feed(frames(event))
    assert caught.value.fault.kind is Kind.INVALID_REPLY


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", Kind.INVALID_REPLY),
        (b'{"type":"completion"}', Kind.INVALID_REPLY),
        (b'{"type":"message","content":"text"}', Kind.INVALID_REPLY),
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}', Kind.RATE_LIMITED),
        (b"[" * 100_000, Kind.INVALID_REPLY),
    ],
)
def test_a_bad_whole_reply_is_a_fault(body: bytes, kind: Kind) -> None:
    with pytest.raises(FaultError) as caught:
        codec.reader().whole(body)
    assert caught.value.fault.kind is kind
