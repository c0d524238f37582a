"""Listens: takes an address, hands every connection to the gateway, drains at the end.

Promised: who connects is let in as soon as the loop comes round, however busy it is: libuv's own way takes one connection in
each round, so that the last of a hundred waits for a hundred rounds. Nothing is logged per request here: the ledger has it.
"""

import asyncio
from signal import SIGINT, SIGTERM
from typing import Any

from freehold.gateways.connector import accept_waiting, adopt, bind_listening
from freehold.server.connection import HEAD_DEADLINE_S, ClientConnection
from freehold.server.gateway import Gateway
from freehold.server.signals import on_signal

LAST_WORDS_S = 5.0
"""For requests that were cut at the end of the drain to say so."""
LOOKS_S = 0.05
SETTLING_LOOKS = 15
"""A connection may have been taken a moment before its first request arrives; closed then, it would look like a failure.
Looks are counted, not time: to a process that was held up, a request that arrived meanwhile must not seem late."""
BACKLOG = 2048
ACCEPTED_AT_ONCE = 256
ACCEPTED_OF_SHARED = 16
"""In one round of the loop. Where workers share the address, the first of them to wake leaves some to the others."""
FULL_S = 1.0
"""For so long nobody is let in where the system has no descriptor left."""


def take_address(host: str, port: int) -> Any:
    """A socket object that is bound there and does not listen yet. Raises RuntimeError when the address is taken."""
    host = "127.0.0.1" if host == "localhost" else host
    try:
        return adopt(bind_listening(host, port))
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise RuntimeError(f"{where} is in use or may not be bound; choose another with --port") from error


class Listener:
    """One listening server."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        host: str,
        port: int,
        drain_s: float,
        keepalive_s: float = 75.0,
        head_deadline_s: float = HEAD_DEADLINE_S,
        takes_signals: bool,
        listening: Any = None,
    ) -> None:
        """`listening`: a bound socket object that somebody else opened, maybe for others too; host and port then only name it."""
        self._gateway = gateway
        self._host = host
        self._port = port
        self._drain_s = drain_s
        self._idle_s = keepalive_s
        self._head_deadline_s = head_deadline_s
        self._takes_signals = takes_signals
        self._listening = listening
        self._at_once = ACCEPTED_AT_ONCE if listening is None else ACCEPTED_OF_SHARED
        self._entering: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()

    async def bind(self) -> int:
        """Take the address; returns the port. Nothing is answered before `start`. Raises RuntimeError when it is taken."""
        if self._listening is None:
            self._listening = take_address(self._host, self._port)
        return self._bound_port()

    def _bound_port(self) -> int:
        return int(self._listening.getsockname()[1])

    async def start(self) -> int:
        """Begin to serve; returns the port. Raises whatever kept the gateway from starting."""
        if self._listening is None:
            await self.bind()
        if self._takes_signals:
            for number in (SIGINT, SIGTERM):
                on_signal(number, self.end)
        try:
            await self._gateway.start()
            self._listening.setblocking(False)
            self._listening.listen(BACKLOG)
        except BaseException:
            self._listening.close()
            raise
        self._open()
        return self._bound_port()

    def _open(self) -> None:
        if self._ending is None:
            asyncio.get_running_loop().add_reader(self._listening, self._let_in)

    def _let_in(self) -> None:
        """Take those who wait at the door."""
        loop = asyncio.get_running_loop()
        try:
            taken = accept_waiting(self._listening, self._at_once)
        except OSError:
            loop.remove_reader(self._listening)
            loop.call_later(FULL_S, self._open)
            return
        for client in taken:
            task = loop.create_task(self._enter(client))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    async def _enter(self, client: Any) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: ClientConnection(loop, self._gateway, self._idle_s, self._head_deadline_s), client
            )
        except OSError:  # it has left again
            client.close()

    def end(self) -> None:
        """Begin to drain; a second call does not wait for running answers any more."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())
        else:
            self._hurry.set()

    async def wait(self) -> None:
        """Until the server ended."""
        await self._ended.wait()
        if self._ending is not None:
            await self._ending

    async def stop(self) -> None:
        """Drain and end."""
        if self._ending is None:
            self.end()
        await self.wait()

    async def _end(self) -> None:
        try:
            self._gateway.is_stopping = True
            if self._listening is not None:
                asyncio.get_running_loop().remove_reader(self._listening)
                self._listening.close()
            if self._entering:
                await asyncio.wait(self._entering)
            for connection in list(self._gateway.connections):
                connection.retire()
            await self._drained()
            await self._cut()
        finally:
            try:
                await self._gateway.stop()
            finally:
                self._ended.set()

    async def _drained(self) -> None:
        """Until every running answer is out, and who had just come in has asked; no longer than the drain lasts."""
        now = asyncio.get_running_loop().time
        ends_s, looks = now() + self._drain_s, 0
        hurry = asyncio.ensure_future(self._hurry.wait())
        while now() < ends_s and not hurry.done():
            tasks = self._running()
            if not tasks and (not self._gateway.connections or looks >= SETTLING_LOOKS):
                break
            looks += 1
            await asyncio.wait({hurry, *tasks}, timeout=LOOKS_S, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()

    async def _cut(self) -> None:
        tasks = self._running()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS_S)
        for connection in list(self._gateway.connections):
            connection.close()

    def _running(self) -> set[asyncio.Task[None]]:
        return {connection.task for connection in self._gateway.connections if connection.task is not None}
