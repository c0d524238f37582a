"""What counts as named by an address, and what is a text, a call or a schema and does not."""

import json
from typing import Any

import msgspec
import pytest

from freehold.wire.addresses import count_beside, count_in_block, count_in_body, is_address

AWAY = "http://images.example/a.png"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA = f"data:image/png;base64,{PIXEL}"
JPEG = "/9j/4AAQSkZJRgABAQEASABIAAD" + "A" * 60

PLACES = [
    AWAY, "https://x", "HTTP://X", " \n\thttp://x", "http.evil.example/a", "httpevil", "//x.example/a", "file:///etc/passwd",
    "FILE:/etc/passwd", "ftp://x/a", "s3://bucket/a", "gs:x", "\\\\host\\share\\a.png", "C:\\a.png", "/etc/passwd", "/home/ann/a.png",
    "../a.png", "./a", "~/a.png", "~ann/a",
]  # fmt: skip
NO_PLACES = [DATA, f"  {DATA}", "DATA:,x", PIXEL, JPEG, "", "png", "image/png", "wav"]


@pytest.mark.parametrize("said", PLACES)
def test_a_url_and_a_path_are_addresses(said: str) -> None:
    assert is_address(said)
    assert is_address(said, is_place=True)


@pytest.mark.parametrize("said", NO_PLACES)
def test_data_is_none(said: str) -> None:
    assert not is_address(said)
    assert not is_address(said, is_place=True)


@pytest.mark.parametrize("said", ["a.png", "images.example/a", "localhost:80/a"])
def test_where_a_place_stands_all_but_data_is_one(said: str) -> None:
    assert is_address(said, is_place=True)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": f"see {AWAY}"}, *parts]}


NAMED: list[Any] = [
    user({"type": "image_url", "image_url": {"url": AWAY}}),
    user({"type": "image_url", "image_url": AWAY}),
    user({"image_url": AWAY, "type": ""}),
    user({"type": "text", "text": "x", "image_url": AWAY}),
    user({"type": "video_url", "video_url": {"url": AWAY}}),
    user({"type": "audio_url", "audio_url": {"url": AWAY}}),
    user({"type": "input_audio", "input_audio": {"data": AWAY, "format": "wav"}}),
    user({"type": "file", "file": {"file_data": AWAY, "filename": "a.pdf"}}),
    user({"type": "image", "source": {"type": "url", "url": AWAY}}),
    user({"type": "image", "source": AWAY}),
    user({"type": "document", "source": {"type": "url", "url": AWAY}, "title": "t"}),
    user(
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": AWAY}}]},
        }
    ),
    user({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": AWAY}}]}),
    user({"type": "something new", "deep": [{"er": {"still": [AWAY]}}]}),
    user({"type": "input_image", "image_url": AWAY}),
    user({"type": "input_file", "file_url": AWAY}),
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": AWAY}]},
    {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": AWAY}},
    {"role": "user", "content": "look", "images": [AWAY]},
    {"role": "user", "content": "look", "image_url": AWAY},
    [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": AWAY}}],
    [{"type": "mcp", "server_label": "x", "server_url": "x.example"}],
    [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}],
]
NOT_NAMED: list[Any] = [
    {"role": "user", "content": AWAY},
    user(),
    {"role": "user", "content": [AWAY]},
    user({"type": "image_url", "image_url": {"url": DATA, "detail": "auto"}}),
    user({"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}}),
    user({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG}}),
    user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": AWAY}, "title": AWAY}),
    user({"type": "file", "file": {"file_id": "file-1", "filename": "C:\\a.pdf"}}),
    user({"type": "tool_use", "id": "t", "name": "fetch", "input": {"url": AWAY}}),
    user({"type": "tool_result", "tool_use_id": "t", "content": AWAY}),
    user({"type": "tool_result", "content": [{"type": "text", "text": AWAY, "cache_control": {"type": "ephemeral"}}]}),
    user({"type": "search_result", "source": AWAY, "title": "t", "content": [{"type": "text", "text": "t"}]}),
    user({"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": AWAY}]}),
    user({"type": "output_text", "text": "t", "annotations": [{"type": "url_citation", "url": AWAY}]}),
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "get", "arguments": json.dumps({"url": AWAY})}}]},
    {"type": "function_call", "call_id": "c", "name": "get", "arguments": json.dumps({"url": AWAY})},
    {"type": "function_call_output", "call_id": "c", "output": AWAY},
    {"type": "web_search_call", "action": {"type": "open_page", "url": AWAY}},
    {"role": "user", "content": "look", "images": [JPEG, PIXEL]},
    [{"type": "function", "function": {"name": "f", "parameters": {"$schema": AWAY}}}],
    [{"name": "f", "description": AWAY, "input_schema": {"$id": AWAY}}, {"type": "bash_20250124", "name": "bash"}],
    [{"type": "custom", "name": "f", "description": "x", "format": {"type": "grammar", "definition": AWAY}}],
    [{"type": "text", "text": AWAY}],
    [{"type": "web_search"}, {"type": "function", "name": "web_search", "parameters": {}}],
    AWAY,
]


