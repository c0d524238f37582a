"""A runtime that plays bytes: whatever a script says, at whatever moment, over plain TCP. It trusts no HTTP library to be
wrong in the right way. Requests are read properly; the request's `model` names the script that answers it.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from support.rawclient import ClientFormat

HANG: Literal["hang"] = "hang"
"""Say nothing until the other side leaves."""
RST: Literal["rst"] = "rst"
"""Reset the connection."""
KEEP: Literal["keep"] = "keep"
"""Wait for the next request on this connection."""


class Drip:
    """Bytes one after the other, again and again where `times` says so, until the other side leaves."""

    def __init__(self, data: bytes, gap_s: float, *, step: int = 1, times: int = 1) -> None:
        self.data, self.gap_s, self.step, self.times = data, gap_s, step, times


Step = bytes | Drip | Literal["hang", "rst", "keep"]
Script = Callable[["Asked"], list[Step]]


class Asked:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        self.head = head
        self.body: dict[str, Any] = json.loads(body)
        self.connection = connection
        self.stream = bool(self.body.get("stream"))
        self.format: ClientFormat = "anthropic_messages" if b"/messages " in head.split(b"\r\n")[0] else "openai_chat"


class Hostile:
    """The server. `scripts` by model."""

    def __init__(self, scripts: dict[str, Script]) -> None:
        self.scripts = scripts
        self.asked: list[Asked] = []
        self.sent_bytes = 0
        self.connections = 0
        self.open = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while await self._answer(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except RuntimeError as error:  # uvloop's word for a transport that was reset
            if "closed" not in str(error):
                raise
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        asked = Asked(head, await reader.readexactly(lengths[0]), number)
        self.asked.append(asked)
        for step in self.scripts[asked.body["model"]](asked):
            if isinstance(step, bytes):
                await self._write(writer, step)
            elif isinstance(step, Drip):
                for _ in range(step.times):
                    for at in range(0, len(step.data), step.step):
                        await self._write(writer, step.data[at : at + step.step])
                        await asyncio.sleep(step.gap_s)
            elif step == "hang":
                await reader.read()
            elif step == "rst":
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                return True
        return False

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.sent_bytes += len(data)
        await writer.drain()


@asynccontextmanager
async def hostile(scripts: dict[str, Script]) -> AsyncIterator[Hostile]:
    server = Hostile(scripts)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


# What a good runtime would send, in pieces.

SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
SSE_CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def answer(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    """A whole answer with its length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(value: object, name: str = "") -> bytes:
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + as_json(value) + b"\n\n"


def said(form: ClientFormat, text: str) -> bytes:
    """A piece of content."""
    if form == "openai_chat":
        return event({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})
    return event(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}, "content_block_delta"
    )


def opened(form: ClientFormat, **more: Any) -> bytes:
    """What stands before content."""
    if form == "openai_chat":
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "model": "m",
            "choices": [{"index": 0, "delta": {"role": "assistant"}}],
        }
        return event(chunk | more)
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 3}}
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return event({"type": "message_start", "message": message | more}, "message_start") + event(begun, "content_block_start")


def finished(form: ClientFormat, **usage: Any) -> bytes:
    """The finish, without the end mark."""
    if form == "openai_chat":
        chunk: dict[str, Any] = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return event(chunk | ({"usage": usage} if usage else {}))
    stop = event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    return stop + event(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2} | usage}, "message_delta"
    )


def mark(form: ClientFormat) -> bytes:
    return b"data: [DONE]\n\n" if form == "openai_chat" else event({"type": "message_stop"}, "message_stop")


def ping(form: ClientFormat) -> bytes:
    return b": ping\n\n" if form == "openai_chat" else event({"type": "ping"}, "ping")


def reply(form: ClientFormat, text: str = "bad", **more: Any) -> dict[str, Any]:
    """A whole reply."""
    if form == "openai_chat":
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage} | more
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    } | more


def good(asked: Asked, text: str = "bad", **more: Any) -> bytes:
    """A proper answer as it was asked for, streams until the connection closes."""
    form = asked.format
    if not asked.stream:
        return answer(as_json(reply(form, text, **more)))
    return SSE_HEAD + opened(form, **more) + said(form, text) + finished(form) + mark(form)


def begun(asked: Asked, text: str = "bad") -> bytes:
    """A stream up to its first content; of a whole answer half."""
    form = asked.format
    if asked.stream:
        return SSE_HEAD + opened(form) + said(form, text)
    whole = answer(as_json(reply(form, text)))
    return whole[:-20]
