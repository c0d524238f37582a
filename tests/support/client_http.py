"""A client's bytes into the server's HTTP: on a loop whose clock jumps, over a transport that is a record, so a minute costs nothing.

The first bytes of an input say what the gateway does with a request and how the rest is cut and repeated. Judged: no exception,
no request that two programs could read in two ways, bounded memory, each request answered once and the connection closed in the
end, and the same requests however the bytes were cut.
"""

import asyncio
import functools
import re
import selectors
from collections.abc import Callable, Iterator
from typing import Any

from freehold.fault import FaultError
from freehold.server.connection import QUEUED_REQUESTS, ClientConnection
from freehold.server.delivery import Conversation
from freehold.server.request_reader import HEAD_BYTES

IDLE_S, HEAD_DEADLINE_S, BODY_DEADLINE_S = 60.0, 10.0, 30.0
LONGEST_S = 1000.0
"""Of the loop's own clock: by then whoever says nothing more was left alone."""
BODY_BYTES = 32 * 1024
MOST_BYTES, MOST_PIECES = 1 << 20, 2000
"""Said again: more than every bound, and few enough for many inputs a second."""
SMALLEST_REQUEST = len(b"GET / HTTP/1.1\r\n\r\n")
STATUS = re.compile(rb"HTTP/1\.1 (?!100 )\d{3} ")
Request = tuple[str, str, str, bytes]


class _Selector(selectors.SelectSelector):
    """Waits by putting the clock forward."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += max(timeout or 0.0, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """Real tasks, futures and timers; time passes as fast as nothing happens."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)
        self.raised: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.raised.append(context))

    def time(self) -> float:
        return self._jumping.now_s


@functools.cache
def _loop() -> _Loop:
    """One for all inputs of a process: making one costs more than an input."""
    return _Loop()


class _Transport(asyncio.Transport):
    """Keeps what is written, and hands the client's pieces over while it may."""

    def __init__(self, loop: _Loop, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._loop, self._pieces = loop, pieces
        self.written = b""
        self.is_over = self.is_aborted = self.is_paused = False
        self.over = loop.create_future()
        self.protocol: Any = None

    def begin(self, connection: ClientConnection) -> None:
        self.protocol = connection
        connection.connection_made(self)
        self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self.is_paused or self.is_over:
            return
        piece = next(self._pieces, None)
        if piece:
            self.protocol.data_received(piece)
            judge_memory(self.protocol, len(piece))
        if piece is not None:
            self._loop.call_soon(self._hand_over)

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False
        self._loop.call_soon(self._hand_over)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        return

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        self.is_aborted = True
        self.close()

    def _lose(self) -> None:
        self.protocol.connection_lost(None)
        self.over.set_result(None)


class _House:
    """Does with each request what the input says."""

    keep_alive_s = 5.0

    def __init__(self, ways: Callable[[], int]) -> None:
        self._ways = ways
        self.asked: list[Request] = []
        self.answers = 0
        self.connections = 0

    def joined(self, _connection: ClientConnection) -> None:
        self.connections += 1

    def left(self, _connection: ClientConnection) -> None:
        self.connections -= 1

    async def serve(self, conversation: Conversation) -> None:
        try:
            await self._answer(conversation)
        except FaultError as error:
            conversation.closes = True
            await conversation.send_whole(error.fault.meaning.status, [], error.fault.message.encode())
        self.answers += 1

    async def _answer(self, conversation: Conversation) -> None:
        if conversation.refusal is not None:
            # the parser tells an exception of ours as if the client had erred
            assert "callback" not in conversation.refusal.fault.message, conversation.refusal
            raise conversation.refusal
        judge_meaning(conversation)
        way = self._ways()
        if way == 1:  # a long wait before anything is read
            await asyncio.sleep(BODY_DEADLINE_S)
        if way == 2:  # not read at all
            await conversation.send_whole(404, [], b"no")
            return
        body = await conversation.read_body(BODY_BYTES, conversation.headers.get("content-length"), BODY_DEADLINE_S)
        self.asked.append((conversation.method, conversation.path, conversation.query, body))
        if way == 3:  # a stream
            await conversation.send_head(200, [(b"content-type", b"text/plain")])
            for end in (1, len(body)):
                await conversation.send_body(body[:end], more=True)
            await conversation.send_body(b"")
            return
        await conversation.send_whole(200, [], body)


def judge_meaning(conversation: Conversation) -> None:
    """What is served has one length, a path, and no line breaks out of it."""
    headers = conversation.headers
    assert not ("content-length" in headers and "transfer-encoding" in headers), headers
    assert headers.get("transfer-encoding", "chunked").strip().lower() == "chunked", headers
    assert "," not in headers.get("content-length", ""), headers
    assert conversation.path.startswith("/"), conversation.path
    assert not any(char in value for value in headers.values() for char in "\r\n\0"), headers
    assert not any(char in name for name in headers for char in "\r\n\0 :"), headers


def judge_memory(connection: Any, piece_bytes: int) -> None:
    """What one connection holds, by its own bounds and one read from the transport."""
    held = [one for one in (connection._current, *connection._queue) if one is not None]
    assert len(held) <= QUEUED_REQUESTS + 2 + piece_bytes // SMALLEST_REQUEST, len(held)
    for one in held:
        assert one._size <= one.limit_bytes + piece_bytes, one._size
        assert sum(len(name) + len(value) for name, value in one.headers.items()) <= HEAD_BYTES + piece_bytes
    assert connection._deaf or connection._reader._framing <= HEAD_BYTES
    assert len(connection._reader._url) <= HEAD_BYTES + piece_bytes
    assert sum(len(name) + len(value) for name, value in connection._reader._fields.items()) <= 2 * HEAD_BYTES + piece_bytes


def serve(pieces: list[bytes], ways: bytes) -> list[Request]:
    """One connection from its first byte to its end; what was asked on it."""
    loop, turns = _loop(), iter(ways)
    loop.raised.clear()
    house: Any = _House(lambda: next(turns, 0) % 4)
    transport = _Transport(loop, iter(pieces))
    transport.begin(ClientConnection(loop, house, IDLE_S, HEAD_DEADLINE_S))
    loop.run_until_complete(asyncio.wait_for(transport.over, LONGEST_S))
    while asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.sleep(0))
    assert not loop.raised, loop.raised
    assert not house.connections
    told = len(STATUS.findall(transport.written))
    assert transport.is_aborted or told >= house.answers, (told, house.answers)
    assert not transport.written or transport.written.startswith(b"HTTP/1.1 "), transport.written[:80]
    return list(house.asked)


def read_clients(data: bytes) -> None:
    """HTTP from a client: as it came, cut in three, and with the middle said again and again."""
    first, second, times = (int.from_bytes(data[at : at + 2]) for at in (0, 2, 4))
    ways, stream = data[6:11], data[11:]
    times = min(times, MOST_BYTES // max(second, 1), MOST_PIECES)
    start, middle, rest = stream[:first], stream[first : first + second], stream[first + second :]
    whole = serve([stream], bytes(5))
    assert serve([start, middle, rest], bytes(5)) == whole, (start, middle, rest)
    serve([start, *[middle] * times, rest], ways)


def cut_and_repeat(first: int, second: int, times: int, ways: bytes, stream: bytes) -> bytes:
    """An input: where the stream is cut, how often the middle is said, and what happens to the first five requests."""
    return b"".join(number.to_bytes(2) for number in (first, second, times)) + ways + stream
