import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.fault import FaultError, Kind
from freehold.wire import openai_chat
from freehold.wire.codec import Asked, Sent, Tap

SAMPLES = ("parallel_tools", "llama_reasoning", "two_choices_logprobs", "careless_tools", "refusal")
MODELS = {"llama_reasoning": "qwen3-4b-q4", "two_choices_logprobs": "m"}


def asked(model: str, *, usage: bool = True) -> Asked:
    return Asked(model=model, stream_usage=usage, reply_id="r", now_s=1)


def own_name(sample: str) -> str:
    return MODELS.get(sample, "gpt-5.4-2026-01-01")


def relay(stream: bytes, how: Asked, cuts: tuple[int, ...] = ()) -> tuple[bytes, Tap]:
    pipe = openai_chat.relay_pipe(how)
    edges = [0, *cuts, len(stream)]
    out = b"".join(pipe.feed(stream[start:end]) for start, end in itertools.pairwise(edges))
    return out + pipe.end(), pipe.tap


def datas(stream: bytes) -> list[Any]:
    lines = [line[6:] for line in stream.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


MARK = b"data: [DONE]\n\n"
SAID = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
ENDED = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    ("came", "goes", "edits"),
    [
        (SAID + ENDED + MARK, SAID + ENDED + MARK, set()),
        (SAID + ENDED, SAID + ENDED + MARK, {"end_mark"}),
        (SAID + ENDED[:-2], SAID + ENDED + MARK, {"end_mark"}),
        (SAID + ENDED + MARK[:-1], SAID + ENDED + MARK, {"end_mark"}),
        (SAID + ENDED + MARK[:9], SAID + ENDED + MARK, {"end_mark"}),
        (SAID + ENDED + MARK + MARK, SAID + ENDED + MARK, {"end_mark"}),
        (SAID + ENDED + MARK + SAID + b": c\n\n", SAID + ENDED + MARK + b": c\n\n", {"end_mark"}),
    ],
)
def test_the_end_mark_stands_once_and_last(came: bytes, goes: bytes, edits: set[str]):
    out, tap = relay(came, asked("m"))
    assert out == goes
    assert tap.edits == edits


@pytest.mark.parametrize(
    "chunk",
    [
        '{"choices":[{"index":%d,"delta":{"content":"a"}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":%d,"function":{"name":"f","arguments":""}}]}}]}',
    ],
)
def test_a_stream_that_only_counts_is_refused_before_it_fills_the_memory(chunk: str):
    stream = b"".join(b"data: %b\n\n" % (chunk % number).encode() for number in range(3000))
    for reads in (openai_chat.relay_pipe(asked("m")).feed, openai_chat.reader().feed):
        with pytest.raises(FaultError, match="more than") as told:
            for at in range(0, len(stream), 100):
                reads(stream[at : at + 100])
        assert told.value.fault.kind is Kind.INVALID_REPLY


# --- requests

SPACED = b'{ "model" : "m",\n "messages":[ {"role":"user","content":"h\\u00e9"} ], "x_unknown": {"a" : 1.50} }'


def test_without_an_edit_the_request_is_the_very_same_bytes():
    envelope = openai_chat.peek(SPACED)
    body, edits = openai_chat.relay_request(envelope, Sent(model="m", max_tokens_ceiling=None))
    assert body is envelope.body
    assert edits == ()


def test_every_value_that_is_not_edited_keeps_its_bytes():
    body, edits = openai_chat.relay_request(openai_chat.peek(SPACED), Sent(model="served"))
    assert edits == ("model",)
    assert body == b'{"model":"served","messages":[ {"role":"user","content":"h\\u00e9"} ],"x_unknown":{"a" : 1.50}}'


