"""A gateway on a real socket in front of a runtime that a test scripts byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.gateway import NO_ENGINE, Served, deployment_toml, running, runtime_toml

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream:
    """Reads a request, then does what the test says; the connection stays open until the gateway closes it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.asked.set()
        try:
            await self._answer(writer)
            await reader.read()
        except ConnectionError:
            pass
        self.left.set()
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[[Answer], Awaitable[Upstream]]]:
    async with AsyncExitStack() as stack:

        async def start(answer: Answer) -> Upstream:
            made = Upstream(answer)
            server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            return made

        yield start


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    async with AsyncExitStack() as stack:

        async def start(*urls: str, rules: str = "", keep_alive_s: float = 10.0, **runtime: str) -> Served:
            text = NO_ENGINE + rules
            for index, url in enumerate(urls):
                text += runtime_toml(f"r{index}", "self_hosted", url, **runtime) + deployment_toml(f"r{index}", f"m{index}", "m")
            served = await stack.enter_async_context(running(text, {}, tmp_path))
            served.app.gateway.keep_alive_s = keep_alive_s
            return served

        yield start


class Client:
    """One request on a socket of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), 10)

    async def all(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 10)

    def leave(self) -> None:
        self._writer.close()


@pytest.fixture
async def ask() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    clients: list[Client] = []

    async def start(served: Served, path: str = "/v1/chat/completions", **body: Any) -> Client:
        asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9} | body).encode()
        host = served.url.removeprefix("http://")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
        head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(asked)}\r\n\r\n".encode() + asked)
        clients.append(Client(reader, writer))
        return clients[-1]

    yield start
    for client in clients:
        client.leave()


@pytest.fixture
def connections() -> Callable[[Served], tuple[int, int]]:
    """Upstream connections: open, and of those resting."""

    def count(served: Served) -> tuple[int, int]:
        berths = list(served.app.upstreams._berths.values())
        return sum(len(one.open) for one in berths), sum(len(one.resting) for one in berths)

    return count
