"""Requests of the Responses format, read and written as a gateway does."""

import json
from typing import Any

from freehold.chat import ChatRequest
from freehold.wire import openai_chat, openai_responses
from freehold.wire.codec import Sent


def read(**body: Any) -> ChatRequest:
    return openai_responses.read_request(openai_responses.peek(json.dumps({"model": "m", **body}).encode()))


def write(request: ChatRequest, *quirks: str, ceiling: int | None = None) -> Any:
    sent = Sent(model="theirs", quirks=frozenset(quirks), max_tokens_ceiling=ceiling)
    return json.loads(openai_responses.write_request(request, sent))


def chat(**body: Any) -> ChatRequest:
    said = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}
    return openai_chat.read_request(openai_chat.peek(json.dumps(said).encode()))
