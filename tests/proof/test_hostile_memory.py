"""However much an upstream sends, the gateway keeps no more than 16 MiB of it, and ends it in time."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from support.gateway import NO_ENGINE, deployment_toml, running, runtime_toml
from support.hostile import HANG, Asked, Drip, Step, hostile
from support.hostile_pieces import SSE_HEAD, opened, said
from support.rawclient import ClientFormat, body_of, request_bytes

pytestmark = [pytest.mark.proof, pytest.mark.timeout(590)]
MIB = 1024 * 1024
LIMIT_MIB = 16.0
FORMATS: tuple[ClientFormat, ...] = ("openai_chat", "anthropic_messages")
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
BLOCK = 64 * 1024


def flood(data: bytes, mib: int) -> Drip:
    block = data * max(1, BLOCK // len(data))
    return Drip(block, 0, step=len(block), times=mib * MIB // len(block))


def counting(asked: Asked) -> list[Step]:
    """A new choice, or call, with every event."""
    if asked.format == "openai_chat":
        made = b'data: {"choices":[{"index":%d,"delta":{"content":"a"}}]}\n\n'
    else:
        made = b'data: {"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","name":"f","id":"x"}}\n\n'
    return [SSE_HEAD, *(b"".join(made % number for number in range(at, at + 100)) for at in range(0, 3000, 100))]


def amid_content(data: bytes, mib: int) -> Callable[[Asked], list[Step]]:
    return lambda asked: [SSE_HEAD + opened(asked.format) + said(asked.format, "a"), flood(data, mib)]


FLOODS: dict[str, tuple[Callable[[Asked], list[Step]], bool]] = {
    "1 GiB of comments before content": (lambda _: [SSE_HEAD, flood(b": ping\n\n", 1024)], True),
    "64 MiB of pings amid content": (amid_content(b'event: ping\ndata: {"type":"ping","choices":[]}\n\n', 64), True),
    "256 MiB of content": (lambda a: [SSE_HEAD + opened(a.format), flood(said(a.format, "a" * 1000), 256)], True),
    "an endless line": (lambda _: [SSE_HEAD + b"data: ", flood(b"a", 256)], True),
    "an endless line amid content": (amid_content(b"a", 256), True),
    "an endless event of many lines": (lambda _: [SSE_HEAD, flood(b"data: aaaaaaaa\n", 256)], True),
    "choices or calls that only count": (counting, True),
    "an endless whole answer": (lambda _: [OK, flood(b"a", 256)], False),
    "a whole answer of empty objects": (lambda _: [OK + b'{"choices":[', flood(b"{},", 7), b"{}]}"], False),
    "an endless body of a fault": (lambda _: [b"HTTP/1.1 500 No\r\n\r\n", flood(b"a", 256)], False),
    "a head without end": (lambda _: [b"HTTP/1.1 200 OK\r\n", flood(b"x: y\r\n", 64)], False),
    "chunks of one byte": (
        lambda _: [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", flood(b"1\r\na\r\n", 64), HANG],
        False,
    ),
}


async def take(client: ClientFormat, port: int, *, stream: bool) -> tuple[int, bytes]:
    """Read it all and keep only its size and its end: this side must not need the memory either."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size, tail = 0, b""
    try:
        writer.write(request_bytes(client, port, body_of(client, "hello", stream=stream, model="m")))
        while data := await reader.read(BLOCK):
            size, tail = size + len(data), (tail + data)[-400:]
    finally:
        writer.close()
    return size, tail


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_costs_bounded_memory_and_time(tmp_path: Any, found: Any, name: str) -> None:
    script, stream = FLOODS[name]
    worst_mib, longest_s, sent_mib = 0.0, 0.0, 0.0
    for upstream in FORMATS:
        async with hostile({"m": script}) as bad:
            config = NO_ENGINE + runtime_toml(
                "bad", "local", bad.url, formats=f'["{upstream}"]', first_content_timeout_s="20", total_timeout_s="20"
            )
            config += deployment_toml("bad", "m", "m", free="true")
            async with running(config, {}, tmp_path / upstream) as served:
                port = int(served.url.rsplit(":", 1)[1])
                for client in FORMATS:
                    gc.collect()
                    tracemalloc.start()
                    began_s = asyncio.get_running_loop().time()
                    try:
                        before = tracemalloc.get_traced_memory()[0]
                        async with asyncio.timeout(90):
                            size, tail = await take(client, port, stream=stream)
                        peak_mib = (tracemalloc.get_traced_memory()[1] - before) / MIB
                    finally:
                        tracemalloc.stop()
                    longest_s = max(longest_s, asyncio.get_running_loop().time() - began_s)
                    worst_mib = max(worst_mib, peak_mib)
                    assert peak_mib <= LIMIT_MIB, (name, upstream, client, peak_mib)
                    assert size
                    assert b"[DONE]" not in tail, (name, tail)
                    assert b"message_stop" not in tail, (name, tail)
                    assert served.last().request.outcome in {"failed", "cut"}
                    assert served.last().request.fault != "internal"
            sent_mib = max(sent_mib, bad.sent_bytes / MIB / 2)
    found(
        f"A flood costs at most {LIMIT_MIB:g} MiB of memory, and ends: {name}.",
        **{
            "most MiB kept": round(worst_mib, 1),
            "MiB taken from the upstream": round(sent_mib),
            "longest s": round(longest_s, 1),
        },
    )
