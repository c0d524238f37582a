import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types import Completion

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
)
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import openai_completions
from freehold.wire.codec import Asked, Tap

SAMPLES = ("llama_two_prompts", "vllm_logprobs", "openai_text")
TOKENS = msgspec.Raw(b'[{"token":"ab","logprob":-1,"bytes":[97],"top_logprobs":[{"token":"ab","logprob":-1.0}]}]')


def asked(*, usage: bool = True, model: str = "asked") -> Asked:
    return Asked(model=model, stream_usage=usage, reply_id="r", now_s=1)


def read(stream: bytes) -> list[Event]:
    reader = openai_completions.reader()
    return [*reader.feed(stream), *reader.end()]


def relay(stream: bytes, how: Asked, cuts: tuple[int, ...] = ()) -> tuple[bytes, Tap]:
    pipe = openai_completions.relay_pipe(how)
    out = b"".join(pipe.feed(stream[start:end]) for start, end in itertools.pairwise([0, *cuts, len(stream)]))
    return out + pipe.end(), pipe.tap


def write(events: list[Event], how: Asked) -> bytes:
    writer = openai_completions.writer(how)
    return b"".join(map(writer.write, events)) + writer.close()


def datas(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]


# --- reading


def test_several_prompts_of_llama_are_read_with_the_usage_of_all(read_sample: Callable[[str], bytes]):
    reply = fold(read(read_sample("openai_completions/llama_two_prompts.sse")))
    assert [choice.parts[0].text for choice in reply.choices] == [" five", "++\n"]  # type: ignore[union-attr]
    assert [choice.finish for choice in reply.choices] == ["length", "length"]
    assert reply.usage == Usage(input_tokens=11, output_tokens=4, cached_tokens=7)
    assert reply.model == "smollm2-135m-instruct"


def test_vllm_says_its_stop_and_its_log_probabilities(read_sample: Callable[[str], bytes]):
    reply = fold(read(read_sample("openai_completions/vllm_logprobs.sse")))
    [choice] = reply.choices
    assert (choice.finish, choice.stop_sequence) == ("stop_sequence", "\n\n")
    tokens = json.loads(bytes(choice.logprobs[0]))
    assert tokens[0]["token"] == "a"
    assert [top["token"] for top in tokens[0]["top_logprobs"]] == ["a", "x"]
    assert reply.usage == Usage(input_tokens=9, output_tokens=3, cached_tokens=4)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_shaped_answer_is_read_too(streamed: bool):
    said = {"delta" if streamed else "message": {"role": "assistant", "content": "a + b"}}
    body = json.dumps({"id": "i", "model": "codestral", "choices": [{"index": 0, **said, "finish_reason": "stop"}]}).encode()
    events = read(b"data: %b\n\n" % body) if streamed else openai_completions.reader().whole(body)
    assert fold(events).choices[0].parts[0].text == "a + b"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b'data: {"choices":[{"index":0,"text":"a"}]}\n\ndata: [DONE]\n\n', Kind.BROKEN_STREAM),
        (b"data: null\n\n", Kind.BROKEN_STREAM),
        (b'data: {"choices":[{"index":0,"text":5}]}\n\n', Kind.INVALID_REPLY),
        (b'data: {"error":{"message":"busy","type":"overloaded_error","code":503}}\n\n', Kind.OVERLOADED),
        (b'data: {"choices":[{"index":0,"text":"","finish_reason":"error"}]}\n\n', Kind.BROKEN_STREAM),
        (b"<html>\n\n", Kind.INVALID_REPLY),
    ],
)
def test_what_is_no_whole_stream_is_the_fault_it_means(stream: bytes, kind: Kind):
    for attempt in (lambda: read(stream), lambda: relay(stream, asked())):
        with pytest.raises(FaultError) as raised:
            attempt()
        assert raised.value.fault.kind is kind


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"choices":[{"index":0}]}', b"[]", b'"x"', b""])
def test_what_is_no_whole_reply_is_refused(body: bytes):
    for attempt in (lambda: openai_completions.reader().whole(body), lambda: openai_completions.relay_whole(body, asked())):
        with pytest.raises(FaultError) as raised:
            attempt()
        assert raised.value.fault.kind is Kind.INVALID_REPLY


def test_odd_log_probabilities_of_another_format_are_left_out():
    [chunk, _] = datas(write([TextDelta("a", 0, msgspec.Raw(b'[{"token":5}]')), Finished("stop")], asked()))
    assert (chunk["choices"][0]["text"], chunk["choices"][0]["logprobs"]) == ("a", None)


# --- writing