@pytest.mark.parametrize(
    ("fields", "sent", "edits", "changed"),
    [
        ({"stream": True}, {}, ("usage_asked",), {"stream_options": {"include_usage": True}}),
        ({"stream": True, "stream_options": None}, {}, ("usage_asked",), {"stream_options": {"include_usage": True}}),
        (
            {"stream": True, "stream_options": {"include_obfuscation": False, "include_usage": False}},
            {},
            ("usage_asked",),
            {"stream_options": {"include_obfuscation": False, "include_usage": True}},
        ),
        ({"stream": True, "stream_options": {"include_usage": True}}, {}, (), {}),
        ({"stream": False}, {}, (), {}),
        ({"max_tokens": 500}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"max_tokens": 100}),
        ({"max_tokens": -1}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"max_tokens": 100}),
        ({"max_completion_tokens": 500}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"max_completion_tokens": 100}),
        ({}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"max_tokens": 100}),
        (
            {},
            {"max_tokens_ceiling": 100, "quirks": frozenset({"max_completion_tokens"})},
            ("max_tokens_clamped",),
            {"max_completion_tokens": 100},
        ),
        ({"max_tokens": 50}, {"max_tokens_ceiling": 100}, (), {}),
        ({"max_tokens": 50, "max_completion_tokens": 50, "n_predict": None}, {}, (), {}),
        ({"max_tokens": 9, "max_completion_tokens": 50}, {}, (), {}),
        ({"max_tokens": 500, "max_completion_tokens": 50}, {}, ("max_tokens_clamped",), {"max_tokens": 50}),
        ({"max_tokens": 50, "n_predict": 500}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"n_predict": 50}),
        ({"max_tokens": 50, "n_predict": -1}, {}, ("max_tokens_clamped",), {"n_predict": 50}),
        ({"max_tokens": 50, "n_predict": 1e9}, {}, ("max_tokens_clamped",), {"n_predict": 50}),
        ({"n_predict": 500}, {"max_tokens_ceiling": 100}, ("max_tokens_clamped",), {"max_tokens": 100, "n_predict": 100}),
        ({"n_predict": 500}, {}, (), {}),
        ({}, {"extra": {"cache_prompt": msgspec.Raw(b"true")}}, ("engine_options",), {"cache_prompt": True}),
        ({"cache_prompt": False}, {"extra": {"cache_prompt": msgspec.Raw(b"true")}}, ("engine_options",), {"cache_prompt": True}),
        ({"cache_prompt": True}, {"extra": {"cache_prompt": msgspec.Raw(b"true")}}, (), {}),
    ],
)
def test_only_the_named_edits_are_made(
    fields: dict[str, Any], sent: dict[str, Any], edits: tuple[str, ...], changed: dict[str, Any]
):
    client = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    body, made = openai_chat.relay_request(openai_chat.peek(msgspec.json.encode(client)), Sent(model="m", **sent))
    assert made == edits
    assert json.loads(body) == {**client, **changed}


# --- streams


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_that_needs_no_edit_leaves_as_it_came_whatever_the_cut(name: str, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_chat/{name}.sse")
    how = asked(own_name(name))
    whole = stream if b"[DONE]" in stream else stream + MARK
    for cut in range(len(stream) + 1):
        out, tap = relay(stream, how, (cut,))
        assert out == whole
        assert tap.edits == ({"end_mark"} if out != stream else set())
    assert relay(stream, how, tuple(range(len(stream))))[0] == whole


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("name", SAMPLES)
def test_only_model_and_hidden_usage_differ_whatever_the_cut(name: str, usage: bool, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_chat/{name}.sse")
    expected = []
    for chunk in datas(stream):
        if "model" in chunk:
            chunk["model"] = "alias"
        if not usage and chunk.get("usage") is not None:
            continue
        expected.append(chunk)
    whole, tap = relay(stream, asked("alias", usage=usage))
    assert datas(whole) == expected
    assert tap.edits <= {"reply_model", "usage_hidden", "end_mark"}
    assert ("end_mark" in tap.edits) == (b"[DONE]" not in stream)
    for cut in range(0, len(stream), 7):
        assert relay(stream, asked("alias", usage=usage), (cut, min(cut + 3, len(stream))))[0] == whole


def test_the_tap_sees_what_the_stream_showed(read_sample: Callable[[str], bytes]):
    _, tap = relay(read_sample("openai_chat/parallel_tools.sse"), asked("alias", usage=False))
    assert (tap.content, tap.finish, tap.tool_calls) == (True, "tool_calls", 2)
    assert (tap.answered_model, tap.fingerprint) == ("gpt-5.4-2026-01-01", "fp_44709d6fcb")
    assert tap.usage == Usage(input_tokens=120, output_tokens=34, cached_tokens=64, reasoning_tokens=8)
    assert tap.edits == {"reply_model", "usage_hidden"}


def test_a_preamble_is_no_content():
    pipe = openai_chat.relay_pipe(asked("m"))
    pipe.feed(b': wait\n\ndata: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n')
    assert not pipe.tap.content
    pipe.feed(b'data: {"choices":[{"index":0,"delta":{"reasoning":"h"}}]}\n\n')
    assert pipe.tap.content


@pytest.mark.parametrize(
    "chunk",
    [
        '{"model":"up","choices":[{"index":0,"delta":{"content":"{"},"finish_reason":"stop"}]}',
        '{"choices":[{"index":0,"delta":{"content":"\\"model\\":\\"up\\" }"},"finish_reason":"stop"}],"model":"up"}',
        '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop","model":"up"}],"model": "up"}',
        '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"model":"up","timings":{"a":1}}',
        '{ "model" : "up" , "choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}] }',
        '{"mod\\u0065l":"up","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}',
        '{"model":"\\u0075p","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}',
    ],
)
def test_the_top_level_model_is_renamed_and_nothing_else(chunk: str):
    for event in (f"data: {chunk}\n\n", f"event: chunk\r\ndata:{chunk}\r\n\r\n", f"id: 1\ndata: {chunk}\n: }} comment\n\n"):
        (renamed,) = [
            json.loads(line.partition(b":")[2])
            for line in relay(event.encode() + MARK, asked('al"ias'))[0].removesuffix(MARK).splitlines()
            if line.startswith(b"data:")
        ]
        assert renamed == {**json.loads(chunk), "model": 'al"ias'}


def test_usage_beside_content_loses_only_the_field():
    chunk = {
        "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "x": 1.5,
    }
    out, tap = relay(b"data: " + msgspec.json.encode(chunk) + b"\n\n", asked("m", usage=False))
    del chunk["usage"]
    assert datas(out) == [chunk]
    assert tap.usage == Usage(input_tokens=1, output_tokens=2)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', Kind.BROKEN_STREAM),
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n', Kind.BROKEN_STREAM),
        (b"", Kind.BROKEN_STREAM),
        (b"<html></html>", Kind.INVALID_REPLY),
        (b'data: {"choices":7}\n\n', Kind.INVALID_REPLY),
        (b'data: {"error":{"message":"no capacity","code":503}}\n\n', Kind.OVERLOADED),
    ],
)
def test_a_bad_stream_is_a_fault_and_never_a_quiet_end(stream: bytes, kind: Kind):
    with pytest.raises(FaultError) as caught:
        relay(stream, asked("m"))
    assert caught.value.fault.kind is kind


