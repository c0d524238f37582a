"""Cached tokens come out of llama.cpp's own timings where its compatible answer hides them."""

import json

import pytest

from freehold.chat import Usage, UsageReported, fold
from freehold.wire import openai_chat
from freehold.wire.codec import Asked

USAGE = {"prompt_tokens": 6098, "completion_tokens": 3, "total_tokens": 6101}
TIMINGS = {"cache_n": 6059, "prompt_n": 39, "prompt_ms": 104.0, "predicted_n": 3, "predicted_per_second": 100.0}
READ = Usage(input_tokens=6098, output_tokens=3, cached_tokens=6059)
ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=0)


def chunk(**more: object) -> bytes:
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", **more}).encode() + b"\n\n"


STREAM = (
    chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "done"}}])
    + chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + chunk(choices=[], usage=USAGE, timings=TIMINGS)
    + b"data: [DONE]\n\n"
)
WHOLE = json.dumps(
    {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}],
        "usage": USAGE,
        "timings": TIMINGS,
    }
).encode()


def test_a_stream_that_is_translated() -> None:
    reader = openai_chat.reader()
    events = reader.feed(STREAM) + reader.end()
    assert [event.usage for event in events if isinstance(event, UsageReported)] == [READ]


def test_a_stream_that_is_relayed_as_it_is() -> None:
    pipe = openai_chat.relay_pipe(ASKED)
    assert pipe.feed(STREAM) + pipe.end() == STREAM
    assert pipe.tap.usage == READ


@pytest.mark.parametrize("relayed", [False, True])
def test_a_whole_reply(relayed: bool) -> None:
    usage = openai_chat.relay_whole(WHOLE, ASKED)[1].usage if relayed else fold(openai_chat.reader().whole(WHOLE)).usage
    assert usage == READ


def test_what_the_compatible_answer_says_goes_first() -> None:
    told = json.loads(WHOLE) | {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 6000}}}
    _, tap = openai_chat.relay_whole(json.dumps(told).encode(), ASKED)
    assert tap.usage is not None
    assert tap.usage.cached_tokens == 6000


def test_a_prompt_that_was_read_is_known_before_the_answer_ends() -> None:
    reader = openai_chat.reader()
    begun = [{"index": 0, "delta": {"role": "assistant", "content": None}}]
    half = chunk(choices=begun, prompt_progress={"total": 6098, "cache": 6059, "processed": 6070, "time_ms": 9})
    assert not any(isinstance(event, UsageReported) for event in reader.feed(half))
    read = reader.feed(chunk(choices=begun, prompt_progress={"total": 6098, "cache": 6059, "processed": 6098, "time_ms": 99}))
    known = Usage(input_tokens=6098, output_tokens=0, cached_tokens=6059, basis="estimated")
    assert [event.usage for event in read if isinstance(event, UsageReported)] == [known]
    assert fold(read + reader.feed(STREAM) + reader.end()).usage == READ, "the report at the end stands for all of it"
