"""What an upstream's Responses reply becomes: samples in the published shape, careless ones, hostile ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from freehold.chat import Event, Finished, ReasoningPart, Reply, TextPart, ToolCallPart, Usage, fold
from freehold.fault import FaultError, Kind
from freehold.wire import openai_responses
from freehold.wire.codec import Asked

SAMPLES = Path(__file__).resolve().parents[3] / "wire_samples" / "openai_responses"
ASKED = Asked(model="asked", stream_usage=True, reply_id="req_1", now_s=1)
USAGE = Usage(input_tokens=120, output_tokens=30, cached_tokens=100, cache_write_tokens=10, reasoning_tokens=12)


def read(data: bytes, size: int | None = None) -> list[Event]:
    reader = openai_responses.reader()
    events: list[Event] = []
    for at in range(0, len(data), size or len(data)):
        events += reader.feed(data[at : at + (size or len(data))])
    return events + reader.end()


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def test_thinking_text_calls_and_usage_are_read() -> None:
    reply = fold(read(sample("reasoning_and_calls.sse")))
    assert reply == Reply(
        id="resp_0a1",
        model="gpt-5-2026",
        created_s=1767225600,
        choices=(
            type(reply.choices[0])(
                parts=(
                    ReasoningPart("First.\n\nSecond.", "openai_responses:gAAAAX"),
                    TextPart("I look."),
                    ToolCallPart("call_1", "look", '{"at":1}'),
                    ToolCallPart("call_2", "patch", '{"input":"say \\"hi\\"\\n"}'),
                ),
                finish="tool_calls",
            ),
        ),
        usage=USAGE,
    )


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.sse") if path.name != "failed.sse"))
def test_bytes_cut_anywhere_give_the_same_events(name: str) -> None:
    data = sample(name)
    expected = read(data)
    for size in (1, 2, 3, 7, 64, 1000):
        assert read(data, size) == expected
    assert read(data.replace(b"\n", b"\r\n")) == expected


def test_a_server_that_tells_only_finished_items_is_understood() -> None:
    reply = fold(read(sample("done_items_only.sse")))
    assert reply.choices[0].parts == (TextPart("Hello"), ToolCallPart("call_9", "look", "{}"))
    assert reply.choices[0].finish == "tool_calls"


def test_a_server_that_tells_only_the_end_is_understood_as_its_whole_reply_is() -> None:
    reply = fold(read(sample("end_only.sse")))
    assert [type(part) for part in reply.choices[0].parts] == [ReasoningPart, TextPart, ToolCallPart]
    whole = json.loads(sample("whole_incomplete.json"))
    del whole["incomplete_details"]
    events = openai_responses.reader().whole(json.dumps({**whole, "status": "completed"}).encode())
    assert fold(events) == reply


def test_a_reply_cut_at_its_length_says_so() -> None:
    events = openai_responses.reader().whole(sample("whole_incomplete.json"))
    assert events[-1] == Finished("length")
    assert fold(events).usage == USAGE


def test_a_refusal_is_read_and_the_vendors_own_tools_are_left_out() -> None:
    reply = fold(read(sample("vendor_tools_refusal.sse")))
    assert reply.choices[0].parts == ()
    assert reply.choices[0].refusal == "I won't."
    assert reply.choices[0].finish == "refusal"


def test_a_failed_response_is_the_fault_it_means_behind_the_events_before_it() -> None:
    reader = openai_responses.reader()
    assert fold(reader.feed(sample("failed.sse"))).choices[0].parts == (TextPart("Hel"),)
    with pytest.raises(FaultError) as told:
        reader.end()
    assert told.value.fault.kind is Kind.RATE_LIMITED


DELTA = event("response.output_text.delta", output_index=0, content_index=0, delta="Hi")
HOSTILE: dict[str, tuple[bytes, Kind]] = {
    "no json": (b"data: nonsense\n\n", Kind.INVALID_REPLY),
    "html": (b"<html>\n\n", Kind.INVALID_REPLY),
    "wrong types": (event("response.output_text.delta", delta=[1]), Kind.INVALID_REPLY),
    "no utf-8": (b'data: {"type":"x","delta":"\xff"}\n\n', Kind.INVALID_REPLY),
    "no type": (b"data: {}\n\n", Kind.INVALID_REPLY),
    "an end without a response": (event("response.completed"), Kind.INVALID_REPLY),
    "cancelled": (event("response.cancelled", response={}), Kind.BROKEN_STREAM),
    "a flat error": (event("error", code="rate_limit_exceeded", message="m", param=None), Kind.RATE_LIMITED),
    "a nested error": (event("error", error={"code": "context_length_exceeded", "message": "m"}), Kind.CONTEXT_OVERFLOW),
    "another format's error": (b'data: {"error":{"message":"m","type":"server_error"}}\n\n', Kind.UPSTREAM_ERROR),
    "only comments": (b": ping\n\n: ping\n\n", Kind.BROKEN_STREAM),
    "no end": (DELTA, Kind.BROKEN_STREAM),
    "only an end mark": (DELTA + b"data: [DONE]\n\n", Kind.BROKEN_STREAM),
    "thousands of calls": (
        b"".join(
            event("response.output_item.added", output_index=at, item={"type": "function_call", "name": "f", "call_id": str(at)})
            for at in range(1100)
        ),
        Kind.INVALID_REPLY,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_whole_stream_is_a_typed_fault(name: str) -> None:
    stream, kind = HOSTILE[name]
    for ends in (openai_responses.reader(), openai_responses.relay_pipe(ASKED)):
        with pytest.raises(FaultError) as told:
            ends.feed(stream)
            ends.end()
        assert told.value.fault.kind is kind


def test_a_call_without_a_name_cannot_be_translated() -> None:
    nameless = event("response.output_item.done", item={"type": "function_call", "arguments": "{}"})
    with pytest.raises(FaultError, match="naming"):
        openai_responses.reader().feed(nameless)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"nonsense", Kind.INVALID_REPLY),
        (b"{}", Kind.INVALID_REPLY),
        (b'{"output":{}}', Kind.INVALID_REPLY),
        (b'{"id":"r","status":"failed","output":[],"error":{"code":"server_error","message":"m"}}', Kind.UPSTREAM_ERROR),
        (b'{"error":{"message":"m","code":"model_not_found"}}', Kind.UPSTREAM_MODEL_MISSING),
        (b'{"id":"r","status":"cancelled","output":[]}', Kind.BROKEN_STREAM),
    ],
)
def test_what_is_no_whole_response_is_a_typed_fault(body: bytes, kind: Kind) -> None:
    with pytest.raises(FaultError) as told:
        openai_responses.reader().whole(body)
    assert told.value.fault.kind is kind
    with pytest.raises(FaultError) as told:
        openai_responses.relay_whole(body, ASKED)
    assert told.value.fault.kind is kind


def test_an_answer_still_worked_on_is_no_answer_to_another_format() -> None:
    body = b'{"id":"r","status":"queued","model":"m","output":[]}'
    with pytest.raises(FaultError, match="queued"):
        openai_responses.reader().whole(body)
    passed, tap = openai_responses.relay_whole(body, ASKED)
    assert (passed, tap.finish) == (body.replace(b'"m"', b'"asked"'), None)


def test_what_comes_behind_the_end_is_not_read() -> None:
    stream = DELTA + event("response.completed", response={"id": "r", "status": "completed"}) + DELTA + b"data: nonsense\n\n"
    assert fold(read(stream)).choices[0].parts == (TextPart("Hi"),)


def test_events_without_any_index_are_of_the_newest_item() -> None:
    stream = (
        event("response.output_item.added", item={"type": "function_call", "name": "f", "call_id": "a", "id": "i"})
        + event("response.function_call_arguments.delta", delta="{}")
        + event("response.output_item.added", item={"type": "function_call", "name": "g", "call_id": "b", "id": "j"})
        + event("response.function_call_arguments.delta", item_id="i", delta=" ")
        + event("response.function_call_arguments.delta", delta="[]")
        + event("response.completed", response={"id": "r"})
    )
    assert fold(read(stream)).choices[0].parts == (ToolCallPart("a", "f", "{} "), ToolCallPart("b", "g", "[]"))


def test_text_of_several_parts_and_of_servers_without_indexes_is_said_once() -> None:
    def part(text: str, **place: int) -> bytes:
        return event("response.output_text.delta", delta=text, **place)

    content = [{"type": "output_text", "text": "ab"}, {"type": "output_text", "text": "cd"}]
    done = event("response.output_item.done", output_index=0, item={"type": "message", "content": content})
    end = event("response.completed", response={"id": "r"})
    parts = [part(text, output_index=0, content_index=at) for text, at in (("a", 0), ("b", 0), ("c", 1), ("d", 1))]
    assert fold(read(b"".join(parts) + done + end)).choices[0].parts == (TextPart("abcd"),)
    assert fold(read(part("a") + part("b") + end)).choices[0].parts == (TextPart("ab"),)