@pytest.mark.parametrize("piece", NAMED, ids=repr)
def test_media_and_tools_elsewhere_count(piece: Any) -> None:
    assert count_in_block(msgspec.json.encode(piece)) == 1


def test_escapes_hide_nothing() -> None:
    assert count_in_block(rb'{"role":"user","content":[{"type":"x","\u0069mage_url":"\u0068ttp:\/\/x"}]}') == 1


@pytest.mark.parametrize("piece", NOT_NAMED, ids=repr)
def test_texts_calls_results_and_schemas_do_not(piece: Any) -> None:
    assert count_in_block(msgspec.json.encode(piece)) == 0


def test_no_depth_is_too_deep() -> None:
    deep = b'{"role":"user","content":[' + b'{"type":"x","in":' * 300 + b'"http://x"' + b"}" * 300 + b"]}"
    assert count_in_block(deep) == 1


def top(body: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in body.items()}


def test_fields_beside_the_prompt_count() -> None:
    assert count_beside(top({"model": "m", "messages": [], "metadata": {"url": AWAY}})) == 0
    assert count_beside(top({"model": "m", "images": [AWAY, PIXEL], "video_url": AWAY})) == 2
    assert count_beside(top({"model": "m", "mcp_servers": [{"type": "url", "url": AWAY, "name": "x"}]})) == 1


BODIES: list[tuple[dict[str, Any], int]] = [
    ({"model": "m", "input": AWAY}, 0),
    ({"model": "m", "input": [AWAY, "{ is a brace }"]}, 0),
    ({"model": "m", "input": [1, 2]}, 0),
    ({"model": "m", "query": AWAY, "documents": [AWAY, {"text": AWAY}]}, 0),
    ({"model": "m", "prompt": AWAY, "user": AWAY, "response_format": "url"}, 0),
    ({"model": "m", "input": [{"type": "text", "text": AWAY}, {"type": "image_url", "image_url": {"url": AWAY}}]}, 1),
    ({"model": "m", "query": "q", "documents": [{"image": AWAY}]}, 1),
    ({"model": "m", "input": "x", "messages": [user({"type": "image_url", "image_url": {"url": AWAY}})]}, 1),
    ({"model": "m", "prompt": "x", "images": [{"image_url": AWAY}, {"file_id": "f"}], "mask": {"image_url": DATA}}, 1),
    ({"model": "m", "input": "x", "voice": "alloy"}, 0),
    ({"model": "m", "input": "x", "voice": "/srv/voices/ann.wav"}, 1),
]


@pytest.mark.parametrize(("body", "found"), BODIES, ids=repr)
def test_requests_that_are_no_chat_are_looked_through(body: dict[str, Any], found: int) -> None:
    assert count_in_body(top(body)) == found
