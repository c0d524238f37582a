"""A house for connections that answers with what a test says, and a client that speaks in bytes."""

import asyncio
from collections.abc import Awaitable, Callable

from freehold.fault import FaultError, Kind
from freehold.server.connection import ClientConnection
from freehold.server.delivery import Conversation

Serve = Callable[[Conversation], Awaitable[None]]


class House:
    """Answers with what a test says, and notes what it was asked."""

    keep_alive_s = 0.02

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.faults: list[Kind] = []
        self.bodies: list[bytes] = []
        self.connections: set[ClientConnection] = set()

    async def serve(self, conversation: Conversation) -> None:
        if conversation.refusal is not None:
            conversation.closes = True
            await self.tell(conversation, conversation.refusal)
            return
        try:
            await self._serve(conversation)
        except FaultError as error:
            await self.tell(conversation, error)

    async def tell(self, conversation: Conversation, error: FaultError) -> None:
        self.faults.append(error.fault.kind)
        await conversation.send_whole(error.fault.meaning.status, [], error.fault.message.encode())

    def joined(self, connection: ClientConnection) -> None:
        self.connections.add(connection)

    def left(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)


class Client:
    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.house = house
        self.reader = reader
        self.writer = writer

    async def all(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 10)

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), 10)
