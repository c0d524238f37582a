"""Valid bodies of every format, changed at random places: each is read, or refused as the caller's fault. Nothing else."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.fault import Fault, FaultError, Kind, Source
from freehold.wire import embeddings, token_counts
from freehold.wire.blocks import strictly, with_place
from freehold.wire.codec import Sent
from freehold.wire.formats import CODECS

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
OPENAI_TOOL = {"type": "function", "function": {"name": "look", "description": "d", "parameters": SCHEMA, "strict": True}}
BODIES: dict[str, Any] = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": IMAGE}}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "r",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ],
        "tools": [OPENAI_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "n": 1,
        "seed": 7,
        "stop": ["a"],
        "temperature": 0.5,
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "user": "u",
        "parallel_tool_calls": False,
    },
    "anthropic_messages": {
        "model": "m",
        "max_tokens": 2048,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "t"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "h", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "look", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}], "is_error": False}
                ],
            },
        ],
        "tools": [{"name": "look", "description": "d", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "look"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": '{"session_id":"s"}'},
        "stop_sequences": ["END"],
        "stream": True,
        "top_k": 3,
    },
    "openai_responses": {
        "model": "m",
        "instructions": "s",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": IMAGE}]},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "look", "parameters": SCHEMA, "strict": True}],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "stream": True,
        "store": False,
        "max_output_tokens": 50,
        "temperature": 0.5,
        "metadata": {"a": "b"},
    },
    "openai_completions": {
        "model": "m",
        "prompt": ["a"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "n": 1,
        "seed": 7,
        "stop": ["a"],
        "echo": False,
        "user": "u",
    },
    "ollama": {
        "model": "m",
        "messages": [
            {"role": "user", "content": "t", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {"city": "Rome"}}}]},
            {"role": "tool", "tool_name": "look", "content": "sunny"},
        ],
        "tools": [OPENAI_TOOL],
        "format": SCHEMA,
        "options": {"num_predict": 5, "temperature": 0.5, "stop": ["a"], "seed": 1},
        "stream": True,
        "think": "low",
        "keep_alive": "5m",
    },
}
SPOKEN = [name for name in BODIES if name in CODECS]

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "\x00", "{", '{"a":', "data:;base64,", "data:image/png;base64,", "file:///etc/passwd", "auto", "user"]),
    st.sampled_from(
        [[], {}, [[]], [None], {"": None}, {"type": "text"}, {"type": ""}, {"type": None}, [{}], ["x"], [1, "x", {}]]
    ),
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda one: st.lists(one, max_size=3), max_leaves=5),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = [at] if at else []
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        inner += places(value[key], (*at, key))
    return inner


@st.composite
def changed(draw: st.DrawFn, body: Any) -> Any:
    """The body with one to three places replaced, removed, or given to a field that does not expect it."""
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        found = places(body)
        if not found:
            break
        *path, last = draw(st.sampled_from(found))
        parent = body
        for key in path:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "remove", "move", "add"])):
            case "replace":
                parent[last] = copy.deepcopy(draw(odd))
            case "remove":
                del parent[last]
            case "move":
                parent[last] = copy.deepcopy(draw(st.sampled_from([*BODIES.values(), SCHEMA, OPENAI_TOOL])))
            case "add" if isinstance(parent, dict):
                parent[draw(st.text(max_size=4))] = copy.deepcopy(draw(odd))
            case _:
                parent.append(copy.deepcopy(draw(odd)))
    return body


def fault_of(call: Callable[[], object]) -> Fault | None:
    """The fault it raises; any other exception is a defect."""
    try:
        call()
    except FaultError as error:
        return error.fault
    return None


@pytest.mark.parametrize("name", SPOKEN)
def test_the_unchanged_body_is_read(name: Any) -> None:
    codec = CODECS[name]
    envelope = codec.peek(json.dumps(BODIES[name]).encode())
    assert [strictly(codec.describe)(block) for block in envelope.blocks]
    codec.read_request(envelope)


@pytest.mark.parametrize("name", SPOKEN)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_body_is_read_or_refused_as_the_callers_fault(name: Any, data: st.DataObject) -> None:
    body = json.dumps(data.draw(changed(BODIES[name])), ensure_ascii=data.draw(st.booleans())).encode(errors="surrogatepass")
    codec = CODECS[name]
    describe = strictly(codec.describe)
    envelope = None
    try:
        envelope = codec.peek(body)
        for block in envelope.blocks:
            describe(block)
        request = codec.read_request(envelope)
        codec.relay_request(envelope, Sent(model="x", max_tokens_ceiling=3))
    except FaultError as error:
        fault = (with_place(error, envelope, describe) if envelope is not None else error).fault
        assert fault.kind in {Kind.INVALID_REQUEST, Kind.UNSUPPORTED}
        assert fault.message
        return
    for other in CODECS.values():
        told = fault_of(lambda other=other: json.loads(other.write_request(request, Sent(model="x"))))
        assert told is None or told.meaning.source is Source.CALLER


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=changed({"model": "m", "input": ["a", "b"], "encoding_format": "float", "dimensions": 3, "user": "u"}))
def test_a_changed_embeddings_body_is_read_or_refused(body: Any) -> None:
    told = fault_of(lambda: embeddings.peek(json.dumps(body).encode()))
    assert told is None or told.kind is Kind.INVALID_REQUEST


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=changed(BODIES["anthropic_messages"]))
def test_a_changed_token_count_body_is_read_or_refused(body: Any) -> None:
    told = fault_of(lambda: token_counts.peek(json.dumps(body).encode()))
    assert told is None or told.kind is Kind.INVALID_REQUEST
