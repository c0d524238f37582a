"""Samples from the wire, and the vendor's own types as the judge of what we write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from freehold.wire.codec import Asked
from freehold.wire.sse import SseSplitter

SAMPLES = Path(__file__).resolve().parents[3] / "wire_samples" / "anthropic_messages"
_STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_REQUEST: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / name).read_bytes()


@pytest.fixture
def asked() -> Asked:
    return Asked(model="claude-asked", stream_usage=True, reply_id="msg_ours", now_s=1, prompt_tokens=21)


@pytest.fixture
def parse_stream() -> Callable[[bytes], list[Any]]:
    """Events as the SDK's types read them; each named as it is typed."""

    def parse(data: bytes) -> list[Any]:
        events = SseSplitter().feed(data)
        assert b"".join(event.raw for event in events) == data
        parsed = [_STREAM_EVENT.validate_json(event.data) for event in events]
        assert [event.name.decode() for event in events] == [event.type for event in parsed]
        return parsed

    return parse


@pytest.fixture
def accumulate(parse_stream: Callable[[bytes], list[Any]]) -> Callable[[bytes], dict[str, Any]]:
    """The message the SDK's stream helper puts together."""
    from anthropic.lib.streaming._messages import accumulate_event

    def put_together(data: bytes) -> dict[str, Any]:
        message: Any = None
        buffers: dict[int, bytes] = {}
        for event in parse_stream(data):
            message = accumulate_event(event=event, current_snapshot=message, json_bufs=buffers)
        return Message.model_validate(message.to_dict()).model_dump(exclude_none=True)

    return put_together


@pytest.fixture
def check_request() -> Callable[[bytes], Any]:
    """The request, once the SDK's parameter types have taken every part of it."""

    def check(body: bytes) -> Any:
        import json

        said = json.loads(body)
        _consume(_REQUEST.validate_python({**said, "stream": False}))
        return said

    return check


def _consume(value: Any) -> None:
    """The SDK's types check lists only as they are walked."""
    if isinstance(value, dict):
        for inner in value.values():
            _consume(inner)
    elif not isinstance(value, str | int | float | type(None)):
        for inner in value:
            _consume(inner)
