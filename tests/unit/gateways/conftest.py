"""Hostile and friendly upstreams on real loopback sockets, under both event loops."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest
import uvloop

from freehold.gateways.connector import Address, Connector, read_base_url
from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.runtime import Script
from freehold.gateways.http import Call, Exchange, Upstreams
from freehold.runtime import Egress

Talk = Callable[["Peer", bytes], None]


class Peer(asyncio.Protocol):
    """One accepted connection. `talk` is called with each piece that arrives."""

    def __init__(self, upstream: "Upstream", talk: Talk) -> None:
        self.upstream = upstream
        self.talk = talk
        self.heard = bytearray()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.upstream.peers.append(self)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.upstream.requests += data.count(b" HTTP/1.1\r\n")
        self.talk(self, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        if not self.gone.done():
            self.gone.set_result(None)

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def write_and_close(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


class Upstream:
    """A server that says exactly what a test tells it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.peers: list[Peer] = []
        self.requests = 0

    def call(self, **changes: object) -> Call:
        fields: dict[str, object] = {
            "address": self.address,
            "path": "/chat",
            "headers": (("content-type", "application/json"),),
            "body": b"{}",
            "egress": Egress.LOCAL,
            "ceiling": Egress.LOCAL,
            "connect_timeout_s": 5.0,
            "head_timeout_s": 5.0,
        }
        return Call(**(fields | changes))  # type: ignore[arg-type]  # a test's own keywords


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test with a loop runs on both."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    made = Upstreams(Connector())
    yield made
    await made.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Talk], "asyncio.Future[Upstream]"]]:
    """`await serve(talk)`: an upstream whose every connection answers by `talk(peer, data)`."""
    servers: list[tuple[asyncio.Server, Upstream]] = []

    async def start(talk: Talk) -> Upstream:
        loop = asyncio.get_running_loop()
        upstream = Upstream(Address("127.0.0.1", 0, False, "/v1"))
        server = await loop.create_server(lambda: Peer(upstream, talk), "127.0.0.1", 0)
        upstream.address = Address("127.0.0.1", server.sockets[0].getsockname()[1], False, "/v1")
        servers.append((server, upstream))
        return upstream

    yield start  # type: ignore[misc]  # a coroutine function serves as well
    for server, upstream in servers:
        server.close()
        for peer in upstream.peers:
            peer.transport.abort()
        await server.wait_closed()


def answer(body: bytes = b"ok", *, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (extra, len(body), body)


@pytest.fixture(name="answer")
def answer_fixture() -> Callable[..., bytes]:
    return answer


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110 - a fact about a real socket, which has no event of its own; the test's time-out bounds it
        await asyncio.sleep(0)


@pytest.fixture(name="until")
def until_fixture() -> Callable[[Callable[[], object]], Awaitable[None]]:
    return until


@pytest.fixture
async def fake(upstreams):
    runtimes: list[FakeRuntime] = []

    async def start(script: Script | None = None, api_key: str | None = None) -> FakeRuntime:
        runtime = FakeRuntime(script, api_key=api_key)
        runtimes.append(runtime)
        address = read_base_url(await runtime.start())

        async def ask(text: str, path: str = "/chat/completions", **fields: object) -> Exchange:
            body = {"model": "fake-chat", "max_tokens": 500, "messages": [{"role": "user", "content": text}]} | fields
            return await send(path, json.dumps(body).encode())

        async def send(path: str, body: bytes, method: str = "POST", headers=()) -> Exchange:
            return await upstreams.open(
                Call(
                    address=address,
                    method=method,
                    path=path,
                    headers=(("content-type", "application/json"), *headers),
                    body=body,
                    egress=Egress.LOCAL,
                    ceiling=Egress.LOCAL,
                    connect_timeout_s=5.0,
                    head_timeout_s=5.0,
                )
            )

        runtime.ask, runtime.send = ask, send
        return runtime

    yield start
    for runtime in runtimes:
        await runtime.stop()
