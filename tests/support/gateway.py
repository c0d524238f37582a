"""Starts the whole gateway on a real socket, and writes configuration for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai

from freehold.config import read_config
from freehold.config.settings import DiscoverySettings
from freehold.gateways.fake import FakeRuntime
from freehold.ledger import queries
from freehold.server.app import App
from freehold.server.clock import wall_ms
from freehold.server.listener import Listener
from freehold.storage.engine import open_engine
from freehold.telemetry.log import open_log

NO_ENGINE = "[defaults]\nembedded = false\n"
Serve = Callable[..., Any]


class Served:
    """A running gateway."""

    def __init__(self, app: App, listener: Listener, port: int) -> None:
        self.app = app
        self.listener = listener
        self.url = f"http://127.0.0.1:{port}"
        self.clients: list[Any] = []

    def openai(self, **options: Any) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="any", **({"max_retries": 0, "timeout": 60} | options))
        self.clients.append(client)
        return client

    def anthropic(self, **options: Any) -> anthropic.AsyncAnthropic:
        client = anthropic.AsyncAnthropic(base_url=self.url, api_key="any", **({"max_retries": 0, "timeout": 60} | options))
        self.clients.append(client)
        return client

    def last(self, count: int = 1) -> Any:
        """The newest request as the ledger has it, once everything queued is written."""
        assert self.app.writer.flush(30)
        engine = open_engine(self.app._store, read_only=True)
        try:
            newest = queries.recent(engine, limit=count)[count - 1]
            return queries.request(engine, newest.request_id)
        finally:
            engine.dispose()

    def details(self) -> dict[str, Any]:
        """All requests as the ledger has them, by the model they asked for."""
        assert self.app.writer.flush(30)
        engine = open_engine(self.app._store, read_only=True)
        try:
            found = [queries.request(engine, row.request_id) for row in queries.recent(engine, limit=10_000)]
            return {detail.request.asked_model: detail for detail in found if detail is not None}
        finally:
            engine.dispose()

    def rows(self) -> list[Any]:
        assert self.app.writer.flush(30)
        engine = open_engine(self.app._store, read_only=True)
        try:
            return queries.recent(engine, limit=1000)
        finally:
            engine.dispose()


@asynccontextmanager
async def running(text: str, environ: dict[str, str], home: Path) -> AsyncIterator[Served]:
    config = read_config(text, {"HOME": str(home), "FREEHOLD_HOME": str(home), **environ}, None)
    if "[discovery]" not in text:
        # What happens to run on the machine of the tests is none of their business.
        quiet = msgspec.structs.replace(config.settings, discovery=DiscoverySettings(local=False))
        config = msgspec.structs.replace(config, settings=quiet)
    app = App(config, open_log(now_ms=wall_ms, level="warning"))
    listener = Listener(app.gateway, host="127.0.0.1", port=0, drain_s=5, takes_signals=False)
    port = await listener.start()
    app.open_door("127.0.0.1", port)
    served = Served(app, listener, port)
    try:
        yield served
    finally:
        for client in served.clients:
            await client.close()
        await listener.stop()


def base_url(runtime: FakeRuntime) -> str:
    assert runtime._server is not None
    return f"http://127.0.0.1:{runtime._server.sockets[0].getsockname()[1]}/v1"


def runtime_toml(name: str, kind: str, url: str, **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[runtimes]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{url}"\n{lines}'


def deployment_toml(runtime: str, model: str, served_as: str, **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    abilities = more.get(
        "abilities", "{ context = 100000, tools = true, images = true, json_schema = true, reasoning = true, logprobs = true }"
    )
    lines = "".join(f"{key} = {value}\n" for key, value in more.items() if key != "abilities")
    return (
        f'[[deployments]]\nid = "{runtime}/{model}"\nmodel = "{model}"\nruntime = "{runtime}"\nserved_as = "{served_as}"\n'
        f"abilities = {abilities}\n{lines}"
    )
