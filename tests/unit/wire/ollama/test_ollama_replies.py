"""Replies and errors of Ollama's: what is read, repaired and refused, and what clients are told."""

import json
from typing import Any

import msgspec
import pytest

from freehold.chat import (
    Choice,
    Event,
    Finished,
    FinishReason,
    Reply,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    fold,
)
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import ollama
from freehold.wire.codec import Asked
from freehold.wire.ndjson import LineSplitter
from freehold.wire.ollama import generate
from support.ollama_schema import fits

ASKED = Asked(model="asked", stream_usage=True, reply_id="r", now_s=0)


def line(**fields: Any) -> bytes:
    return json.dumps({"model": "up", "created_at": "2026-01-01T00:00:00.123456789Z", **fields}).encode() + b"\n"


def said(content: str = "", **more: Any) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


DONE = line(message={"role": "assistant", "content": ""}, done=True, done_reason="stop", prompt_eval_count=5, eval_count=2)


def test_a_stream_is_read_with_calls_that_have_no_ids() -> None:
    call = {"function": {"name": "see", "arguments": {"a": [1]}}}
    careless = {"function": {"name": "see", "arguments": '{"b":2}'}}
    data = said(thinking="hm") + said("so") + said(tool_calls=[call, careless]) + DONE
    reader = ollama.reader()
    reply = fold(reader.feed(data) + reader.end())
    assert (reply.model, reply.created_s) == ("up", 1767225600)
    thought, text, one, other = reply.choices[0].parts
    assert (thought.text, text.text) == ("hm", "so")  # type: ignore[union-attr]
    assert json.loads(one.arguments) == {"a": [1]}  # type: ignore[union-attr]
    assert json.loads(other.arguments) == {"b": 2}  # type: ignore[union-attr]
    assert one.id != other.id  # type: ignore[union-attr]
    assert reply.choices[0].finish == "tool_calls"
    assert reply.usage == Usage(input_tokens=5, output_tokens=2)
    again = ollama.reader()
    assert fold(again.feed(data) + again.end()) == reply, "the ids are made from the reply's own bytes"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<html>\n", Kind.INVALID_REPLY),
        (b'{"model":5}\n', Kind.INVALID_REPLY),
        (b'{"model":"m","done":false}\n', Kind.INVALID_REPLY),
        (b'{"error":"model runner has unexpectedly stopped"}\n', Kind.UPSTREAM_ERROR),
        (b'{"error":"the prompt is longer than the context length currently available"}\n', Kind.CONTEXT_OVERFLOW),
    ],
)
def test_a_stream_that_goes_wrong_is_told_by_its_fault(data: bytes, kind: Kind) -> None:
    for one in (ollama.reader(), ollama.relay_pipe(ASKED)):
        assert one.feed(said("a"))
        with pytest.raises(FaultError) as caught:
            one.feed(data)
        assert caught.value.fault.kind is kind


def test_a_call_without_a_name_cannot_be_translated() -> None:
    with pytest.raises(FaultError, match="without naming it") as caught:
        ollama.reader().whole(line(message={"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}, done=True))
    assert caught.value.fault.kind is Kind.INVALID_REPLY


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, "model 'llama3.2:1b' not found", Kind.UPSTREAM_MODEL_MISSING),
        (400, '"tiny" does not support tools', Kind.UPSTREAM_REJECTED),
        (400, "the input length exceeds the context length", Kind.CONTEXT_OVERFLOW),
        (401, "unauthorized", Kind.UPSTREAM_AUTH),
        (429, "too many requests", Kind.RATE_LIMITED),
        (500, "model requires more system memory (9 GiB) than is available (2 GiB)", Kind.UPSTREAM_ERROR),
        (503, "server busy, please try again. maximum pending requests exceeded", Kind.OVERLOADED),
    ],
)
def test_errors_of_a_runtime_are_what_they_mean(status: int, error: str, kind: Kind) -> None:
    assert ollama.read_fault(status, {}, json.dumps({"error": error}).encode()).kind is kind


def test_the_engines_own_error_inside_ollamas_is_read() -> None:
    inner = {
        "error": {
            "code": 400,
            "message": "request (8889 tokens) exceeds the available context size (4096 tokens)",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 8889,
            "n_ctx": 4096,
        }
    }
    fault = ollama.read_fault(400, {}, json.dumps({"error": json.dumps(inner)}).encode())
    assert fault.kind is Kind.CONTEXT_OVERFLOW
    assert (fault.details["prompt_tokens"], fault.details["limit_tokens"]) == (8889, 4096)


def test_faults_are_spelled_as_a_text_with_a_status() -> None:
    status, headers, body = ollama.write_fault(Fault(kind=Kind.RATE_LIMITED, message="slow down", retry_after_s=1.2), "req_1")
    assert (status, headers["retry-after"], json.loads(body)) == (429, "2", {"error": "slow down"})
    overflow = Fault(kind=Kind.CONTEXT_OVERFLOW, message="too long", details={"limit_tokens": 64})
    assert (
        json.loads(ollama.write_fault(overflow, "r")[2])["error"]
        == "too long (the input exceeds the context length of 64 tokens)"
    )
    assert json.loads(ollama.writer(ASKED).fault(overflow)) == json.loads(ollama.write_fault(overflow, "r")[2])


