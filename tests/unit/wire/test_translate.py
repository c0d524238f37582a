import json
from collections.abc import Callable

import pytest

from freehold.chat import Usage
from freehold.fault import FaultError, Kind
from freehold.wire import openai_chat
from freehold.wire.codec import Asked
from freehold.wire.translate import TranslatePipe
from support.translated import translate_whole

ASKED = Asked(model="alias", stream_usage=True, reply_id="r", now_s=1)


def pipe() -> TranslatePipe:
    return TranslatePipe(openai_chat.reader(), openai_chat.writer(ASKED))


def test_a_translated_stream_ends_properly_and_fills_the_tap(read_sample: Callable[[str], bytes]):
    way = pipe()
    out = way.feed(read_sample("openai_chat/parallel_tools.sse")) + way.end()
    assert out.endswith(b"data: [DONE]\n\n")
    assert (way.tap.content, way.tap.finish, way.tap.tool_calls) == (True, "tool_calls", 2)
    assert (way.tap.answered_model, way.tap.fingerprint) == ("gpt-5.4-2026-01-01", "fp_44709d6fcb")
    assert way.tap.usage == Usage(input_tokens=120, output_tokens=34, cached_tokens=64, reasoning_tokens=8)


@pytest.mark.parametrize("name", ["parallel_tools", "llama_reasoning", "two_choices_logprobs", "careless_tools"])
def test_translating_twice_changes_nothing_more(name: str, read_sample: Callable[[str], bytes]):
    first, second = pipe(), pipe()
    once = first.feed(read_sample(f"openai_chat/{name}.sse")) + first.end()
    assert second.feed(once) + second.end() == once


def test_relay_and_translation_meter_alike(read_sample: Callable[[str], bytes]):
    for name in ("parallel_tools", "llama_reasoning", "two_choices_logprobs", "refusal"):
        stream = read_sample(f"openai_chat/{name}.sse")
        translated, relayed = pipe(), openai_chat.relay_pipe(ASKED)
        translated.feed(stream)
        relayed.feed(stream)
        for fact in ("content", "finish", "tool_calls", "usage", "answered_model", "fingerprint"):
            assert getattr(translated.tap, fact) == getattr(relayed.tap, fact), (name, fact)


def test_a_preamble_is_no_content():
    way = pipe()
    assert way.feed(b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n')
    assert not way.tap.content


def test_a_cut_stream_never_ends_quietly():
    way = pipe()
    way.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
    with pytest.raises(FaultError) as caught:
        way.end()
    assert caught.value.fault.kind is Kind.BROKEN_STREAM


def test_a_whole_reply_is_the_fold_of_its_events(read_sample: Callable[[str], bytes]):
    body, tap = translate_whole(openai_chat, openai_chat, read_sample("openai_chat/whole_tools.json"), ASKED)
    told, came = json.loads(body), json.loads(read_sample("openai_chat/whole_tools.json"))
    assert told["model"] == "alias"
    for kept in ("id", "created", "system_fingerprint"):
        assert told[kept] == came[kept]
    came["choices"][0]["message"].pop("annotations")
    assert told["choices"] == came["choices"]
    assert {key: came["usage"][key] for key in told["usage"]} == told["usage"]
    assert (tap.finish, tap.tool_calls, tap.content) == ("tool_calls", 2, True)
