"""Marks, and requests that have them in every place: whatever else shows a mark, leaks."""

import base64
import json
from collections.abc import Iterator
from typing import Any

PROMPT, ANSWER = "canary-prompt-7f3a91", "canary-answer-52c8e0"
OWN_KEY, UPSTREAM_KEY, WRONG_KEY = "canary-own-key-d04b", "canary-upstream-key-e71c", "canary-wrong-key-93fa"
LEFT, ONCE, NAMED = "canary-left-for-a-batch-48d2", "canary-idempotency-key-66b9", "canary-name-of-something-a1f7"
MARKS = (PROMPT, ANSWER, OWN_KEY, UPSTREAM_KEY, WRONG_KEY, LEFT, ONCE, NAMED)
"""`LEFT` may be in the files that are kept for a batch. `NAMED` is what a client names its things by: sessions, files, batches; the
ledger has such names, and shows them.
"""
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}},
}


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


IMAGE = "data:image/png;base64," + base64.b64encode(PROMPT.encode() * 3).decode()
LINK = f"https://ann:{PROMPT}@images.example.com/{PROMPT}.png?sig={PROMPT}"


def every_place(stream: bool) -> Iterator[tuple[str, Any]]:
    """What agents send: tools with marked words, calls and their results, images, files, reasoning; what is refused is as good."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": json.dumps({"at": PROMPT})}}
    described: dict[str, Any] = {
        "description": PROMPT,
        "parameters": {"type": "object", "properties": {PROMPT: {"enum": [PROMPT]}}},
    }
    yield (
        "/v1/chat/completions",
        {
            "model": "auto",
            "stream": stream,
            "messages": [
                {"role": "system", "content": PROMPT},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": IMAGE}}],
                },
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": PROMPT},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": LINK}}]},
            ],
            "tools": [{"type": "function", "function": {"name": "look", **described}}],
            "prediction": {"type": "content", "content": PROMPT},
            "stop": [PROMPT],
            "safety_identifier": PROMPT,
        },
    )
    yield (
        "/v1/chat/completions",
        chat(
            [{"type": "file", "file": {"filename": f"{PROMPT}.pdf", "file_data": f"data:application/pdf;base64,{PROMPT}"}}],
            stream=stream,
        ),
    )
    yield (
        "/v1/messages",
        {
            "model": "auto",
            "stream": stream,
            "max_tokens": 50,
            "system": [{"type": "text", "text": PROMPT}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": PROMPT}, {"type": "image", "source": {"type": "url", "url": LINK}}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": PROMPT, "signature": PROMPT},
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": PROMPT}},
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": PROMPT}]}],
                },
            ],
            "tools": [
                {
                    "name": "look",
                    "description": PROMPT,
                    "input_schema": {"type": "object", "properties": {PROMPT: {"type": "string"}}},
                }
            ],
            "metadata": {"user_id": NAMED},
        },
    )
    yield (
        "/v1/responses",
        {
            "model": "auto",
            "stream": stream,
            "instructions": PROMPT,
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": PROMPT}, {"type": "input_image", "image_url": IMAGE}],
                },
                {
                    "type": "reasoning",
                    "id": "r1",
                    "summary": [{"type": "summary_text", "text": PROMPT}],
                    "encrypted_content": PROMPT,
                },
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": json.dumps({"at": PROMPT})},
                {"type": "function_call_output", "call_id": "c1", "output": PROMPT},
            ],
            "tools": [
                {"type": "function", "name": "look", **described},
                {"type": "mcp", "server_label": "x", "server_url": LINK, "authorization": PROMPT},
            ],
            "metadata": {"a": PROMPT},
            "prompt_cache_key": NAMED,
        },
    )
    yield "/v1/responses", {"model": "auto", "input": PROMPT, "previous_response_id": PROMPT, "stream": stream}
    yield (
        "/api/chat",
        {
            "model": "auto",
            "stream": stream,
            "messages": [
                {"role": "system", "content": PROMPT},
                {"role": "user", "content": PROMPT, "images": [base64.b64encode(PROMPT.encode()).decode()]},
                {"role": "assistant", "content": "", "thinking": PROMPT, "tool_calls": [{"function": {"name": "look", "arguments": {"at": PROMPT}}}]},
                {"role": "tool", "tool_name": "look", "content": PROMPT},
            ],
            "tools": [{"type": "function", "function": {"name": "look", **described}}],
            "format": {"type": "object", "properties": {PROMPT: {"type": "string"}}},
        },
    )  # fmt: skip


def requests() -> Iterator[tuple[str, Any]]:
    """Every API, whole and streamed, with marked text in every place for text."""
    for stream in (False, True):
        yield "/v1/chat/completions", chat(PROMPT, stream=stream, user="somebody", metadata={"a": PROMPT})
        yield "/v1/chat/completions", chat(PROMPT, stream=stream, tools=[TOOL], response_format={"type": "json_object"})
        yield "/v1/messages", {**chat(PROMPT, stream=stream), "max_tokens": 50, "system": PROMPT}
        yield "/v1/responses", {"model": "auto", "input": PROMPT, "instructions": PROMPT, "stream": stream}
        yield "/v1/completions", {"model": "auto", "prompt": PROMPT, "stream": stream}
        yield "/api/chat", chat(PROMPT, stream=stream)
        yield "/api/generate", {"model": "auto", "prompt": PROMPT, "stream": stream, "system": PROMPT, "template": PROMPT}
        yield "/api/generate", {"model": "auto", "prompt": PROMPT, "suffix": PROMPT, "stream": stream}
        yield from every_place(stream)
    yield "/v1/messages/count_tokens", chat(PROMPT)
    yield "/v1/embeddings", {"model": "embed", "input": [PROMPT, PROMPT]}
    yield "/api/embed", {"model": "embed", "input": PROMPT}
    yield "/v1/images/generations", {"model": "media", "prompt": PROMPT}
    yield "/v1/audio/speech", {"model": "media", "input": PROMPT, "voice": "alloy"}
    yield "/v1/moderations", {"model": "media", "input": PROMPT}
    yield "/v1/rerank", {"model": "media", "query": PROMPT, "documents": [PROMPT]}


def wrong_requests() -> Iterator[tuple[str, bytes]]:
    """Bodies that cannot be understood, each with a mark where it is wrong."""
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions", "/api/chat", "/v1/embeddings"):
        yield path, f'{{"model": "auto", "messages": "{PROMPT}'.encode()
        yield path, f'{{"model": "auto", "{PROMPT}": "\xff"'.encode("latin-1")
        for wrong in (
            {"messages": PROMPT, "input": {PROMPT: PROMPT}, "prompt": {PROMPT: 1}},
            {"messages": [{"role": PROMPT, "content": PROMPT}], "input": [[PROMPT]], "max_tokens": PROMPT},
            {
                "messages": [{"role": "user", "content": [{"type": PROMPT, "text": PROMPT}]}],
                "input": [{"type": "odd", "text": PROMPT}],
            },
            {**chat(PROMPT), "tools": [{"type": PROMPT}], "tool_choice": PROMPT, "max_tokens": -1},
            {**chat(PROMPT), "response_format": {"type": PROMPT}, "reasoning_effort": PROMPT, "stop": {PROMPT: 1}},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"ftp://{PROMPT}"}}]}]},
        ):
            yield path, json.dumps({"model": "auto", **wrong}).encode()


def hits(where: str, text: bytes) -> list[str]:
    """Marks in it, as they are or encoded as a header or a JSON document would."""
    spelled = {mark: (mark.encode(), base64.b64encode(mark.encode())[:-4], mark.encode().hex().encode()) for mark in MARKS}
    return [f"{mark} in {where}" for mark, forms in spelled.items() if any(form in text for form in forms)]
