"""Scripted engines for discovery: HTTP servers on loopback that answer as the engines' own documents show.

The answers are ours, made after the shapes in the published documents; only llama-server's was read from a running one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

Answer = Any
"""JSON to answer with; bytes as they are; a callable that writes to the connection itself."""

MIB = 1 << 20


class Engine:
    """One server. `asked` are the paths that came."""

    def __init__(self, answers: dict[str, Answer], headers: dict[str, str] | None = None) -> None:
        self.answers = answers
        self.headers = headers or {}
        self.asked: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                length = next(
                    (int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
                )
                body = await reader.readexactly(length)
                self.asked.append(path)
                await self._answer(path, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        said = self.answers.get(path, self.answers.get("*"))
        status = 200
        if isinstance(said, tuple):
            status, said = said
        if isinstance(said, dict) and "by model" in said:
            said = said["by model"].get(json.loads(body)["model"])
        if callable(said):
            await said(writer)
            return
        if said is None:
            status, said = 404, {"error": "not found"}
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        kind = "text/html" if data.startswith(b"<") else "application/json"
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}\r\n".encode() + data)
        await writer.drain()


@asynccontextmanager
async def running_engine(answers: dict[str, Answer], **more: Any) -> AsyncIterator[Engine]:
    engine = Engine(answers, **more)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def listed(owner: str, *ids: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": one, "object": "model", "created": 1, "owned_by": owner, **more} for one in ids]}


def shown(capabilities: list[str], *, trained: int = 131072, **more: Any) -> dict[str, Any]:
    return {
        "capabilities": capabilities,
        "model_info": {"qwen3.context_length": trained, "general.architecture": "qwen3"},
        **more,
    }


def tag(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "model": name, "size": 2_600_000_000, "digest": f"sha-{name}", "details": {"format": "gguf"}, **more}


def ollama(*tags: dict[str, Any], shows: dict[str, Any] | None = None, loaded: dict[str, int] | None = None) -> dict[str, Answer]:
    return {
        "/": b"Ollama is running",
        "/api/version": {"version": "0.14.2"},
        "/api/tags": {"models": list(tags)},
        "/api/ps": {"models": [{"name": name, "context_length": context} for name, context in (loaded or {}).items()]},
        "/api/show": {"by model": {one["name"]: shown(["completion", "tools"]) for one in tags} | (shows or {})},
        "/v1/models": listed("library", *(one["name"] for one in tags)),
    }


OLLAMA = ollama(
    tag("qwen3:4b"),
    tag("gemma4:latest"),
    tag("nomic-embed-text:latest"),
    tag("gpt-oss:120b-cloud", remote_model="gpt-oss:120b", remote_host="https://ollama.com:443", size=384),
    tag("kimi:cloud", size=5_000_000_000),
    tag("alias", size=340),
    tag("quiet"),
    shows={
        "qwen3:4b": shown(["completion", "tools", "thinking"], trained=40960),
        "gemma4:latest": shown(["completion", "vision"], parameters="temperature 0.7\nnum_ctx 16384"),
        "nomic-embed-text:latest": shown(["embedding"], trained=2048),
        "quiet": shown(["completion"], remote_host="https://ollama.com:443"),
    },
    loaded={"qwen3:4b": 32768},
)
LM_STUDIO: dict[str, Answer] = {
    "*": {"error": "Unexpected endpoint or method. (GET)"},
    "/v1/models": listed("organization_owner", "qwen/qwen3-4b"),
    "/api/v0/models": {
        "object": "list",
        "data": [
            {"id": "qwen/qwen3-4b", "type": "llm", "state": "loaded", "max_context_length": 262144, "loaded_context_length": 8192,
             "capabilities": ["tool_use"]},
            {"id": "qwen2-vl-7b-instruct", "type": "vlm", "state": "not-loaded", "max_context_length": 32768},
            {"id": "text-embedding-nomic-embed-text-v1.5", "type": "embeddings", "state": "not-loaded", "max_context_length": 2048},
        ],
    },
}  # fmt: skip
LINKED_LM_STUDIO = LM_STUDIO | {"/api/v1/models": {"models": [{"type": "llm", "key": "qwen/qwen3-4b", "loaded_instances": []}]}}
VLLM: dict[str, Answer] = {
    "/version": {"version": "0.32.0"},
    "/v1/models": listed("vllm", "Qwen/Qwen3-8B", max_model_len=40960),
}
SGLANG: dict[str, Answer] = {
    "/model_info": {"model_path": "Qwen/Qwen3-8B", "is_generation": True, "has_image_understanding": True},
    "/server_info": {"version": "0.5.9", "tool_call_parser": "qwen25", "context_length": None},
    "/v1/models": listed("sglang", "Qwen/Qwen3-8B", max_model_len=32768),
}
OLD_SGLANG: dict[str, Answer] = {
    "/get_model_info": {"model_path": "e5", "is_generation": False},
    "/get_server_info": {"version": "0.4.6", "context_length": 4096},
    "/v1/models": listed("sglang", "e5"),
}
LLAMA_SWAP: dict[str, Answer] = {
    "/running": {"running": []},
    "/v1/models": {
        "object": "list",
        "data": [
            {"id": "qwen3", "object": "model", "owned_by": "llama-swap", "meta": {"llamaswap": {"type": "model"}}},
            {"id": "big", "object": "model", "owned_by": "llama-swap", "meta": {"llamaswap": {"peerID": "titan"}}},
        ],
    },
}
LOCALAI: dict[str, Answer] = {
    "/.well-known/localai.json": {"version": "v4.9.0", "endpoints": {"models": "/v1/models"}, "capabilities": {}},
    "/system": {
        "backends": ["llama-cpp", "cloud-proxy"],
        "loaded_models": [{"id": "gemma", "backend": "llama-cpp"}, {"id": "claude", "backend": "cloud-proxy"}],
    },
    "/v1/models": listed("", "gemma", "claude", "asleep"),
    "/api/version": {"version": "v4.9.0"},
    "/api/tags": {"models": [tag("claude")]},
}
KOBOLDCPP: dict[str, Answer] = {
    "/api/extra/version": {"result": "KoboldCpp", "version": "1.101"},
    "/api/extra/true_max_context_length": {"value": 8192},
    "/v1/models": listed("koboldcpp", "koboldcpp/Qwen3-4B-Q4_K_M"),
    "/api/version": {"version": "0.7.0"},
}
FOUNDRY: dict[str, Answer] = {
    "/openai/status": {"Endpoints": ["http://127.0.0.1:55137"], "ModelDirPath": "models", "PipeName": "inference_agent"},
    "/v1/models": listed("Microsoft", "phi-4-mini-instruct-generic-cpu", toolCalling=True, vision=False, maxInputTokens=4096),
}
FREEHOLD = ollama(tag("auto")) | {"/healthz": {"status": "ok", "name": "freehold", "version": "1"}}
LITELLM = {"/health/liveliness": "I'm alive!", "/v1/models": listed("openai", "gpt-5.5")}
ROUTER = {"/": {"message": "LLMs API", "version": "2.0.0"}}


def drips(every_s: float) -> Callable[[asyncio.StreamWriter], Any]:
    """A body that never ends, one byte at a time."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(every_s)

    return write


async def hangs(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def floods(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"[" * 0x10000 + b"\r\n")
        await writer.drain()


async def talks_nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


async def redirects(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
