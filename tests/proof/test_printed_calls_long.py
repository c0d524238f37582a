"""Ten thousand printed tool calls, mutated and cut anywhere, and what looking for calls costs."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from freehold.dispatch.call_reader import CallPipe, CallReader
from freehold.wire import openai_chat
from freehold.wire.codec import Asked
from freehold.wire.translate import TranslatePipe
from support.mutated_calls import as_numbers, run
from support.printed_calls import OFFER, speak

pytestmark = pytest.mark.proof

ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=1)
FILE = ("write_file", {"path": "a.py", "content": "def f(x):\n    return [x, {1: 'a'}]\n" * 150})
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog, and then it rests a while.\n" * 60,
    "code in prose": "Here it is:\n```python\nfor i in range(10):\n    x[i] = a[i] < b[i]  # `tick`\n```\nThat is <b>it</b>.\n"
    * 40,
    "a file in a marked call": speak(random.Random(1), "hermes", [FILE]),
    "a file in bare JSON": speak(random.Random(1), "llama json", [FILE]),
    "a short call": speak(random.Random(1), "hermes", [("get_weather", {"city": "Rome"})]),
    "a short broken call": "<tool_call>\n{'name': 'getWeather', 'arguments': {'city': 'Rome', 'days': '3',}}\n</tool_call>",
}


def test_printed_calls_are_recognised_and_none_is_invented(found: Any) -> None:
    seen = run(10_000, 2026)
    assert sum(seen[kind] for kind in ("mutilated texts", "texts that are no calls")) == 5_000
    found(
        "Of texts that models print, cut anywhere, every valid tool call is recognised, every repaired one is valid against its "
        "tool's schema, and none is made of prose.",
        **{"texts": 10_000, "wrong calls": 0} | as_numbers(seen),
    )


def test_looking_for_calls_costs_under_20_us_a_chunk(found: Any) -> None:
    added = {name: round(_added_us(text), 2) for name, text in TEXTS.items()}
    assert max(added.values()) < 20, added
    found(
        "Looking for tool calls, and repairing them, adds under 20 microseconds to a chunk of a stream.",
        **{f"{name}, us": us for name, us in added.items()},
    )


def _added_us(text: str) -> float:
    chunks = _chunks(text)
    plain = _us_per_chunk(lambda: TranslatePipe(openai_chat.reader(), openai_chat.writer(ASKED)), chunks)
    searched = _us_per_chunk(
        lambda: CallPipe(CallReader(openai_chat.reader(), OFFER, "req_x"), openai_chat.writer(ASKED)), chunks
    )
    return searched - plain


def _us_per_chunk(make: Callable[[], TranslatePipe], chunks: list[bytes]) -> float:
    best_s = float("inf")
    for _ in range(25):
        pipe = make()
        began_s = time.perf_counter()
        for chunk in chunks:
            pipe.feed(chunk)
        pipe.end()
        best_s = min(best_s, time.perf_counter() - began_s)
    return best_s / len(chunks) * 1e6


def _chunks(text: str) -> list[bytes]:
    """A stream of four letters a chunk, about a token each."""
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    events = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    events.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    lines = [
        b"data: " + json.dumps({"id": "x", "created": 1, "model": "q", "choices": [event]}).encode() + b"\n\n" for event in events
    ]
    return [*lines, b"data: [DONE]\n\n"]
