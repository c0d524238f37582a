"""Listens: uvicorn around the gateway, started and stopped by whoever owns the process.

`serve` lets it take the process's signals and drain on SIGTERM; `ask` and tests start and stop it inside their own
loop. Nothing is logged per request here: the ledger has it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from freehold.server.asgi import Gateway


class Listener:
    """One listening server."""

    def __init__(self, gateway: Gateway, *, host: str, port: int, drain_s: float, takes_signals: bool) -> None:
        config = uvicorn.Config(
            gateway,
            host=host,
            port=port,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(drain_s)),
            h11_max_incomplete_event_size=64 * 1024,
        )
        self._server: uvicorn.Server = uvicorn.Server(config) if takes_signals else _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Begin to serve; returns the port. Raises OSError or RuntimeError when that fails."""
        task = self._task = asyncio.get_running_loop().create_task(self._serve())
        while not self._server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server could not start; the log says why")
            await asyncio.sleep(0.002)
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def wait(self) -> None:
        """Until the server ends."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """Drain and end."""
        self._server.should_exit = True
        await self.wait()

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        except SystemExit as error:
            raise RuntimeError("the address is in use or may not be bound; choose another with --port") from error


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[Any]:
        """Nothing to capture."""
        yield
