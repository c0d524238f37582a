"""Bytes of a runtime that are no text are a typed fault in every format: no client is handed them, and none is replaced."""

import json
from typing import Any

import pytest

from freehold.chat import Choice, Reply, TextPart, ToolCallPart, Usage, unfold
from freehold.fault import FaultError, Kind
from freehold.wire import embeddings
from freehold.wire.codec import Asked, Codec
from freehold.wire.formats import CODECS
from freehold.wire.ollama import generate
from freehold.wire.singles.moderations import MODERATIONS
from freehold.wire.singles.shape import relay_json

ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=1)
EVERY: dict[str, Codec] = {**CODECS, "ollama generate": generate}
TEXT = Reply(id="r", model="m", choices=(Choice((TextPart("hello"),), "stop"),), usage=Usage(input_tokens=1, output_tokens=1))
CALL = Reply(
    id="r",
    model="m",
    choices=(Choice((ToolCallPart("call_1", "look", '{"at":"hello"}'),), "tool_calls"),),
    usage=Usage(input_tokens=1, output_tokens=1),
)
BAD = [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xf5\x80\x80\x80"]
"""No such byte, overlong, a surrogate, half a character, beyond Unicode."""


def streamed(codec: Codec, reply: Reply) -> bytes:
    writer = codec.writer(ASKED)
    return b"".join([writer.write(event) for event in unfold(reply)]) + writer.close()


def kind_of(call: Any) -> Kind:
    with pytest.raises(FaultError) as raised:
        call()
    return raised.value.fault.kind


def fed(pipe: Any, stream: bytes) -> None:
    """All of it in one piece: what stands before a fault comes out first, the next call raises."""
    pipe.feed(stream)
    pipe.feed(b"")


def unknown_field(stream: bytes, bad: bytes) -> bytes:
    """A field nobody here reads, in the first object of the stream."""
    return stream.replace(b"{", b'{"x_unknown":"' + bad + b'",', 1)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", EVERY)
def test_a_stream_that_is_no_text_is_invalid(name: str, bad: bytes) -> None:
    codec = EVERY[name]
    good = streamed(codec, TEXT)
    assert b"hello" in good
    for stream in (good.replace(b"hello", bad, 1), unknown_field(good, bad)):
        assert kind_of(lambda stream=stream: fed(codec.reader(), stream)) is Kind.INVALID_REPLY
        assert kind_of(lambda stream=stream: fed(codec.relay_pipe(ASKED), stream)) is Kind.INVALID_REPLY


@pytest.mark.parametrize("name", sorted(CODECS.keys() - {"openai_completions"}))
def test_arguments_that_are_no_text_are_invalid(name: Any) -> None:
    codec = CODECS[name]
    good = streamed(codec, CALL)
    assert b"hello" in good
    stream = good.replace(b"hello", b"\xff\xfe")
    assert kind_of(lambda: fed(codec.reader(), stream)) is Kind.INVALID_REPLY
    assert kind_of(lambda: fed(codec.relay_pipe(ASKED), stream)) is Kind.INVALID_REPLY


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", EVERY)
def test_a_whole_reply_that_is_no_text_is_invalid(name: str, bad: bytes) -> None:
    codec = EVERY[name]
    good = codec.write_whole(TEXT, ASKED)
    for body in (good.replace(b"hello", bad, 1), unknown_field(good, bad)):
        assert kind_of(lambda body=body: codec.reader().whole(body)) is Kind.INVALID_REPLY
        assert kind_of(lambda body=body: codec.relay_whole(body, ASKED)) is Kind.INVALID_REPLY


@pytest.mark.parametrize("name", sorted(CODECS.keys() - {"ollama"}))
@pytest.mark.parametrize("line", [b": \xff\n\n", b"event: \xff\ndata: {}\n\n"])
def test_comments_and_names_that_are_no_text_reach_no_client(name: Any, line: bytes) -> None:
    codec = CODECS[name]
    assert kind_of(lambda: fed(codec.relay_pipe(ASKED), line + streamed(codec, TEXT))) is Kind.INVALID_REPLY


@pytest.mark.parametrize("name", EVERY)
def test_text_that_is_cut_amid_a_character_is_text(name: str) -> None:
    codec = EVERY[name]
    stream = streamed(codec, TEXT).replace(b"hello", "h\u00e9\u20ac\U0001f600".encode())
    pipe = codec.relay_pipe(ASKED)
    assert b"".join([pipe.feed(stream[at : at + 1]) for at in range(len(stream))]) + pipe.end() == stream


def test_single_shots_too() -> None:
    moderated = json.dumps({"id": "x", "model": "m", "results": [{"flagged": False}]}).encode()
    assert relay_json(moderated, MODERATIONS, "m")[0] == moderated
    assert kind_of(lambda: relay_json(unknown_field(moderated, b"\xff"), MODERATIONS, "m")) is Kind.INVALID_REPLY
    embedded = b'{"object":"list","data":[{"embedding":[1.0]}],"model":"m"}'
    assert kind_of(lambda: embeddings.relay_reply(unknown_field(embedded, b"\xff"), "m")) is Kind.INVALID_REPLY
