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


_PATHS: dict[ClientFormat, str] = {
    "anthropic_messages": "/messages",
    "openai_responses": "/responses",
    "openai_chat": "/chat/completions",
    "openai_completions": "/completions",
    "ollama": "/api/chat",
}
Step = bytes | Drip | Literal["hang", "rst", "keep"]
Script = Callable[["Asked"], list[Step]]


class Asked:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        self.head = head
        self.body: dict[str, Any] = json.loads(body)
        self.connection = connection
        self.stream = bool(self.body.get("stream"))
        path = head.split(b" ", 2)[1].decode()
        self.format: ClientFormat = next(form for form, end in _PATHS.items() if path.endswith(end))


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
