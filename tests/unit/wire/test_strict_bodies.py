"""A body is read one way or refused: keys said twice at any depth, depth itself, and what JSON does not know."""

import json
import time
from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.wire.blocks import strictly, with_place
from freehold.wire.body import refuse_repeats, split_top
from freehold.wire.formats import CODECS


def fault_of(call: Any) -> Any:
    with pytest.raises(FaultError) as error:
        call()
    assert error.value.fault.kind is Kind.INVALID_REQUEST
    return error.value.fault


@pytest.mark.parametrize(
    "twice",
    [
        '{"role":"user","role":"system","content":"x"}',
        '{"role": "user", "content": "x", "content": "y"}',
        '{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}',
        '{ "role" : "user", "content": [ {"type": "text", "a": {"b": 1, "b": 2}} ] }',
        '{"role":"user","ro\\u006ce":"system","content":"{}"}',
        '[{"a":1},{"b":[{"c":1,"c":1}]}]',
        '{"a":{"x":1,"x":1},"pad":1e5}',
        '{"":0,"":0}',
    ],
)
def test_a_key_said_twice_is_refused_at_any_depth(twice: str) -> None:
    assert "twice" in fault_of(lambda: refuse_repeats(twice.encode())).message


@pytest.mark.parametrize(
    "once",
    [
        '{"role":"user","content":"x"}',
        '{ "role" : "user" , "content" : "\\u00e9 {a} {a}" }',
        '[{"a":1},{"a":1}]',
        '{"a":{"a":{"a":1e5}}}',
        '{"a": 123456789012345678901234567890, "b": {"c": 1.0}}',
        '"text"',
        "[]",
    ],
)
def test_keys_said_once_pass_however_they_are_written(once: str) -> None:
    refuse_repeats(once.encode())


@pytest.mark.parametrize("format_", ["openai_chat", "anthropic_messages"])
def test_the_place_of_a_part_at_fault_is_named(format_: Any) -> None:
    codec = CODECS[format_]
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"user","content":"b","content":"c"}]}'
    envelope = codec.peek(body)
    describe = strictly(codec.describe)
    fault = fault_of(lambda: [describe(block) for block in envelope.blocks])
    placed = with_place(FaultError(fault), envelope, describe).fault
    assert placed.param == "messages[1]"
    assert placed.message.startswith("messages[1]: ")


def test_small_values_beside_the_prompt_are_checked_at_once() -> None:
    fault = fault_of(lambda: split_top(b'{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}'))
    assert fault.param == "stream_options"
    split_top(b'{"model":"m","stream_options":{"include_usage":true}}')


DEEP = 1_000_000


@pytest.mark.parametrize("format_", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize(
    "value", [b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP], ids=len
)
def test_a_million_levels_are_refused_fast(format_: Any, value: bytes) -> None:
    begin = time.thread_time()
    for body in (value, b'{"model":"m","messages":' + value, b'{"model":"m","messages":[],"x":' + value + b"}"):
        fault_of(lambda body=body: CODECS[format_].peek(body))
    assert time.thread_time() - begin < 1


@pytest.mark.parametrize("format_", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize(
    "content",
    [
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\x01"',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b"+1",
        b"'x'",
        b'"x" /* y */',
        b"",
        b'"x',
    ],
)
def test_what_json_does_not_know_is_refused(format_: Any, content: bytes) -> None:
    codec = CODECS[format_]
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":' + content + b"}]}"
    fault_of(lambda: [strictly(codec.describe)(block) for block in codec.peek(body).blocks])


@pytest.mark.parametrize("field", ["temperature", "max_tokens", "seed", "top_k", "n"])
@pytest.mark.parametrize("format_", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000, b"1" + b"0" * 400, b"0." + b"1" * 4000])
def test_huge_numbers_are_read_or_refused(format_: Any, field: str, number: bytes) -> None:
    limit = b"" if field == "max_tokens" else b',"max_tokens":5'
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"%b":%b%b}' % (field.encode(), number, limit)
    codec = CODECS[format_]
    try:
        codec.read_request(codec.peek(body))
    except FaultError as error:
        found = error.fault
    else:
        return
    assert (found.kind, found.param) == (Kind.INVALID_REQUEST, field)


def test_a_truncated_body_is_refused_wherever_it_ends() -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "héé"}]}).encode()
    for end in range(len(body)):
        fault_of(lambda end=end: split_top(body[:end]))
    assert isinstance(split_top(body)["messages"], msgspec.Raw)
