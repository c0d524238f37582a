"""llama.cpp counts each of several answers for itself, or the first alone: what is metered is all of them."""

import json
from typing import Any

import pytest

from freehold.chat import Usage, fold
from freehold.wire import openai_chat
from freehold.wire.codec import Asked

ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=1)
COUNTED = {"completion_tokens": 5, "prompt_tokens": 32, "total_tokens": 37}
TIMED = {"timings": {"cache_n": 0, "prompt_n": 32}}


def chunk(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", **fields}).encode() + b"\n\n"


def piece(at: int, text: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": at, "delta": {"content": text}, "finish_reason": finish}


def stream(answers: int, more: dict[str, Any]) -> bytes:
    """Each answer, and behind its end its usage."""
    out = [chunk(choices=[piece(at, "hi", "length")]) + chunk(choices=[], usage=COUNTED, **more) for at in range(answers)]
    return b"".join(out) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(("answers", "more", "output"), [(1, TIMED, 5), (2, TIMED, 10), (3, TIMED, 15), (3, {}, 5)])
def test_of_a_stream_the_answers_are_added_up(answers: int, more: dict[str, Any], output: int) -> None:
    data = stream(answers, more)
    pipe, reader = openai_chat.relay_pipe(ASKED), openai_chat.reader()
    assert pipe.feed(data) + pipe.end() == data
    expected = Usage(input_tokens=32, output_tokens=output)
    assert pipe.tap.usage == expected
    assert fold([*reader.feed(data), *reader.end()]).usage == expected


@pytest.mark.parametrize(("answers", "more", "output"), [(1, TIMED, 5), (2, TIMED, 10), (2, {}, 5)])
def test_of_a_whole_reply_the_others_are_taken_to_be_as_long(answers: int, more: dict[str, Any], output: int) -> None:
    choices = [{"index": at, "message": {"content": "hi"}, "finish_reason": "length"} for at in range(answers)]
    whole = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": COUNTED, **more}
    data = json.dumps(whole).encode()
    body, tap = openai_chat.relay_whole(data, ASKED)
    assert body == data
    assert tap.usage == Usage(input_tokens=32, output_tokens=output, basis="estimated" if output > 5 else "reported")
    assert fold(openai_chat.reader().whole(data)).usage == tap.usage
