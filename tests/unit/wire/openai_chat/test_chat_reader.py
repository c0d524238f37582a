from collections.abc import Callable

import msgspec
import pytest

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
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
from freehold.wire import openai_chat

SAMPLES = ("parallel_tools", "llama_reasoning", "two_choices_logprobs", "careless_tools", "refusal")


def read(stream: bytes) -> list[Event]:
    reader = openai_chat.reader()
    return reader.feed(stream) + reader.end()


def line(chunk: object) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def delta(finish: str | None = None, **said: object) -> bytes:
    return line({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def fault_of(stream: bytes) -> Fault:
    with pytest.raises(FaultError) as caught:
        read(stream)
    return caught.value.fault


def test_interleaved_parallel_calls_and_usage(read_sample: Callable[[str], bytes]):
    events = read(read_sample("openai_chat/parallel_tools.sse"))
    assert events[0] == Started("chatcmpl-B7xkYz", "gpt-5.4-2026-01-01", 1763690000, None, "fp_44709d6fcb")
    assert events[1:] == [
        TextDelta("Let me look. "),
        ToolCallStarted(0, "call_a1", "read_file"),
        ToolCallDelta(0, '{"path":'),
        ToolCallStarted(1, "call_b2", "list_dir"),
        ToolCallDelta(1, '{"path":"."}'),
        ToolCallDelta(0, '"a.py"}'),
        Finished("tool_calls"),
        UsageReported(Usage(input_tokens=120, output_tokens=34, cached_tokens=64, reasoning_tokens=8)),
    ]


def test_reasoning_and_llama_timings(read_sample: Callable[[str], bytes]):
    assert read(read_sample("openai_chat/llama_reasoning.sse"))[1:] == [
        ReasoningDelta("The user greets. "),
        ReasoningDelta("Answer {shortly}."),
        TextDelta("Grüß "),
        TextDelta('dich, "Wörld" 🌍\n'),
        Finished("stop"),
        UsageReported(Usage(input_tokens=40, output_tokens=17, cached_tokens=32)),
    ]


def test_choices_logprobs_and_the_stop_string(read_sample: Callable[[str], bytes]):
    reply = fold(read(read_sample("openai_chat/two_choices_logprobs.sse")))
    first, second = reply.choices
    assert (first.finish, first.stop_sequence) == ("stop_sequence", "END")
    assert second.finish == "length"
    assert [msgspec.json.decode(raw)[0]["token"] for raw in first.logprobs] == ["Yes", "!"]


def test_a_careless_servers_calls_are_repaired(read_sample: Callable[[str], bytes]):
    reply = fold(read(read_sample("openai_chat/careless_tools.sse")))
    first, second = reply.choices[0].parts
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert (first.name, first.arguments) == ("add", '{"a":1,"b":[2.5]}')
    assert (second.name, second.arguments) == ("add", '{"a":3}')
    assert first.id
    assert second.id
    assert first.id != second.id
    assert reply.choices[0].finish == "tool_calls"
    assert read(read_sample("openai_chat/careless_tools.sse")) == read(read_sample("openai_chat/careless_tools.sse"))


THINKS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Two "}, {"type": "text", "text": "and two."}]}]


def test_content_that_is_a_list_is_thinking_and_text_as_mistral_means_it():
    texts = [{"type": "text", "text": "Fo"}, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "ur."}]
    stream = delta(content="") + delta(content=THINKS) + delta(content=texts) + delta(content="!") + delta("stop", content=[])
    assert read(stream)[1:-1] == [ReasoningDelta("Two and two."), TextDelta("Fo"), TextDelta("ur."), TextDelta("!")]
    message = {"role": "assistant", "content": [*THINKS, *texts, {"type": "thinking", "thinking": "more"}]}
    whole = msgspec.json.encode({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    expected = [ReasoningDelta("Two and two."), TextDelta("Fo"), TextDelta("ur."), ReasoningDelta("more")]
    assert openai_chat.reader().whole(whole)[1:-1] == expected
    tokens = {"content": [{"token": "Four", "logprob": -0.1}]}
    choice = {"index": 0, "delta": {"content": [*THINKS, *texts]}, "logprobs": tokens, "finish_reason": "stop"}
    thought, text = read(line({"choices": [choice]}))[1:-1]
    assert (thought, text.text, text.logprobs is not None) == (ReasoningDelta("Two and two."), "Four.", True)


def test_a_refusal_is_text_of_its_own_kind(read_sample: Callable[[str], bytes]):
    reply = fold(read(read_sample("openai_chat/refusal.sse")))
    assert reply.choices[0].refusal == "I can't help with that."
    assert reply.choices[0].parts == ()


def test_calls_that_all_claim_index_0_are_told_apart_by_their_ids():
    events = read(
        delta(tool_calls=[{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}])
        + delta(tool_calls=[{"index": 0, "id": "y", "function": {"name": "g", "arguments": '{"a"'}}])
        + delta("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}])
    )
    assert fold(events).choices[0].parts == (ToolCallPart("x", "f", "{}"), ToolCallPart("y", "g", '{"a":1}'))


def test_an_id_or_name_said_again_begins_nothing_new():
    piece = {"index": 0, "id": "x", "function": {"name": "f", "arguments": "{"}}
    again = {"index": 0, "id": "x", "function": {"name": "f", "arguments": "}"}}
    events = read(delta(tool_calls=[piece]) + delta("tool_calls", tool_calls=[again]))
    assert fold(events).choices[0].parts == (ToolCallPart("x", "f", "{}"),)


def test_the_same_id_for_two_calls_is_made_unique():
    calls = [{"index": at, "id": "same", "function": {"name": "f", "arguments": "{}"}} for at in (0, 1)]
    ids = [event.id for event in read(delta("tool_calls", tool_calls=calls)) if isinstance(event, ToolCallStarted)]
    assert ids[0] == "same"
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("tool_calls", "tool_calls"),
        ("eos_token", "stop"),
    ],
)
def test_finish_reasons_are_mapped(said: str, reason: str):
    assert read(delta(said, content="x"))[-1] == Finished(reason)  # type: ignore[arg-type]  # the table holds valid ones


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4},
            Usage(input_tokens=9, output_tokens=2, cached_tokens=4),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 16,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(input_tokens=9, output_tokens=7, reasoning_tokens=5),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 7,
                "total_tokens": 16,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(input_tokens=9, output_tokens=7, reasoning_tokens=5),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(input_tokens=9, output_tokens=1, cached_tokens=9),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None},
            Usage(input_tokens=9, output_tokens=0),
        ),
    ],
)
def test_usage_counts_nothing_twice(usage: dict[str, object], expected: Usage):
    assert read(delta("stop", content="x") + line({"choices": [], "usage": usage}))[-1] == UsageReported(expected)


