"""What limits cost a request that is free: CPU of the whole gateway with budgets and without, side by side in one run.

Two gateways of one process take turns at the same requests from the same client, to one fake runtime in a process of its own;
what is compared is this process's CPU per request, block by block, so that whatever slows the machine slows both. Run it as
`python bench/limits.py [blocks]` with nothing else on the machine. The promise is at most 10 microseconds more.
"""

import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from freehold.config import read_config
from freehold.gateways.fake import FakeRuntime
from freehold.server.app import App
from freehold.server.clock import wall_ms
from freehold.server.listener import Listener
from freehold.telemetry.log import open_log

MOST_US = 10.0
REQUESTS = 200
"""Of one block."""
WARM_BLOCKS = 5
BODY = json.dumps({"model": "small", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 16}).encode()
PLAIN = """
[defaults]
embedded = false
rules = false
[discovery]
local = false
[[runtimes]]
name = "box"
kind = "local"
base_url = "{url}"
[[deployments]]
id = "box/small"
model = "small"
runtime = "box"
served_as = "small-model"
abilities = {{ context = 32768 }}
"""
BUDGETS = """
[[budgets]]
name = "all"
window = "month"
usd = 100.0
[[budgets]]
name = "each-user"
window = "day"
per = "user"
usd = 5.0
tokens = 1000000
[[budgets]]
name = "images"
window = "day"
usd = 5.0
when = {{ operations = ["image_generation"] }}
[[budgets]]
name = "long"
window = "hour"
usd = 5.0
when = {{ prompt_tokens_over = 100000 }}
[[budgets]]
name = "ml"
window = "hour"
tokens = 5000000
when = {{ callers = {{ teams = ["ml"] }} }}
"""


def play(told: Connection) -> None:
    """The fake runtime, until the pipe closes."""

    async def run() -> None:
        runtime = FakeRuntime()
        told.send(await runtime.start())
        while not told.poll():
            await asyncio.sleep(0.2)
            runtime.journal.clear()

    asyncio.run(run())


async def gateway(text: str, home: Path, stack: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start one; a connection to it."""
    app = App(read_config(text, {"HOME": str(home), "FREEHOLD_HOME": str(home)}, None), open_log(now_ms=wall_ms, level="error"))
    listener = Listener(app.gateway, host="127.0.0.1", port=0, drain_s=1, takes_signals=False)
    port = await listener.start()
    app.open_door("127.0.0.1", port)
    stack.push_async_callback(listener.stop)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # noqa: TID251 - the client of the bench
    stack.callback(writer.close)
    writer.transport.set_write_buffer_limits()
    return reader, writer


async def block(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Microseconds of this process's CPU per request."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        "{}:{}".format(*writer.get_extra_info("peername")).encode(),
        len(BODY),
    )
    since_s = time.process_time()
    for _ in range(REQUESTS):
        writer.write(head + BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    return (time.process_time() - since_s) / REQUESTS * 1e6


async def measure(url: str, blocks: int) -> tuple[list[float], list[float]]:
    """Both ways, block by block in turn; what came first changes places each time."""
    async with AsyncExitStack() as stack:
        homes = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        plain, held = [
            await gateway(text.format(url=url), home, stack) for text, home in zip((PLAIN, PLAIN + BUDGETS), homes, strict=True)
        ]
        off: list[float] = []
        on: list[float] = []
        for number in range(WARM_BLOCKS + blocks):
            pair = [(plain, off), (held, on)]
            for connection, times in pair if number % 2 else reversed(pair):
                times.append(await block(*connection))
        return off[WARM_BLOCKS:], on[WARM_BLOCKS:]


def main() -> int:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    ours, theirs = multiprocessing.Pipe()
    runtime = multiprocessing.get_context("spawn").Process(target=play, args=(theirs,), daemon=True)
    runtime.start()
    off, on = uvloop.run(measure(ours.recv(), blocks))
    ours.close()
    runtime.terminate()
    more = statistics.median(with_ - without for without, with_ in zip(off, on, strict=True))
    print(
        f"CPU of a free request, with its client: {statistics.median(off):.1f} us without budgets, {statistics.median(on):.1f} us with five"
    )
    print(f"more: {more:.1f} us (median of {blocks} pairs of {REQUESTS} requests; at most {MOST_US:g} promised)")
    return 0 if more <= MOST_US else 1


if __name__ == "__main__":
    sys.exit(main())
