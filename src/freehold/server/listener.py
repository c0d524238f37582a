"""Listens: uvicorn around the gateway, started and stopped by whoever owns the process.

`serve` lets it take the process's signals and drain on SIGTERM; `ask` and tests start and stop it inside their own
loop. Nothing is logged per request here: the ledger has it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM
from typing import Any

import uvicorn

from freehold.server.asgi import Gateway


class Listener:
    """One listening server."""

    def __init__(
        self, gateway: Gateway, *, host: str, port: int, drain_s: float, keepalive_s: float = 75.0, takes_signals: bool
    ) -> None:
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
            timeout_keep_alive=max(1, round(keepalive_s)),
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        self._server = _QuietServer(config)
        self._takes_signals = takes_signals
        self._listening: Any = None
        self._task: asyncio.Task[None] | None = None

    def bind(self) -> int:
        """Take the address; returns the port. Nothing is answered before `start`. Raises RuntimeError when it is taken."""
        try:
            self._listening = self._server.config.bind_socket()
        except SystemExit as error:
            raise RuntimeError(
                f"{_named(self._server.config)} is in use or may not be bound; choose another with --port"
            ) from error
        return int(self._listening.getsockname()[1])

    async def start(self) -> int:
        """Begin to serve; returns the port. Raises RuntimeError when that fails."""
        port = self.bind() if self._listening is None else int(self._listening.getsockname()[1])
        if self._takes_signals:
            for number in (SIGINT, SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._server.handle_exit, number, None)
        task = self._task = asyncio.get_running_loop().create_task(self._serve())
        while not self._server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server could not start; the log says why")
            await asyncio.sleep(0.002)
        return port

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
            await self._server.serve(sockets=[self._listening])
        except SystemExit as error:
            raise RuntimeError("the server could not start; the log says why") from error


def _named(config: uvicorn.Config) -> str:
    return f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals alone: uvicorn's own handlers raise them again once it has drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[Any]:
        """Nothing to capture."""
        yield
