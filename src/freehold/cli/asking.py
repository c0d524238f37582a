"""`freehold ask`: one question, through the running server or one that lives as long as the answer takes."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from freehold.cli import show
from freehold.cli.client import GatewayClient, events_of
from freehold.cli.setup import load_config
from freehold.config import Config
from freehold.fault import FaultError
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log

ENGINE_START_S = 120.0


def ask(path: Path | None, question: str, *, model: str, why: bool, as_json: bool) -> None:
    """Print the answer as it comes."""
    text = sys.stdin.buffer.read().decode(errors="replace") if question == "-" else question
    if not text.strip():
        show.fail("there is nothing to ask", 2)
    config = load_config(path)
    try:
        asyncio.run(_ask(config, text, model, why=why, as_json=as_json))
    except FaultError as error:
        show.fail(error.fault.message)
    except TimeoutError:
        show.fail(f"the engines were not ready within {ENGINE_START_S:.0f} s; `freehold runtimes` says why")
    except (StoreError, RuntimeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        show.fail(show.reason(error))


async def _ask(config: Config, text: str, model: str, *, why: bool, as_json: bool) -> None:
    body = msgspec.json.encode({"model": model, "stream": True, "messages": [{"role": "user", "content": text}]})
    async with gateway(config) as client:
        exchange = await client.chat(body)
        if exchange.status != 200:
            answer = msgspec.json.decode(await exchange.read(1 << 20))
            show.fail(str(answer.get("error", {}).get("message", "the server gave no reason")))
        pieces: list[str] = []
        async for data in events_of(exchange):
            event: dict[str, Any] = msgspec.json.decode(data)
            if "error" in event:
                show.fail(f"\nthe answer broke off: {event['error'].get('message')}")
            for choice in event.get("choices", []):
                piece = choice.get("delta", {}).get("content") or ""
                pieces.append(piece)
                if not as_json:
                    print(show.plain(piece), end="", flush=True)
        decided = {
            name: exchange.headers.get(f"x-freehold-{name}", "") for name in ("deployment", "egress", "reason", "request-id")
        }
        if as_json:
            show.print_json({"answer": "".join(pieces), **decided})
            return
        print(flush=True)
        if why:
            print(
                f"served by {decided['deployment']} ({decided['egress']}): {decided['reason']}  [{decided['request-id']}]",
                file=sys.stderr,
            )


async def _is_serving(client: GatewayClient) -> bool:
    """Whether a server runs; one whose engines are just starting is waited for."""
    async with asyncio.timeout(ENGINE_START_S):
        while (readiness := await client.readiness()) is not None:
            if readiness.ready or not any(one.status == "starting" for one in readiness.runtimes):
                return True
            await asyncio.sleep(0.1)
    return False


@contextlib.asynccontextmanager
async def gateway(config: Config, log: Log | None = None) -> AsyncIterator[GatewayClient]:
    """The running server, or one of our own for as long as it is needed; `log` is where that one writes."""
    server = config.settings.server
    client = GatewayClient(server.host, server.port, config.server_key)
    try:
        if await _is_serving(client):
            yield client
            return
    finally:
        await client.close()
    from freehold.server.app import App
    from freehold.server.clock import wall_ms
    from freehold.server.listener import Listener
    from freehold.telemetry.log import open_log

    app = App(config, log or open_log(now_ms=wall_ms, level="warning"))
    listener = Listener(app.gateway, host="127.0.0.1", port=0, drain_s=1.0, keepalive_s=server.keepalive_s, takes_signals=False)
    port = await listener.bind()
    app.open_door("127.0.0.1", port)
    await listener.start()
    own = GatewayClient("127.0.0.1", port, config.server_key)
    try:
        async with asyncio.timeout(ENGINE_START_S):
            await app.engines.ready()
            await app.discovering.has_looked.wait()
        yield own
    finally:
        await own.close()
        await listener.stop()