def test_streams_and_whole_answers_are_what_openai_publishes(fits_openai: Callable[[str, object], None]):
    usage = Usage(input_tokens=3, output_tokens=2, cached_tokens=1)
    events: list[Event] = [Started("i", "up", 5, None, "fp"), TextDelta("ab", 0, TOKENS), TextDelta("cd", 1)]
    events += [Finished("length", None, 0), Finished("stop_sequence", "x", 1), UsageReported(usage)]
    whole = json.loads(openai_completions.write_whole(fold(events), asked()))
    fits_openai("CreateCompletionResponse", whole)
    assert Completion.model_validate(whole, strict=True).choices[0].text == "ab"
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["length", "stop"]
    assert whole["model"] == "asked"
    stream = write(events, asked())
    assert stream.endswith(b"data: [DONE]\n\n")
    for chunk in datas(stream):
        assert (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) == ("i", "text_completion", 5, "asked")
        for choice in chunk["choices"]:  # null until the last one, as OpenAI's own streams have it; its schema does not
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(chunk)
        fits_openai(
            "CreateCompletionResponse",
            {**chunk, "usage": chunk["usage"] or {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
        )
    assert datas(stream)[-1]["usage"]["total_tokens"] == 5
    assert datas(stream)[-1]["choices"] == []
    assert b"usage" not in write(events, asked(usage=False))


def test_offsets_of_log_probabilities_go_on_through_a_stream():
    chunks = datas(write([TextDelta("ab", 0, TOKENS), TextDelta("ab", 0, TOKENS), Finished("stop")], asked()))
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks[:2]] == [[0], [2]]
    assert chunks[0]["choices"][0]["logprobs"]["top_logprobs"] == [{"ab": -1.0}]


def test_thinking_and_calls_have_no_place_and_a_refusal_is_text():
    events: list[Event] = [ReasoningDelta("hm"), ToolCallStarted(0, "c", "f"), TextDelta("I cannot", 0, None, True)]
    chunks = datas(write([*events, Finished("refusal")], asked()))
    assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks] == [
        ("I cannot", None),
        ("", "content_filter"),
    ]
    whole = json.loads(openai_completions.write_whole(fold([*events, Finished("refusal")]), asked()))
    assert whole["choices"][0]["text"] == "I cannot"


def test_a_fault_amid_a_stream_is_openais_error_event():
    event = openai_completions.writer(asked()).fault(Fault(kind=Kind.BROKEN_STREAM, message="cut"))
    assert json.loads(event[6:])["error"]["message"] == "cut"
    assert b"[DONE]" not in event


# --- relaying


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_stream_with_nothing_to_edit_is_relayed_byte_for_byte(sample: str, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_completions/{sample}.sse")
    model = next(chunk["model"] for chunk in datas(stream) if chunk)
    out, tap = relay(stream, asked(model=model))
    assert out == stream.replace(b"data: null\n\n", b"")
    assert tap.content
    assert tap.finish is not None
    assert tap.usage == fold(read(stream)).usage


@pytest.mark.parametrize("sample", SAMPLES)
def test_cuts_change_nothing(sample: str, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_completions/{sample}.sse")
    expected = relay(stream, asked(usage=False))[0]
    assert all(relay(stream, asked(usage=False), (cut,))[0] == expected for cut in range(1, len(stream)))


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_asked_model_is_put_in_and_usage_hidden_from_who_did_not_ask(sample: str, read_sample: Callable[[str], bytes]):
    stream = read_sample(f"openai_completions/{sample}.sse")
    out, tap = relay(stream, asked(usage=False))
    assert tap.edits >= {"reply_model", "usage_hidden"}
    assert {chunk["model"] for chunk in datas(out)} == {"asked"}
    assert all(chunk.get("usage") is None for chunk in datas(out))
    before = [{**chunk, "model": "asked"} for chunk in datas(stream) if chunk]
    kept = [{key: value for key, value in chunk.items() if key != "usage"} for chunk in before if chunk["choices"]]
    assert [{key: value for key, value in chunk.items() if key != "usage"} for chunk in datas(out)] == kept


def test_a_whole_reply_is_relayed_with_its_model_alone_changed():
    body = b'{"id":"i", "object":"text_completion","model":"up","choices":[{"text":"a","index":0,"finish_reason":"length"}],"x":1.50}'
    assert openai_completions.relay_whole(body, asked(model="up"))[0] is body
    out, tap = openai_completions.relay_whole(body, asked())
    assert json.loads(out) == {**json.loads(body), "model": "asked"}
    assert b"1.50" in out
    assert (tap.finish, tap.answered_model, tap.edits) == ("length", "up", {"reply_model"})


def whole_of(texts: list[str], **more: Any) -> bytes:
    choices = [{"index": at, "text": text, "finish_reason": "length", "logprobs": None} for at, text in enumerate(texts)]
    counted = {"completion_tokens": 5, "prompt_tokens": 8, "total_tokens": 13}
    return json.dumps(
        {"id": "c", "object": "text_completion", "model": "m", "choices": choices, "usage": counted, **more}
    ).encode()


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (whole_of(["12345"]), Usage(input_tokens=8, output_tokens=5)),
        (whole_of(["12345"], timings={"prompt_n": 8}), Usage(input_tokens=8, output_tokens=5)),
        (whole_of(["12345", "1234567890"]), Usage(input_tokens=8, output_tokens=5)),
        (
            whole_of(["12345", "1234567890"], timings={"prompt_n": 8}),
            Usage(input_tokens=16, output_tokens=15, basis="estimated"),
        ),
        (whole_of(["", "1234"], timings={"prompt_n": 8}), Usage(input_tokens=16, output_tokens=10, basis="estimated")),
    ],
)
def test_llamas_report_beside_several_whole_answers_is_that_of_the_first_alone(body: bytes, usage: Usage):
    _, tap = openai_completions.relay_whole(body, asked())
    assert tap.usage == usage
    assert fold(openai_completions.reader().whole(body)).usage == usage