def test_calls_go_out_whole_and_arguments_must_be_an_object() -> None:
    writer = ollama.writer(ASKED)
    events: list[Event] = [
        ToolCallStarted(0, "c", "see"),
        ToolCallStarted(1, "d", "hear"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
    ]
    assert b"".join(map(writer.write, events)) == b""
    out = json.loads(writer.write(Finished("tool_calls")))
    fits("ChatStreamEvent", out)
    assert [call["function"] for call in out["message"]["tool_calls"]] == [
        {"name": "see", "arguments": {"a": 1}},
        {"name": "hear", "arguments": {}},
    ]
    assert json.loads(writer.close())["done_reason"] == "stop"
    for finish, kind in (("tool_calls", Kind.INVALID_REPLY), ("length", None)):
        broken = ollama.writer(ASKED)
        broken.write(ToolCallStarted(0, "c", "see"))
        broken.write(ToolCallDelta(0, '{"a'))
        reason: FinishReason = "length" if finish == "length" else "tool_calls"
        if kind is None:
            assert json.loads(broken.write(Finished(reason)))["message"]["tool_calls"][0]["function"]["arguments"] == {}
        else:
            with pytest.raises(FaultError) as caught:
                broken.write(Finished(reason))
            assert caught.value.fault.kind is kind


def test_durations_are_measured_or_left_out() -> None:
    times = iter([3_000, 10_000])
    measured = ollama.writer(msgspec.structs.replace(ASKED, spent_ns=lambda: next(times)))
    measured.write(TextDelta("a"))
    last = json.loads(measured.close())
    assert (last["total_duration"], last["prompt_eval_duration"], last["eval_duration"]) == (10_000, 3_000, 7_000)
    assert not [key for key in json.loads(ollama.writer(ASKED).close()) if key.endswith("duration")]


def test_log_probabilities_keep_what_is_known() -> None:
    token = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0}]}
    reader = ollama.reader()
    events = reader.feed(line(message={"role": "assistant", "content": "a"}, done=False, logprobs=[token]) + DONE) + reader.end()
    [tokens] = fold(events).choices[0].logprobs
    assert json.loads(bytes(tokens)) == [
        {"bytes": None, **token, "top_logprobs": [{"bytes": None, "token": "b", "logprob": -1.0}]}
    ]
    written = json.loads(ollama.write_whole(fold(events), ASKED))
    fits("ChatResponse", written)
    assert written["logprobs"] == [token]


def test_whole_replies_fit_the_schema() -> None:
    reply = Reply(choices=(Choice((TextPart("hi"),), "length"),), usage=Usage(input_tokens=3, output_tokens=1))
    chat, text = json.loads(ollama.write_whole(reply, ASKED)), json.loads(generate.write_whole(reply, ASKED))
    fits("ChatResponse", chat)
    fits("GenerateResponse", text)
    assert (chat["message"]["content"], text["response"], text["done_reason"], text["eval_count"]) == ("hi", "hi", "length", 1)
    for wrong in (b"[]", b"{}", said("a")):
        with pytest.raises(FaultError):
            ollama.reader().whole(wrong)
        with pytest.raises(FaultError):
            ollama.relay_whole(wrong, ASKED)


def test_a_relay_renames_every_line_wherever_the_model_stands() -> None:
    first, odd = (
        said("a"),
        json.dumps({"message": {"role": "assistant", "content": "b"}, "model": "up", "done": False}).encode() + b"\n",
    )
    pipe = ollama.relay_pipe(ASKED)
    out = pipe.feed(first + odd + DONE) + pipe.end()
    assert {json.loads(one)["model"] for one in out.splitlines()} == {"asked"}
    assert out.startswith(first.replace(b'"up"', b'"asked"').replace(b'{"model": ', b'{"model":', 1)[:16])
    assert (pipe.tap.answered_model, pipe.tap.finish, pipe.tap.usage) == ("up", "stop", Usage(input_tokens=5, output_tokens=2))


def test_an_endless_line_is_refused() -> None:
    splitter = LineSplitter(longest_bytes=10)
    assert [one.data for one in splitter.feed(b"{}\n12345678901")] == [b"{}"]
    with pytest.raises(FaultError, match="longer than 10 bytes"):
        splitter.feed(b"")


@pytest.mark.parametrize(
    ("came", "goes", "edits"),
    [
        (DONE, DONE, set()),
        (DONE.rstrip(b"\n"), DONE, {"end_mark"}),
        (DONE + DONE, DONE, {"end_mark"}),
        (DONE + DONE[:9], DONE, {"end_mark"}),
        (DONE + b"\n", DONE + b"\n", set()),
    ],
)
def test_the_last_line_is_whole_and_nothing_comes_behind_it(came: bytes, goes: bytes, edits: set[str]) -> None:
    pipe = ollama.relay_pipe(msgspec.structs.replace(ASKED, model="up"))
    assert pipe.feed(came) + pipe.end() == goes
    assert pipe.tap.edits == edits


@pytest.mark.parametrize("cut", range(1, len(DONE) - 2, 7))
def test_a_stream_that_breaks_before_the_end_of_its_last_line_is_broken(cut: int) -> None:
    pipe = ollama.relay_pipe(msgspec.structs.replace(ASKED, model="up"))
    pipe.feed(DONE[:cut])
    with pytest.raises(FaultError) as told:
        pipe.end()
    assert told.value.fault.kind is Kind.BROKEN_STREAM
