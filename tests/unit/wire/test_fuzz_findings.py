"""What coverage-guided fuzzing found, kept from coming back. The fuzzing itself is a proof (tests/proof/test_fuzz.py)."""

import json
from typing import Any

import pytest

from freehold.chat import fold
from freehold.fault import FaultError, Kind
from freehold.wire.codec import Asked
from freehold.wire.formats import CODECS

ASKED = Asked(model="m", stream_usage=True, reply_id="req_1", now_s=1_700_000_000)


def chat_reply(**more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop", **more.pop("choice", {})}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}).encode()


@pytest.mark.parametrize("spoken", sorted(CODECS))
@pytest.mark.parametrize("created", [-1, -(10**15), 10**15, 2**62], ids=str)
def test_any_time_an_upstream_says_can_be_written(spoken: Any, created: int) -> None:
    reply = fold(CODECS["openai_chat"].reader().whole(chat_reply(created=created)))
    json.loads(CODECS[spoken].write_whole(reply, ASKED))


@pytest.mark.parametrize("spoken", sorted(CODECS))
@pytest.mark.parametrize(
    "tokens",
    [[{"odd": 1}], [1], [[]], [None], [{"token": "t", "logprob": 0, "top_logprobs": 1}], [{"token": "t", "top_logprobs": [1]}]],
    ids=str,
)
def test_logprobs_of_an_unknown_shape_are_no_defect(spoken: Any, tokens: Any) -> None:
    odd = chat_reply(choice={"logprobs": {"content": tokens}})
    json.loads(CODECS[spoken].write_whole(fold(CODECS["openai_chat"].reader().whole(odd)), ASKED))


def test_a_reply_that_is_not_utf_8_is_refused_where_only_its_raw_part_is_wrong() -> None:
    odd = chat_reply(choice={"logprobs": {"content": [{"token": "HERE", "logprob": 0, "bytes": None, "top_logprobs": []}]}})
    broken = odd.replace(b"HERE", b"\xff")
    codec = CODECS["openai_chat"]
    for read in (lambda: codec.reader().whole(broken), lambda: codec.relay_whole(broken, ASKED)):
        with pytest.raises(FaultError) as error:
            read()
        assert error.value.fault.kind is Kind.INVALID_REPLY
    event = b"data: " + broken.replace(b'"message"', b'"delta"') + b"\n\n"
    with pytest.raises(FaultError) as error:
        codec.reader().feed(event)
    assert error.value.fault.kind is Kind.INVALID_REPLY


def test_tools_without_messages_are_no_defect() -> None:
    codec = CODECS["ollama"]
    tool = {"type": "function", "function": {"name": "look"}}
    codec.read_request(codec.peek(json.dumps({"model": "m", "messages": [], "tools": [tool]}).encode()))
