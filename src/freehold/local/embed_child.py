"""The process of an embedding engine: one ONNX sentence encoder behind `POST /v1/embeddings` on a loopback port.

Promised: OpenAI's embeddings shape, unit-length vectors, its own key, clear 400s that name the field, no text in its log.
Deliberately not done: cutting long inputs silently (one over the context is a 400), token arrays as input, other
dimensions than the model's own.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn

from freehold.local.child import Parent, Ready, Settings
from freehold.local.embeddings import Encoder, InputError, read_request, write_reply

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

BODY_BYTES = 4 << 20
WAITING_REQUESTS = 64
"""More than this many at once are told to come back."""


class App:
    """The ASGI application: three paths and a key."""

    def __init__(self, encoder: Encoder, settings: Settings) -> None:
        self._encoder = encoder
        self._model = settings.model
        self._authorization = f"Bearer {settings.api_key}".encode()
        self._models = msgspec.json.encode(
            {
                "object": "list",
                "data": [
                    {
                        "id": settings.model,
                        "object": "model",
                        "created": 0,
                        "owned_by": "freehold",
                        "meta": {"n_ctx": encoder.context, "n_embd": encoder.dimensions},
                    }
                ],
            }
        )
        self._worker = ThreadPoolExecutor(1, "encode")
        self._waiting = 0

    async def __call__(self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, body = await self._answer(scope, receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answer(self, scope: "HTTPScope", receive: "ASGIReceiveCallable") -> tuple[int, bytes]:
        method, path = scope["method"], scope["path"]
        if (method, path) == ("GET", "/health"):
            return 200, b'{"status":"ok"}'
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not compare_digest(given, self._authorization):
            return 401, error_body("a valid key is needed: `authorization: Bearer KEY`", "authentication_error")
        match method, path:
            case "GET", "/v1/models":
                return 200, self._models
            case "POST", "/v1/embeddings":
                return await self._embed(receive)
            case _, "/health" | "/v1/models" | "/v1/embeddings":
                return 405, error_body(f"{method} is not for this path", "invalid_request_error")
        return 404, error_body("there is nothing at this path; embeddings are at /v1/embeddings", "not_found_error")

    async def _embed(self, receive: "ASGIReceiveCallable") -> tuple[int, bytes]:
        body = await _read_body(receive)
        if body is None:
            return 413, error_body(f"the body is over {BODY_BYTES} bytes; send fewer texts at once", "invalid_request_error")
        if self._waiting >= WAITING_REQUESTS:
            return 503, error_body("the embedding engine has too many requests waiting", "overloaded_error")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._work, body)
        finally:
            self._waiting -= 1

    def _work(self, body: bytes) -> tuple[int, bytes]:
        try:
            request = read_request(body, self._encoder.dimensions)
            vectors, tokens = self._encoder.encode(request.texts)
        except InputError as error:
            return 400, error_body(str(error), "invalid_request_error", param=error.param, code=error.code)
        return 200, write_reply(vectors, tokens, self._model, encoding=request.encoding_format)


class ReportingServer(uvicorn.Server):
    """Tells the parent the port the system gave."""

    def __init__(self, config: uvicorn.Config, parent: Parent, settings: Settings) -> None:
        super().__init__(config)
        self._parent = parent
        self._settings = settings

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Begin to listen, then report."""
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        self._parent.report(Ready(base_url=f"http://127.0.0.1:{port}/v1", model=self._settings.model, slots=1))


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """An error in OpenAI's shape."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


async def _read_body(receive: "ASGIReceiveCallable") -> bytes | None:
    """The whole body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b""
        parts.append(event["body"])
        size += len(event["body"])
        if size > BODY_BYTES:
            return None
        if not event["more_body"]:
            return b"".join(parts)


def main() -> None:
    """Load, listen, report, then answer until the parent ends or asks for the end."""
    parent = Parent()
    settings = parent.settings()
    encoder = Encoder(settings.weights, context=settings.context, threads=settings.threads)
    config = uvicorn.Config(
        App(encoder, settings),
        host="127.0.0.1",
        port=0,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    ReportingServer(config, parent, settings).run()


if __name__ == "__main__":
    main()