def test_one_choice_that_does_not_end_breaks_the_stream():
    first = b'data: {"choices":[{"index":1,"delta":{"content":"a"}},{"index":0,"delta":{"content":"b"}}]}\n\n'
    with pytest.raises(FaultError):
        relay(first + b'data: {"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\n\n', asked("m"))


def test_bytes_before_an_error_event_go_out_and_the_error_does_not():
    pipe = openai_chat.relay_pipe(asked("m"))
    good = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert pipe.feed(good + b'data: {"error":{"message":"boom"}}\n\n') == good
    with pytest.raises(FaultError, match="boom"):
        pipe.end()


def test_every_event_is_renamed_however_it_begins():
    said = '"choices":[{"index":0,"delta":{"content":"a \\"model\\":\\"up\\" {"}}]'
    events = [
        f'{{"id":"1","model":"up",{said}}}',
        f'{{"id":"1","model":"up",{said}}}',
        f'{{"id":"2","model":"up",{said}}}',
        f'{{"id":"1","model":"up","extra":{{"model":"up"}},{said}}}',
        f'{{"extra":{{"model":"up"}},"model":"up",{said}}}',
        f'{{"id":"1","model":"other",{said}}}',
        f'{{"id":"1","model":"up",{said}}}',
        f'{{"id":"{"1" * 2000}","model":"up",{said}}}',
        '{"id":"1","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    ]
    stream = b"".join(b"data: %b\n\n" % event.encode() for event in events)
    out, tap = relay(stream + MARK, asked("mine"))
    assert datas(out) == [json.loads(event) | {"model": "mine"} for event in events]
    assert tap.edits == {"reply_model"}


# --- whole


def test_a_whole_reply_is_relayed_with_only_its_model_edited(read_sample: Callable[[str], bytes]):
    body = read_sample("openai_chat/whole_tools.json")
    same, tap = openai_chat.relay_whole(body, asked("gpt-5.4-2026-01-01"))
    assert same is body
    assert (tap.finish, tap.tool_calls, tap.content, tap.edits) == ("tool_calls", 2, True, set())
    renamed, tap = openai_chat.relay_whole(body, asked("alias"))
    assert json.loads(renamed) == {**json.loads(body), "model": "alias"}
    assert tap.edits == {"reply_model"}
    assert tap.usage is not None
    assert tap.usage.cache_write_tokens == 10


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"index":0}]}'])
def test_a_whole_body_that_is_no_reply_is_refused(body: bytes):
    with pytest.raises(FaultError) as caught:
        openai_chat.relay_whole(body, asked("m"))
    assert caught.value.fault.kind is Kind.INVALID_REPLY


def test_content_that_is_a_list_passes_as_it_came_and_counts_as_content():
    said = (
        b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}\n\n'
    )
    out, tap = relay(said + ENDED + MARK, asked("m"))
    assert (out, tap.content) == (said + ENDED + MARK, True)
    body = b'{"choices":[{"index":0,"message":{"content":[{"type":"text","text":"a"}]},"finish_reason":"stop"}]}'
    whole, tap = openai_chat.relay_whole(body, asked("m"))
    assert (whole, tap.content) == (body, True)
