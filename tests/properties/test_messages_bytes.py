"""Promises of the Messages codec that hold for any bytes and any cuts."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Event
from freehold.fault import FaultError
from freehold.wire import anthropic_messages as codec
from freehold.wire.codec import Asked, Sent

SAMPLES = Path(__file__).resolve().parents[1] / "wire_samples" / "anthropic_messages"
STREAMS = [path.read_bytes() for path in sorted(SAMPLES.glob("*.sse"))]
REQUEST = (SAMPLES / "agent_request.json").read_bytes()
WHOLE = (SAMPLES / "whole.json").read_bytes()
ASKED = Asked(model="claude-asked", stream_usage=True, reply_id="msg_ours", now_s=1)
QUICK = settings(max_examples=120, deadline=None)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(marks)]


def read(parts: list[bytes]) -> tuple[list[Event], str | None]:
    """All events, and the kind of fault that ended them."""
    reader = codec.reader()
    events: list[Event] = []
    try:
        for part in parts:
            events += reader.feed(part)
        events += reader.end()
    except FaultError as error:
        return events, error.fault.kind
    return events, None


def relay(parts: list[bytes]) -> tuple[bytes, str | None, object, object]:
    pipe = codec.relay_pipe(ASKED)
    out = b""
    kind = None
    try:
        for part in parts:
            out += pipe.feed(part)
        out += pipe.end()
    except FaultError as error:
        kind = error.fault.kind
    return out, kind, pipe.tap.usage, pipe.tap.finish


def test_a_cut_at_any_byte_changes_nothing() -> None:
    for stream in STREAMS:
        for data in (stream, stream.replace(b"\n", b"\r\n")):
            whole, relayed = read([data]), relay([data])
            for at in range(0, len(data), 3):
                assert read([data[:at], data[at:]]) == whole
                assert relay([data[:at], data[at:]]) == relayed


@QUICK
@given(st.sampled_from(STREAMS), st.lists(st.integers(min_value=0, max_value=4000), max_size=40))
def test_many_cuts_change_nothing(stream: bytes, cuts: list[int]) -> None:
    assert read(pieces(stream, cuts)) == read([stream])
    assert relay(pieces(stream, cuts)) == relay([stream])


def test_byte_by_byte_changes_nothing() -> None:
    for stream in STREAMS:
        assert read([stream[at : at + 1] for at in range(len(stream))]) == read([stream])


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """A good body with some bytes replaced, taken out or put in."""
    out = bytearray(data)
    for _ in range(draw(st.integers(min_value=1, max_value=4))):
        at = draw(st.integers(min_value=0, max_value=max(len(out) - 1, 0)))
        out[at : at + draw(st.integers(min_value=0, max_value=12))] = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b"null", b"3", b"[]", b"{}", b'""', b'"\\ud800"', b"\xff", b"1e999", b"}"]),
            )
        )
    return bytes(out)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mistyped(draw: st.DrawFn) -> bytes:
    """The agent's request with one value somewhere replaced by any JSON."""
    body = json.loads(REQUEST)
    holder: Any = body
    while True:
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(min_value=0, max_value=3)) == 0:
            break
        holder = inner
    holder[key] = draw(JSON)
    return json.dumps(body).encode()


def use_request(body: bytes) -> None:
    """Everything that is done with a client's body. Only faults may come out."""
    envelope = codec.peek(body)
    for block in envelope.blocks:
        with contextlib.suppress(FaultError):
            codec.describe(block)
    codec.has_unsigned_thinking(envelope)
    relayed, edits = codec.relay_request(envelope, Sent(model="other", max_tokens_ceiling=100))
    assert "model" in edits
    assert json.loads(relayed)["model"] == "other"
    msgspec.json.decode(codec.write_request(codec.read_request(envelope), Sent(model="other")))


@QUICK
@given(damaged(REQUEST) | mistyped())
def test_bad_requests_raise_faults_only(body: bytes) -> None:
    with contextlib.suppress(FaultError):
        use_request(body)


@QUICK
@given(st.sampled_from(STREAMS).flatmap(damaged) | st.binary(max_size=80))
def test_bad_streams_raise_faults_only(stream: bytes) -> None:
    read([stream])
    relay([stream])


@QUICK
@given(damaged(WHOLE) | st.binary(max_size=40))
def test_bad_replies_raise_faults_only(body: bytes) -> None:
    with contextlib.suppress(FaultError):
        codec.reader().whole(body)
    with contextlib.suppress(FaultError):
        codec.relay_whole(body, ASKED)
    assert codec.read_fault(400, {}, body).message