def test_content_after_the_finish_is_ignored():
    events = read(delta("stop", content="a") + delta(content="b") + b"data: [DONE]\n\n" + delta(content="c"))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a"]


def test_nothing_behind_done_is_looked_at():
    assert read(delta("stop", content="a") + b"data: [DONE]\n\ndata: not json\n\n")[-1] == Finished("stop")


def test_a_last_event_without_its_blank_line_counts():
    assert read(delta(content="a") + delta("stop").rstrip())[-1] == Finished("stop")


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b": only a comment\n\n",
        delta(role="assistant", content=""),
        delta(content="a"),
        delta(content="a") + b"data: [DONE]\n\n",
        delta(content="a") + b'data: {"choices":[{"ind',
        delta(content="a") + delta("error"),
        line({"choices": [{"index": at, "delta": {"content": "x"}, "finish_reason": "stop" if at else None} for at in (0, 1)]}),
    ],
)
def test_a_stream_without_an_end_is_broken(stream: bytes):
    assert fault_of(stream).kind is Kind.BROKEN_STREAM


@pytest.mark.parametrize(
    "stream",
    [
        b"<html><body>bad gateway</body></html>",
        b'{"choices":[]}\n\n',
        b"data: not json\n\n",
        b"data: []\n\n",
        line({"choices": {}}),
        line({"choices": [{"index": "0", "delta": {}}]}),
        line({"choices": [{"delta": {"content": 5}}]}),
        line({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]}),
        line({"choices": [{"delta": {"tool_calls": "x"}}]}),
        line({"choices": [], "usage": {"prompt_tokens": "3"}}),
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":' + b"[" * 5000 + b"\n\n",
    ],
)
def test_what_is_no_chat_completion_is_an_invalid_reply(stream: bytes):
    assert fault_of(stream).kind is Kind.INVALID_REPLY


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (line({"error": {"message": "boom", "type": "server_error", "code": None}}), Kind.UPSTREAM_ERROR),
        (line({"error": {"message": "slow down", "code": 429}}), Kind.RATE_LIMITED),
        (line({"error": "it broke"}), Kind.UPSTREAM_ERROR),
        (line({"object": "error", "message": "maximum context length is 5", "code": 400}), Kind.CONTEXT_OVERFLOW),
        (b'event: error\ndata: {"message":"overloaded","type":"overloaded_error"}\n\n', Kind.OVERLOADED),
    ],
)
def test_an_error_object_inside_a_stream_is_raised(stream: bytes, kind: Kind):
    assert fault_of(stream).kind is kind


