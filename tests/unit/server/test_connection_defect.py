"""A defect of ours while a request is read is told as one: never as a fault of the client."""

import asyncio
from typing import Any

import pytest

from freehold.fault import Kind
from freehold.server.connection import ClientConnection
from freehold.server.delivery import Conversation
from freehold.server.request_reader import RequestReader


class House:
    keep_alive_s = 1.0

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.kind: Kind | None = None

    async def serve(self, conversation: Conversation) -> None:
        if conversation.refusal is not None:
            self.kind = conversation.refusal.fault.kind
        conversation.closes = True
        await conversation.send_whole(500, [], b"sorry")

    def joined(self, connection: ClientConnection) -> None:
        """Nothing to note."""

    def left(self, _connection: ClientConnection) -> None:
        self.gone.set()


async def test_a_defect_while_a_request_is_read_is_logged_and_told_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_self: RequestReader, _conversation: Conversation) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(RequestReader, "_read_target", fails)
    loop, house, logged = asyncio.get_running_loop(), House(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: logged.append(context))
    server = await loop.create_server(lambda: ClientConnection(loop, house, 5, 5), "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"sorry")
        writer.close()
        await asyncio.wait_for(house.gone.wait(), 10)
    finally:
        server.close()
        loop.set_exception_handler(None)
    assert house.kind is Kind.INTERNAL
    assert isinstance(logged[0]["exception"].__context__, ZeroDivisionError)
