import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from freehold.chat import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
)
from freehold.fault import Fault, Kind
from freehold.wire import openai_chat
from freehold.wire.codec import Asked

ASKED = Asked(model="asked-for", stream_usage=True, reply_id="reply-1", now_s=1700000000)
QUIET = Asked(model="asked-for", stream_usage=False, reply_id="reply-1", now_s=1700000000)
USAGE = Usage(input_tokens=10, output_tokens=4, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=1)
TOKENS = msgspec.Raw(b'[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]')
EVENTS: list[Event] = [
    Started("chatcmpl-9", "upstream-name", 1690000000, None, "fp_1"),
    ReasoningDelta("hm", signature="never shown"),
    TextDelta('say "hi"\n', logprobs=TOKENS),
    ToolCallStarted(0, "call_1", "f"),
    ToolCallDelta(0, '{"a":"ü"}'),
    ToolCallStarted(1, "call_2", "g"),
    UsageReported(USAGE),
    Finished("tool_calls"),
    TextDelta("other", 1),
    Finished("length", choice=1),
]


def write(events: list[Event], asked: Asked = ASKED) -> bytes:
    writer = openai_chat.writer(asked)
    return b"".join([writer.write(event) for event in events]) + writer.close()


def chunks(stream: bytes) -> list[dict[str, Any]]:
    blocks = stream.decode().split("\n\n")
    assert blocks.pop() == ""
    assert blocks.pop() == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def test_every_chunk_fits_the_schema_and_the_official_client(fits_openai: Callable[[str, object], None]):
    written = chunks(write(EVENTS))
    for chunk in written:
        fits_openai("CreateChatCompletionStreamResponse", chunk)
        ChatCompletionChunk.model_validate(chunk)
        assert (chunk["id"], chunk["created"], chunk["model"]) == ("chatcmpl-9", 1690000000, "asked-for")
        assert chunk["system_fingerprint"] == "fp_1"


def test_a_stream_is_role_deltas_finishes_usage_and_done():
    written = chunks(write(EVENTS))
    assert [chunk["choices"][0]["delta"] for chunk in written[:-1]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": 'say "hi"\n'},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":"ü"}'}}]},
        {"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
        {"role": "assistant", "content": ""},
        {"content": "other"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in written[:-1] if chunk["choices"][0]["finish_reason"]] == [
        "tool_calls",
        "length",
    ]
    assert written[2]["choices"][0]["logprobs"] == {"content": json.loads(bytes(TOKENS)), "refusal": None}
    assert written[-1]["choices"] == []
    assert written[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


@pytest.mark.parametrize(
    ("events", "arguments"),
    [
        ([Finished("tool_calls")], ["{}", "{}"]),
        ([ToolCallDelta(0, ""), ToolCallDelta(1, '{"a":1}'), Finished("stop")], ["{}", '{"a":1}']),
        ([ToolCallDelta(1, "{"), Finished("length")], ["", "{"]),
    ],
    ids=["none", "some", "cut"],
)
def test_a_call_without_arguments_has_an_empty_object_unless_it_was_cut(events: list[Event], arguments: list[str]):
    written = chunks(write([Started(), ToolCallStarted(0, "call_1", "f"), ToolCallStarted(1, "call_2", "g"), *events]))
    said = ["", ""]
    for chunk in written:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                said[call["index"]] += call["function"].get("arguments", "")
    assert said == arguments
    assert written[-1]["choices"][0]["finish_reason"] is not None


def test_usage_is_shown_only_to_those_who_asked():
    assert b"usage" not in write(EVENTS, QUIET)


def test_without_upstream_facts_the_reply_gets_ours():
    (chunk, *_) = chunks(write([TextDelta("x"), Finished("stop")]))
    assert (chunk["id"], chunk["created"]) == ("reply-1", 1700000000)
    assert chunk["choices"][0]["delta"]["role"] == "assistant"


def test_early_usage_is_reported_where_nothing_later_comes():
    early = Started("a", "m", 1, USAGE)
    assert chunks(write([early, Finished("stop")]))[-1]["usage"]["prompt_tokens"] == 10


@pytest.mark.parametrize(
    ("reason", "spelled"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
        ("pause", "stop"),
    ],
)
def test_every_finish_reason_has_a_spelling(reason: FinishReason, spelled: str):
    assert chunks(write([Finished(reason)], QUIET))[-1]["choices"][0]["finish_reason"] == spelled
    assert json.loads(openai_chat.write_whole(fold([Finished(reason)]), ASKED))["choices"][0]["finish_reason"] == spelled


def test_a_refusal_keeps_its_own_field(fits_openai: Callable[[str, object], None]):
    events: list[Event] = [TextDelta("No.", refusal=True, logprobs=TOKENS), Finished("refusal")]
    chunk = chunks(write(events, QUIET))[1]
    assert chunk["choices"][0]["delta"] == {"refusal": "No."}
    assert chunk["choices"][0]["logprobs"]["content"] is None
    whole = json.loads(openai_chat.write_whole(fold(events), ASKED))
    fits_openai("CreateChatCompletionResponse", whole)
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "No."}
    assert whole["choices"][0]["logprobs"] == {"content": None, "refusal": json.loads(bytes(TOKENS))}


def test_a_whole_reply_fits_the_schema_and_the_official_client(fits_openai: Callable[[str, object], None]):
    written = json.loads(openai_chat.write_whole(fold(EVENTS), ASKED))
    fits_openai("CreateChatCompletionResponse", written)
    parsed = ChatCompletion.model_validate(written)
    assert parsed.model == "asked-for"
    message = parsed.choices[0].message
    assert message.content == 'say "hi"\n'
    assert [(call.id, call.type) for call in message.tool_calls or ()] == [("call_1", "function"), ("call_2", "function")]
    assert [call["function"]["arguments"] for call in written["choices"][0]["message"]["tool_calls"]] == ['{"a":"ü"}', "{}"]
    assert written["choices"][0]["message"]["reasoning_content"] == "hm"
    assert written["choices"][1]["message"]["content"] == "other"
    assert parsed.usage is not None
    assert parsed.usage.total_tokens == 14


def test_logprobs_of_many_deltas_become_one_list():
    events: list[Event] = [TextDelta("a", logprobs=TOKENS), TextDelta("a", logprobs=TOKENS), Finished("stop")]
    assert len(json.loads(openai_chat.write_whole(fold(events), ASKED))["choices"][0]["logprobs"]["content"]) == 2


def test_a_fault_amid_the_stream_is_an_error_event_the_client_raises():
    writer = openai_chat.writer(ASKED)
    event = writer.fault(Fault(kind=Kind.BROKEN_STREAM, message="cut"))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert json.loads(event[6:]) == {"error": {"message": "cut", "type": "server_error", "param": None, "code": "broken_stream"}}