def test_a_null_error_is_none():
    chunk = {"error": None, "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
    assert read(line(chunk))[-1] == Finished("stop")


def test_events_before_a_fault_come_out_first():
    reader = openai_chat.reader()
    assert TextDelta("a") in reader.feed(delta(content="a") + line({"error": {"message": "boom"}}))
    with pytest.raises(FaultError):
        reader.feed(delta("stop"))
    with pytest.raises(FaultError):
        reader.end()


def test_a_whole_reply_folds_like_its_stream(read_sample: Callable[[str], bytes]):
    reply = fold(openai_chat.reader().whole(read_sample("openai_chat/whole_tools.json")))
    (choice,) = reply.choices
    assert (reply.id, reply.model, reply.created_s) == ("chatcmpl-B7xkYz", "gpt-5.4-2026-01-01", 1763690000)
    assert [type(part).__name__ for part in choice.parts] == ["ReasoningPart", "TextPart", "ToolCallPart", "ToolCallPart"]
    assert choice.finish == "tool_calls"
    assert b"\n" not in bytes(choice.logprobs[0])
    assert reply.usage == Usage(input_tokens=120, output_tokens=34, cached_tokens=64, cache_write_tokens=10, reasoning_tokens=8)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":[{"message":5}]}']
)
def test_a_whole_body_that_is_no_reply_is_an_invalid_reply(body: bytes):
    with pytest.raises(FaultError) as caught:
        openai_chat.reader().whole(body)
    assert caught.value.fault.kind is Kind.INVALID_REPLY


def test_a_whole_error_object_under_200_is_raised():
    with pytest.raises(FaultError) as caught:
        openai_chat.reader().whole(b'{"error":{"message":"no such model: x","code":404}}')
    assert caught.value.fault.kind is Kind.UPSTREAM_MODEL_MISSING


@pytest.mark.parametrize("name", SAMPLES)
def test_cut_at_any_byte_a_stream_gives_the_same_events(name: str, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_chat/{name}.sse")
    whole = read(stream)
    for cut in range(len(stream)):
        reader = openai_chat.reader()
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) + reader.end() == whole
    reader = openai_chat.reader()
    assert [event for byte in stream for event in reader.feed(bytes([byte]))] + reader.end() == whole
