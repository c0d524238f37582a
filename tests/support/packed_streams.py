"""Streams as vendors send them, by format: many tokens in an event, or one in each. Their ends are left out, and their usage."""

import json
from typing import Any

SAID = [
    f"In step {number} the tests are run again, and whatever they say is read before anything else is changed in the code. "
    for number in range(30)
]
NAME = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
STARTED: dict[str, Any] = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}
RESPONSE: dict[str, Any] = {
    "id": "r1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "output": [],
    "status": "in_progress",
    "instructions": "long " * 3000,
}
ITEM: dict[str, Any] = {"id": "i1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
PLACE = {"item_id": "i1", "output_index": 0, "content_index": 0}


def chunks(**delta: str) -> dict[str, Any]:
    return NAME | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def events(name: str, said: list[str]) -> list[dict[str, Any]]:
    """Of a stream in that format, that far."""
    match name:
        case "openai_chat":
            return [chunks(role="assistant", content=""), *(chunks(content=text) for text in said)]
        case "anthropic_messages":
            usage = {"input_tokens": 9, "output_tokens": 1}
            begin = [
                {"type": "message_start", "message": STARTED | {"usage": usage}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "ping"},
            ]
            return begin + [
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in said
            ]
        case "openai_responses":
            begin = [{"type": "response.created", "response": RESPONSE}, {"type": "response.in_progress", "response": RESPONSE}]
            part = {"type": "output_text", "text": "", "annotations": []}
            begin += [{"type": "response.output_item.added", "output_index": 0, "item": ITEM}]
            begin += [{"type": "response.content_part.added", **PLACE, "part": part}]
            told = begin + [{"type": "response.output_text.delta", **PLACE, "delta": text, "logprobs": []} for text in said]
            return [event | {"sequence_number": number} for number, event in enumerate(told)]
        case _:
            return [
                {
                    "model": "m",
                    "created_at": "2026-11-21T10:00:00Z",
                    "message": {"role": "assistant", "content": text},
                    "done": False,
                }
                for text in said
            ]


FORMATS = ("openai_chat", "anthropic_messages", "openai_responses", "ollama")


def spelled(name: str, said: list[str]) -> list[bytes]:
    """The events as their bytes."""
    if name == "ollama":
        return [json.dumps(event).encode() + b"\n" for event in events(name, said)]
    named = name != "openai_chat"
    return [
        (f"event: {event['type']}\n" if named else "").encode() + f"data: {json.dumps(event)}\n\n".encode()
        for event in events(name, said)
    ]


def one_by_one(texts: int) -> list[str]:
    """About one token each."""
    return [f" {word}" for _ in range(texts) for word in ("the", "tests", "say", "so", "again", ",", "and", "I", "read", "them")]
