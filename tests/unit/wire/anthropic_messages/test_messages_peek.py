import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages as codec
from freehold.wire import token_counts

MINIMAL = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def body(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in {**MINIMAL, **changes}.items() if value is not ...}).encode()


def test_envelope_of_an_agent_request(sample: Callable[[str], bytes]) -> None:
    envelope = codec.peek(sample("agent_request.json"))
    assert (envelope.model, envelope.stream, envelope.stream_usage, envelope.max_tokens) == (
        "claude-new-model",
        True,
        True,
        128000,
    )
    assert (envelope.tools, envelope.schema, envelope.choices, envelope.logprobs) == (3, True, 1, False)
    assert envelope.session_hint == "5f2b"
    assert [codec.describe(block).role for block in envelope.blocks] == ["system", "user", "system", "assistant", "user", "tools"]


def test_blocks_say_what_a_model_would_read(sample: Callable[[str], bytes]) -> None:
    system, _, _, assistant, results, tools = map(codec.describe, codec.peek(sample("agent_request.json")).blocks)
    assert system.texts == ("client: agent", "You edit code.")
    assert assistant.tool_calls == 2
    assert '{"path": "t.py", "limit": 10}' in assistant.texts
    assert (results.tool_results, results.tool_errors, results.images) == (2, 1, 1)
    assert results.texts == ("no such file", "the screen", "Go on.")
    assert "Reads a file" in tools.texts
    assert any("web_search" in text for text in tools.texts)


@pytest.mark.parametrize(
    ("block", "role", "texts", "images"),
    [
        ('"be brief"', "system", ("be brief",), 0),
        ('[{"type":"text","text":"be brief"}]', "system", ("be brief",), 0),
        ('{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}', "tool", (), 0),
        ('{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}', "tool", ("x",), 0),
        ('{"role":"user","content":[{"type":"image","source":{"type":"url","url":"u"}}]}', "user", (), 1),
        ('{"role":"user","content":[{"type":"document","title":"T","source":{"type":"base64","data":"JVBERi0="}}]}', "user", ("T",), 0),
        ('{"role":"user","content":[{"type":"novel","words":"seen"}]}', "user", ('{"type":"novel","words":"seen"}',), 0),
    ],
)  # fmt: skip
def test_describe(block: str, role: str, texts: tuple[str, ...], images: int) -> None:
    described = codec.describe(msgspec.Raw(block.encode()))
    assert (described.role, described.texts, described.images) == (role, texts, images)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "body"),
        (b'{"model":"m","model":"n","max_tokens":1,"messages":[{}]}', "twice"),
        (b'{"model": "m", "max_tokens": 1, "messages": [{}], "model": "m"}', "twice"),
        (body(model=...), "model"),
        (body(model=""), "model"),
        (body(model=3), "model"),
        (body(messages="hi"), "messages"),
        (body(messages=[]), "messages"),
        (body(messages=...), "messages"),
        (body(max_tokens=...), "max_tokens"),
        (body(max_tokens=-1), "max_tokens"),
        (body(max_tokens="5"), "max_tokens"),
        (body(max_tokens=10**30), "max_tokens"),
        (body(stream="yes"), "stream"),
        (body(tools={}), "tools"),
        (body(metadata=[]), "metadata"),
        (body(output_config=3), "output_config"),
    ],
)
def test_a_bad_body_is_refused_by_name(bad: bytes, named: str) -> None:
    with pytest.raises(FaultError) as caught:
        codec.peek(bad)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST
    assert named in caught.value.fault.message


@pytest.mark.parametrize(
    "block", ['{"role":"user","content":3}', '{"content":""}', '[{"type":3}]', '{"role":"user","content":[{}]}', "3"]
)
def test_a_bad_block_is_refused(block: str) -> None:
    with pytest.raises(FaultError) as caught:
        codec.describe(msgspec.Raw(block.encode()))
    assert caught.value.fault.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("user_id", "hint"),
    [
        ("u1", "u1"),
        ('{"session_id":"s"}', "s"),
        ('{"device_id":"d"}', '{"device_id":"d"}'),
        ("{broken", "{broken"),
        ("", None),
        (None, None),
    ],
)
def test_session_hint(user_id: str | None, hint: str | None) -> None:
    assert codec.peek(body(metadata={"user_id": user_id})).session_hint == hint


def test_null_means_not_said() -> None:
    envelope = codec.peek(body(system=None, tools=None, stream=None, metadata=None, output_config=None, output_format=None))
    assert (len(envelope.blocks), envelope.tools, envelope.stream, envelope.schema) == (1, 0, False, False)


def test_counting_needs_no_length() -> None:
    uncounted = body(max_tokens=...)
    envelope = token_counts.peek(uncounted)
    assert envelope.max_tokens is None
    assert codec.read_request(envelope).messages[0].parts
    assert token_counts.write_count(42) == b'{"input_tokens":42}'
