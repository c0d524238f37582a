import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages as codec
from freehold.wire.codec import Asked, Sent

Sample = Callable[[str], bytes]
ODD = b'{ "model":"m","max_tokens":5000,  "new_field":{"a" : 1.0}, "messages":[{"role":"user","content":"hi"}]}'


def asked_for(model: str) -> Asked:
    return Asked(model=model, stream_usage=True, reply_id="msg_ours", now_s=1)


def test_a_request_without_edits_is_the_very_same_bytes() -> None:
    assert codec.relay_request(codec.peek(ODD), Sent(model="m", max_tokens_ceiling=5000)) == (ODD, ())


@pytest.mark.parametrize(
    ("sent", "edits", "changed"),
    [
        (Sent(model="n"), ("model",), {"model": "n"}),
        (Sent(model="m", max_tokens_ceiling=9), ("max_tokens_clamped",), {"max_tokens": 9}),
        (Sent(model="m", extra={"seed": msgspec.Raw(b"7")}), ("engine_options",), {"seed": 7}),
        (Sent(model="n", max_tokens_ceiling=9), ("model", "max_tokens_clamped"), {"model": "n", "max_tokens": 9}),
    ],
)
def test_only_the_named_edits_are_made(sent: Sent, edits: tuple[str, ...], changed: dict[str, Any]) -> None:
    body, made = codec.relay_request(codec.peek(ODD), sent)
    assert made == edits
    assert json.loads(body) == {**json.loads(ODD), **changed}
    assert b'{"a" : 1.0}' in body


@pytest.mark.parametrize(
    ("ceiling", "thinking"),
    [
        (4000, {"type": "enabled", "budget_tokens": 3999, "display": "omitted"}),
        (1000, {"type": "disabled"}),
        (4900, {"type": "enabled", "budget_tokens": 4800, "display": "omitted"}),
    ],
)
def test_a_thinking_budget_stays_below_a_clamped_length(ceiling: int, thinking: dict[str, Any]) -> None:
    asks = {"type": "enabled", "budget_tokens": 4800, "display": "omitted"}
    body = json.dumps({**json.loads(ODD), "thinking": asks}).encode()
    assert (
        json.loads(codec.relay_request(codec.peek(body), Sent(model="m", max_tokens_ceiling=ceiling))[0])["thinking"] == thinking
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("text.sse", "claude-sonnet-4-5-20250929"),
        ("thinking_and_tools.sse", "claude-opus-4-1"),
        ("vendor_tools.sse", "claude-x"),
        ("self_hosted.sse", "qwen3"),
    ],
)
def test_a_stream_under_the_asked_model_is_the_very_same_bytes(name: str, model: str, sample: Sample) -> None:
    pipe = codec.relay_pipe(asked_for(model))
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    lacks_end = stop[:19] not in sample(name)
    assert pipe.feed(sample(name)) == sample(name)
    assert pipe.end() == (stop if lacks_end else b"")
    assert pipe.tap.edits == ({"end_mark"} if lacks_end else set())


START = b'data: {"type":"message_start","message":{"model":"m"}}\n\n'
SAID = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n'
ENDED = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@pytest.mark.parametrize(
    ("came", "goes", "edits"),
    [
        (START + SAID + ENDED + STOP, START + SAID + ENDED + STOP, set()),
        (START + SAID + ENDED, START + SAID + ENDED + STOP, {"end_mark"}),
        (START + SAID + ENDED[:-1], START + SAID + ENDED + STOP, {"end_mark"}),
        (START + SAID + ENDED + STOP[:30], START + SAID + ENDED + STOP, {"end_mark"}),
        (START + SAID + ENDED + STOP + STOP, START + SAID + ENDED + STOP, {"end_mark"}),
        (START + SAID + ENDED + STOP + SAID + b": c\n\n", START + SAID + ENDED + STOP + b": c\n\n", {"end_mark"}),
    ],
)
def test_the_end_mark_stands_once_and_last(came: bytes, goes: bytes, edits: set[str]) -> None:
    pipe = codec.relay_pipe(asked_for("m"))
    assert pipe.feed(came) + pipe.end() == goes
    assert pipe.tap.edits == edits


def test_another_model_id_is_the_only_edit(sample: Sample) -> None:
    stream = sample("text.sse")
    pipe = codec.relay_pipe(asked_for("claude-asked"))
    relayed = pipe.feed(stream) + pipe.end()
    assert relayed == stream.replace(b"claude-sonnet-4-5-20250929", b"claude-asked")
    assert pipe.tap.edits == {"reply_model"}


def test_the_tap_sees_what_the_reader_sees(sample: Sample) -> None:
    pipe = codec.relay_pipe(asked_for("a"))
    pipe.feed(sample("thinking_and_tools.sse"))
    tap = pipe.tap
    assert (tap.content, tap.finish, tap.answered_model, tap.tool_calls) == (True, "tool_calls", "claude-opus-4-1", 2)
    assert tap.usage == Usage(input_tokens=40, output_tokens=57, reasoning_tokens=11)


def test_a_preamble_is_no_content(sample: Sample) -> None:
    stream = sample("text.sse")
    pipe = codec.relay_pipe(asked_for("a"))
    pipe.feed(stream[: stream.index(b"event: content_block_delta")])
    assert not pipe.tap.content
    pipe.feed(stream[stream.index(b"event: content_block_delta") :])
    assert pipe.tap.content


def test_an_error_event_is_raised_behind_the_bytes_before_it(sample: Sample) -> None:
    pipe = codec.relay_pipe(asked_for("claude-x"))
    stream = sample("overloaded.sse")
    assert pipe.feed(stream) == stream[: stream.index(b"event: error")]
    with pytest.raises(FaultError) as caught:
        pipe.end()
    assert caught.value.fault.kind is Kind.OVERLOADED


def test_a_cut_stream_is_broken(sample: Sample) -> None:
    pipe = codec.relay_pipe(asked_for("a"))
    pipe.feed(sample("text.sse")[:900])
    with pytest.raises(FaultError) as caught:
        pipe.end()
    assert caught.value.fault.kind is Kind.BROKEN_STREAM


def test_a_whole_reply_is_relayed(sample: Sample) -> None:
    body = sample("whole.json")
    same, tap = codec.relay_whole(body, asked_for("claude-opus-4-1"))
    assert same == body
    assert (tap.tool_calls, tap.finish, tap.content) == (2, "tool_calls", True)
    renamed, tap = codec.relay_whole(body, asked_for("mine"))
    assert json.loads(renamed) == {**json.loads(body), "model": "mine"}
    assert b'{"path": "a.py"}' in renamed
    assert tap.edits == {"reply_model"}
    for bad in (b"<html>", b"{}x", b'{"type":"message","content":3}'):
        with pytest.raises(FaultError):
            codec.relay_whole(bad, asked_for("mine"))


@pytest.mark.parametrize(
    ("block", "unsigned"),
    [
        ({"type": "thinking", "thinking": "t", "signature": "c2ln"}, False),
        ({"type": "thinking", "thinking": "t", "signature": ""}, True),
        ({"type": "thinking", "thinking": "t"}, True),
        ({"type": "text", "text": 'about "thinking"'}, False),
    ],
)
def test_unsigned_thinking_is_noticed(block: dict[str, Any], unsigned: bool) -> None:
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [block]}],
    }
    assert codec.has_unsigned_thinking(codec.peek(json.dumps(body).encode())) is unsigned
