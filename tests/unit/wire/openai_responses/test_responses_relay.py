"""A relayed Responses stream keeps its bytes, meters what it shows, and ends as the response it is."""

import json
from pathlib import Path

import msgspec
import pytest

from freehold.chat import Usage
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import openai_responses
from freehold.wire.codec import Asked, Sent

SAMPLES = Path(__file__).resolve().parents[3] / "wire_samples" / "openai_responses"
SAME = Asked(model="gpt-5-2026", stream_usage=True, reply_id="req_1", now_s=1)
ASKED = msgspec.structs.replace(SAME, model="auto")


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_bytes_are_kept_but_for_the_model_of_the_response(size: int) -> None:
    data = sample("reasoning_and_calls.sse")
    for asked, expected in ((SAME, data), (ASKED, data.replace(b'"model":"gpt-5-2026"', b'"model":"auto"'))):
        pipe = openai_responses.relay_pipe(asked)
        out = b"".join([pipe.feed(data[at : at + size]) for at in range(0, len(data), size)]) + pipe.end()
        assert out == expected
    assert pipe.tap.edits == {"reply_model"}
    assert pipe.tap.answered_model == "gpt-5-2026"
    assert pipe.tap.tool_calls == 2
    assert pipe.tap.finish == "tool_calls"
    assert pipe.tap.usage == Usage(
        input_tokens=120, output_tokens=30, cached_tokens=100, cache_write_tokens=10, reasoning_tokens=12
    )


def test_a_model_that_stands_elsewhere_is_left_alone() -> None:
    response = {"id": "r", "metadata": {"model": "their"}, "tools": [{"const": {"model": "their"}}], "model": "their"}
    data = b"data: " + json.dumps({"type": "response.created", "response": response}, separators=(",", ":")).encode() + b"\n\n"
    told = json.loads(openai_responses.relay_pipe(ASKED).feed(data).removeprefix(b"data: "))
    assert told["response"] == {**response, "model": "auto"}


def test_preambles_are_no_content_and_the_first_delta_is() -> None:
    pipe = openai_responses.relay_pipe(SAME)
    seen: list[tuple[str, bool]] = []
    for block in sample("reasoning_and_calls.sse").split(b"\n\n")[:6]:
        pipe.feed(block + b"\n\n")
        seen.append((block.partition(b"\n")[0].decode().removeprefix("event: response."), pipe.tap.content))
    assert seen == [
        ("created", False),
        ("in_progress", False),
        ("output_item.added", False),
        ("reasoning_summary_part.added", False),
        ("reasoning_summary_text.delta", True),
        ("reasoning_summary_text.done", True),
    ]


def test_a_failure_is_raised_as_its_fault_and_told_in_the_same_response() -> None:
    pipe = openai_responses.relay_pipe(ASKED)
    out = pipe.feed(sample("failed.sse"))
    assert out.count(b"response.output_text.delta") == 2
    with pytest.raises(FaultError) as told:
        pipe.feed(b"")
    last = pipe.fault(told.value.fault).decode().split("\n\n")
    failed = json.loads(last[0].partition("data: ")[2])
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == "resp_0a1"
    assert failed["response"]["model"] == "auto"
    assert failed["response"]["error"]["code"] == "rate_limit_exceeded"
    assert failed["sequence_number"] == 3, "in the place of the event that failed"
    assert "response.created" not in "".join(last), "that was told before"


def test_a_fault_before_anything_is_a_response_of_its_own() -> None:
    told = openai_responses.relay_pipe(ASKED).fault(Fault(kind=Kind.CHUNK_TIMEOUT, message="silent"))
    assert told.startswith(b"event: response.created\n")


def test_a_whole_reply_keeps_its_bytes_too() -> None:
    body = sample("whole_incomplete.json")
    assert openai_responses.relay_whole(body, SAME)[0] == body
    out, tap = openai_responses.relay_whole(body, ASKED)
    assert json.loads(out) == {**json.loads(body), "model": "auto"}
    assert (tap.finish, tap.tool_calls, tap.edits) == ("length", 1, {"reply_model"})


@pytest.mark.parametrize(("limit", "ceiling", "sent"), [(None, None, None), (None, 50, 50), (40, 50, 40), (60, 50, 50)])
def test_the_limit_is_clamped_in_place(limit: int | None, ceiling: int | None, sent: int | None) -> None:
    body = {"model": "m", "input": "hi", "unknown": {"kept": [1.0]}} | ({} if limit is None else {"max_output_tokens": limit})
    data = json.dumps(body).encode()
    out, edits = openai_responses.relay_request(openai_responses.peek(data), Sent(model="m", max_tokens_ceiling=ceiling))
    assert json.loads(out) == body | ({} if sent is None else {"max_output_tokens": sent})
    assert edits == (() if sent == limit else ("max_tokens_clamped",))
    assert edits or out == data


ENDED = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}\n\n'
)
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("came", "goes", "edits"),
    [
        (ENDED, ENDED, set()),
        (ENDED[:-1], ENDED, {"end_mark"}),
        (ENDED[:-2], ENDED, {"end_mark"}),
        (ENDED + DONE, ENDED, {"end_mark"}),
        (ENDED + ENDED, ENDED, {"end_mark"}),
        (ENDED + DONE[:9], ENDED, {"end_mark"}),
    ],
)
def test_the_last_event_is_whole_and_nothing_comes_behind_it(came: bytes, goes: bytes, edits: set[str]) -> None:
    pipe = openai_responses.relay_pipe(SAME)
    assert pipe.feed(came) + pipe.end() == goes
    assert pipe.tap.edits == edits


@pytest.mark.parametrize("cut", range(1, len(ENDED) - 3, 7))
def test_a_stream_that_breaks_before_the_end_of_its_last_event_is_broken(cut: int) -> None:
    pipe = openai_responses.relay_pipe(SAME)
    pipe.feed(ENDED[:cut])
    with pytest.raises(FaultError) as told:
        pipe.end()
    assert told.value.fault.kind is Kind.BROKEN_STREAM
