"""Bodies nobody should send, for every endpoint that takes JSON: what is wrong, and the bytes."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages/count_tokens": {"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/embeddings": {"model": "auto", "input": "hi"},
    "/v1/completions": {"model": "auto", "prompt": "hi"},
    "/v1/responses": {"model": "auto", "input": "hi"},
    "/api/chat": {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": False},
    "/api/generate": {"model": "auto", "prompt": "hi", "stream": False},
    "/api/embed": {"model": "auto", "input": "hi"},
    "/v1/moderations": {"model": "auto", "input": "hi"},
    "/v1/rerank": {"model": "auto", "query": "hi", "documents": ["a"]},
    "/v1/images/generations": {"model": "auto", "prompt": "hi"},
    "/v1/audio/speech": {"model": "auto", "input": "hi", "voice": "a"},
}
MODEL_IS_OPTIONAL = ("/v1/images/generations", "/v1/moderations")
LOADS = {("/api/chat", "messages"), ("/api/generate", "prompt")}
"""Left out, they ask Ollama to load a model, which is no fault."""
CHATS = ("/v1/chat/completions", "/v1/messages", "/api/chat")


def broken_json(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that are no JSON object, whatever the endpoint."""
    yield "empty", b""
    yield "blank", b" \n"
    for value in (b"null", b"1", b'"x"', b"[]", b"true", b"[{}]"):
        yield f"not an object: {value.decode()}", value
    yield "cut in the middle", good[: len(good) // 2]
    yield "cut at the end", good[:-1]
    yield "two documents", good + good
    yield "rubbish behind", good + b"x"
    yield "a NUL behind", good + b"\0"
    yield "single quotes", good.replace(b'"', b"'")
    yield "a comment", b"/* hi */" + good
    yield "a trailing comma", good[:-1] + b",}"
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "UTF-16", good.decode().encode("utf-16")
    yield "bad UTF-8", good.replace(b"hi", b"h\xff\xfei")
    yield "overlong UTF-8", good.replace(b"hi", b"\xc0\xaf")
    yield "a raw control character", good.replace(b"hi", b"h\ni")
    yield "an escape that is none", good.replace(b"hi", b"\\x41")
    yield "NaN", good[:-1] + b',"temperature":NaN}'
    yield "Infinity", good[:-1] + b',"temperature":-Infinity}'
    yield "compressed", gzip.compress(good)
    yield "deep arrays", good[:-1] + b',"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    yield "deep objects", good[:-1] + b',"x":' + b'{"a":' * 300_000 + b"1" + b"}" * 300_000 + b"}"
    yield "an open depth", good[:-1] + b',"x":' + b"[" * 1_000_000
    yield "a key said twice", b'{"model":"other",' + good[1:]
    yield "a form", b"model=auto&messages=hi"


def wrong_fields(path: str) -> Iterator[tuple[str, bytes]]:
    """Fields that are missing or of the wrong kind."""
    good = GOOD[path]
    yield "no fields", b"{}"
    for name in good:
        if name != "stream" and not (name == "model" and path in MODEL_IS_OPTIONAL) and (path, name) not in LOADS:
            yield f"without {name}", dumps({key: value for key, value in good.items() if key != name})
    for value in (1, "", [], {}, True, *(() if path in MODEL_IS_OPTIONAL else (None,))):
        yield f"model is {value!r}", dumps(good | {"model": value})
    yield "an unknown model", dumps(good | {"model": "nobody/has-heard-of-it"})
    yield "a huge model name", dumps(good | {"model": "m" * 1_000_000})
    if path in CHATS or path.endswith("count_tokens"):
        yield from wrong_messages(path)
    else:
        name = next(key for key in good if key != "model")
        for value in (1, True, {}, {"a": 1}, [None], [{}], [[[1]]], *(() if (path, name) in LOADS else (None,))):
            yield f"{name} is {value!r}", dumps(good | {name: value})


def wrong_messages(path: str) -> Iterator[tuple[str, bytes]]:
    """A conversation with something wrong in it."""
    good = GOOD[path]
    for value in (None, 1, "hi", {}, [None], [1], ["hi"], [[]], [{}], [{"role": "user"}]):
        if path == "/api/chat" and value is None:
            continue  # a load request
        if path != "/v1/messages" and value == [{"role": "user"}]:
            continue
        yield f"messages is {value!r}", dumps(good | {"messages": value})
    for role in (None, 1, "", "emperor", [], {}):
        yield f"role is {role!r}", dumps(good | {"messages": [{"role": role, "content": "hi"}]})
    contents: list[Any] = [1, True, {}, {"type": "text"}, [None], [1], [{}], [{"type": 1}], [{"type": None}], [[]]]
    if path == "/api/chat":
        contents = [1, True, {}, [1]]
    for content in contents:
        yield f"content is {content!r}", dumps(good | {"messages": [{"role": "user", "content": content}]})


def wrong_options(path: str) -> Iterator[tuple[str, bytes]]:
    """Options of chats that no runtime should see."""
    good = GOOD[path]
    options: dict[str, list[Any]] = {
        "/v1/chat/completions": [
            {"max_tokens": "many"}, {"max_tokens": 1.5}, {"max_tokens": True},  # -1 is "no limit" to some servers
            {"n": 0}, {"n": -1}, {"n": "two"}, {"n": 10**9}, {"stream": "yes"}, {"stream": 1}, {"stream_options": 1},
            {"tools": "x"}, {"tools": [1]}, {"tools": {}}, {"logprobs": "x"}, {"response_format": "json"},
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 1}]}]},
            {"messages": [{"role": "tool", "content": "x", "tool_call_id": 1}]},
            {"messages": [{"role": "assistant", "tool_calls": 1}]},
            {"messages": [{"role": "assistant", "tool_calls": [1]}]},
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": 1, "function": 1}]}]},
        ],
        "/v1/messages": [
            {"max_tokens": -1}, {"max_tokens": "many"}, {"max_tokens": 1.5}, {"max_tokens": 10**30}, {"max_tokens": None},
            {"stream": "yes"}, {"tools": "x"}, {"tools": [1]}, {"tools": {}}, {"thread": {"id": "x"}},
            {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
            {"system": 1}, {"system": [1]}, {"metadata": 1}, {"metadata": {"user_id": 1}},
        ],
        "/api/chat": [{"stream": "yes"}, {"options": 1}, {"options": []}, {"tools": "x"}, {"tools": [1]}],
    }  # fmt: skip
    for option in options[path]:
        yield f"option {option!r}"[:80], dumps(good | option)


def dumps(value: Any) -> bytes:
    """As clients write it."""
    return json.dumps(value).encode()
