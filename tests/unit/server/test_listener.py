"""Letting people in."""

import asyncio
import errno
import socket

import pytest
import uvloop

from freehold.server import listener as module
from freehold.server.listener import Listener
from support.houses import bare_house


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_crowd_is_let_in_within_a_few_rounds_of_the_loop(is_shared: bool) -> None:
    async def count_rounds() -> int:
        door = socket.create_server(("127.0.0.1", 0)) if is_shared else None
        house = bare_house()
        listener = Listener(house, host="127.0.0.1", port=0, drain_s=1, takes_signals=False, listening=door)
        port = await listener.start()
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]  # the loop does not turn meanwhile
        rounds = 0
        async with asyncio.timeout(30):
            while len(house.connections) < len(crowd):
                await asyncio.sleep(0)
                rounds += 1
        for one in crowd:
            one.close()
        await listener.stop()
        return rounds

    assert uvloop.run(count_rounds()) <= (30 if is_shared else 10)


async def test_where_the_system_is_full_the_door_opens_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [OSError(errno.EMFILE, "too many open files")]
    accept = module.accept_waiting

    def full_once(listening: socket.socket, most: int) -> list[socket.socket]:
        if refusals:
            raise refusals.pop()
        return accept(listening, most)

    monkeypatch.setattr(module, "accept_waiting", full_once)
    monkeypatch.setattr(module, "FULL_S", 0.0)
    house = bare_house()
    listener = Listener(house, host="127.0.0.1", port=0, drain_s=1, takes_signals=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.start())
    writer.write(b"GET / HTTP/1.1\r\nhost: nobody\r\nconnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 4")
    assert refusals == []
    writer.close()
    await listener.stop()


async def test_an_address_that_is_taken_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RuntimeError, match=rf"127\.0\.0\.1:{port} is in use.*--port"):
            await Listener(bare_house(), host="127.0.0.1", port=port, drain_s=1, takes_signals=False).bind()
