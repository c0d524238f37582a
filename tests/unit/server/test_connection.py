"""HTTP as clients speak it, well and badly: every connection is answered in bounded time and memory, or closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from freehold.fault import Kind
from freehold.server import connection
from freehold.server.connection import ClientConnection
from freehold.server.delivery import Conversation, stream_headers
from freehold.server.request_reader import HEAD_BYTES, HEADERS_COUNT
from support.bare_connection import Client, House, Serve

HELLO = b"GET /a?x=1 HTTP/1.1\r\nhost: h\r\n\r\n"


async def passing(seconds: float) -> None:
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, passed.set)
    await passed.wait()


async def echo(conversation: Conversation, deadline_s: float = 30.0) -> None:
    body = await conversation.read_body(1 << 20, conversation.headers.get("content-length"), deadline_s)
    said = f"{conversation.method} {conversation.path} {conversation.query} {len(body)} "
    await conversation.send_whole(200, [], said.encode() + body[:20])


@pytest.fixture
async def call() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    async with AsyncExitStack() as stack:

        async def start(said: bytes, serve: Serve = echo, *, idle_s: float = 5, head_deadline_s: float = 5) -> Client:
            house, loop = House(serve), asyncio.get_running_loop()
            server = await loop.create_server(lambda: ClientConnection(loop, house, idle_s, head_deadline_s), "127.0.0.1", 0)
            stack.callback(server.close)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            stack.callback(writer.close)
            writer.write(said)
            return Client(house, reader, writer)

        yield start


Call = Callable[..., Awaitable[Client]]


async def test_a_connection_serves_one_request_after_the_other(call: Call) -> None:
    client = await call(HELLO)
    for _ in range(3):
        assert await client.until(b"GET /a x=1 0 ") == b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nGET /a x=1 0 "
        client.writer.write(HELLO)


async def test_requests_sent_at_once_are_answered_in_order(call: Call) -> None:
    posts = b"".join(b"POST /%d HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n%d" % (n % 10, n % 10) for n in range(30))
    client = await call(posts + b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    got = await client.all()
    places = [got.index(b"POST /%d  1 %d" % (n, n)) for n in range(10)]
    assert places == sorted(places)
    assert got.count(b"200 OK") == 31
    assert got.endswith(b"GET /last  0 ")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"GET /%E2%82%AC%20b HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "GET /\u20ac b  0 ".encode()),
        (b"GET / HTTP/1.0\r\n\r\n", b"connection: close\r\ncontent-length: 9\r\n\r\nGET /  0 "),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", b"connection: keep-alive\r\ncontent-length: 9\r\n\r\nGET /  0 "),
        (b"HEAD / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"content-length: 10\r\n\r\n"),
        (
            b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nt: 1\r\n\r\n",
            b"POST /  5 abcde",
        ),
        (
            b"GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n",
            b"GET /  0 ",
        ),
        (b"\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"GET /  0 "),
    ],
)
async def test_what_clients_may_say_is_understood(call: Call, said: bytes, heard: bytes) -> None:
    client = await call(said)
    got = await client.until(heard)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(call: Call) -> None:
    client = await call(b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.writer.write(b"abc")
    assert await client.until(b"POST /  3 abc")


@pytest.mark.parametrize("size", [0, 1, 65_535, 300_000, 1 << 20])
async def test_a_body_is_read_whole_however_it_is_cut(call: Call, size: int) -> None:
    client = await call(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size)
    client.writer.write(b"x" * (size // 2))
    await client.writer.drain()
    client.writer.write(b"x" * (size - size // 2))
    assert await client.until(b"POST /  %d " % size)


POST = b"POST / HTTP/1.1\r\nhost: h\r\n"
MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost : h\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: h\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nho\x00st: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: h\r\nx: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\nhost: h\n\n",
    b"G\xc3\x89T / HTTP/1.1\r\nhost: h\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nhost: h\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nhost: h\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nhost: h\r\n\r\n",
    POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    POST + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
    POST + b"content-length: 1, 2\r\n\r\nab",
    POST + b"content-length: -1\r\n\r\n",
    POST + b"content-length: +1\r\n\r\na",
    POST + b"content-length: 0x1\r\n\r\na",
    POST + b"content-length: 99999999999999999999999\r\n\r\na",
    POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    POST + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    POST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    POST + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    POST + b"transfer-encoding: chunked\r\n\r\n1\nab\n0\n\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
]


@pytest.mark.parametrize("said", MALFORMED)
async def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(call: Call, said: bytes) -> None:
    client = await call(said + b"GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n")
    got = await client.all()
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n"), got
    assert b"connection: close\r\n" in got
    assert b"smuggled" not in got
    assert client.house.faults == [Kind.INVALID_REQUEST]


@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"a" * HEAD_BYTES,
        b"".join(b"x: 1\r\n" for _ in range(HEADERS_COUNT + 1)),
        b"".join(b"x%d: 1\r\n" % n for n in range(5000)),
        b"".join(b"x%d: %b\r\n" % (n, b"v" * 1000) for n in range(100)),
    ],
)
@pytest.mark.parametrize("ends", [b"\r\n\r\n", b""])
async def test_a_huge_head_is_refused(call: Call, head: bytes, ends: bytes) -> None:
    client = await call(b"GET / HTTP/1.1\r\nhost: h\r\n" + head + ends, head_deadline_s=10 if ends else 0.1)
    got = await client.all()
    assert got.startswith((b"HTTP/1.1 431 Request Header Fields Too Large\r\n", b"HTTP/1.1 408 Request Timeout"))
    assert b"431" in got or not ends


async def test_a_huge_target_is_refused(call: Call) -> None:
    assert b" 431 " in await (await call(b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nhost: h\r\n\r\n")).all()


async def test_endless_chunk_extensions_and_trailers_are_refused(call: Call) -> None:
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n"
    for rest in (b"1;" + b"x" * 1_000_000, b"0\r\n" + b"t: 1\r\n" * 200_000):
        client = await call(chunked + rest)
        assert b" 431 " in await client.all()


@pytest.mark.parametrize("said", [b"", b"GET / HT", HELLO[:-2], b"\r\n\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection_while_others_are_served(call: Call, said: bytes) -> None:
    slow = await call(said, head_deadline_s=0.2)
    served = await call(HELLO)
    assert await served.until(b"GET /a x=1 0 ")
    got = await slow.all()
    assert got == b"" or got.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert bool(got) == bool(said.strip())


async def test_a_head_that_drips_gets_no_more_time(call: Call) -> None:
    client = await call(b"GET / HTTP/1.1\r\nhost: h\r\n", head_deadline_s=0.15)

    async def drip() -> None:
        while not client.writer.is_closing():
            client.writer.write(b"x: 1\r\n")
            await passing(0.01)

    dripping = asyncio.ensure_future(drip())
    got = await client.all()
    dripping.cancel()
    assert b" 408 " in got


async def test_a_body_that_does_not_come_is_given_up_and_the_connection_closed(call: Call) -> None:
    client = await call(POST + b"content-length: 10\r\n\r\nabc", lambda conversation: echo(conversation, 0.2))
    got = await client.all()
    assert got.startswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n")


@pytest.mark.parametrize("declared", [b"content-length: 2000000\r\n", b"transfer-encoding: chunked\r\n"])
async def test_a_body_over_the_limit_is_refused_and_the_answer_can_be_read(call: Call, declared: bytes) -> None:
    client = await call(POST + declared + b"\r\n")
    if b"chunked" in declared:
        client.writer.write(b"1e8480\r\n")
    client.writer.write(b"x" * 2_000_000)
    got = await client.all()
    assert got.startswith(b"HTTP/1.1 413 ")
    assert client.house.faults == [Kind.TOO_LARGE]


async def test_a_client_that_leaves_while_it_sends_is_noticed(call: Call) -> None:
    client = await call(POST + b"content-length: 10\r\n\r\nabc", echo)
    while not client.house.connections:
        await passing(0.001)
    client.writer.close()
    while client.house.connections or not client.house.faults:
        await passing(0.001)
    assert client.house.faults == [Kind.CLIENT_GONE]


async def test_an_idle_connection_is_closed(call: Call) -> None:
    client = await call(HELLO, idle_s=0.2)
    assert (await client.all()).endswith(b"GET /a x=1 0 ")
    assert not client.house.connections


async def test_a_client_that_leaves_cancels_the_work(call: Call) -> None:
    working, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(conversation: Conversation) -> None:
        conversation.watch(None)
        working.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert conversation.client_is_gone
            cancelled.set()
            raise

    client = await call(HELLO, serve)
    await working.wait()
    client.writer.close()
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_the_last_word_is_not_cut_by_a_client_that_leaves(call: Call) -> None:
    working, said = asyncio.Event(), asyncio.Event()

    async def serve(conversation: Conversation) -> None:
        conversation.watch(None)
        conversation.answer_is_decided()
        working.set()
        while not conversation.client_is_gone:
            await passing(0.001)
        await conversation.send_whole(503, [], b"sorry")
        said.set()

    client = await call(HELLO, serve)
    await working.wait()
    client.writer.close()
    await asyncio.wait_for(said.wait(), 30)


async def test_a_stream_that_waits_is_kept_alive_until_content_begins(call: Call) -> None:
    go = asyncio.Event()

    async def serve(conversation: Conversation) -> None:
        conversation.watch([*stream_headers(b"text/event-stream"), (b"x-id", b"1")], b": waiting\n\n")
        await go.wait()
        conversation.content_begins()
        assert conversation.head_is_sent
        await passing(0.06)
        await conversation.send_body(b"data: 1\n\n", more=True)
        await passing(0.06)
        await conversation.send_body(b"data: 2\n\n")

    client = await call(HELLO, serve)
    head = await client.until(b"\r\n\r\n")
    assert b"x-id: 1\r\n" in head
    await client.until(b": waiting\n\n")
    await client.until(b": waiting\n\n")
    go.set()
    rest = await client.until(b"0\r\n\r\n")
    assert b": waiting" not in rest[rest.index(b"data: 1") :], "no comment may land inside an event"


async def test_a_whole_answer_is_never_begun_early(call: Call) -> None:
    async def serve(conversation: Conversation) -> None:
        conversation.watch(None)
        await passing(0.08)
        assert not conversation.head_is_sent
        await conversation.send_whole(200, [], b"now")

    assert (await (await call(HELLO, serve)).until(b"now")).count(b"HTTP/1.1") == 1


async def test_half_an_answer_does_not_look_like_a_whole_one(call: Call) -> None:
    async def serve(conversation: Conversation) -> None:
        await conversation.send_head(200, [])
        await conversation.send_body(b"half", more=True)

    client = await call(HELLO, serve)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.until(b"0\r\n\r\n")


async def test_an_http_1_0_stream_ends_with_its_connection(call: Call) -> None:
    async def serve(conversation: Conversation) -> None:
        await conversation.send_head(200, [])
        await conversation.send_body(b"one", more=True)
        await conversation.send_body(b"two")

    got = await (await call(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", serve)).all()
    assert got == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo"


async def test_a_client_that_does_not_read_holds_the_stream_back_and_is_ended(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALL_S", 0.1)
    sent = 0
    ended = asyncio.Event()

    async def serve(conversation: Conversation) -> None:
        nonlocal sent
        conversation.watch(None)
        await conversation.send_head(200, [])
        try:
            while True:
                await conversation.send_body(b"x" * 100_000, more=True)
                sent += 100_000
        finally:
            ended.set()

    await call(HELLO, serve)
    await asyncio.wait_for(ended.wait(), 10)
    assert sent < 20_000_000, "what the kernel takes, and a little"


async def test_who_had_just_come_in_when_the_server_ends_is_answered_once(call: Call) -> None:
    fresh, served = await call(b""), await call(HELLO)
    await served.until(b"GET /a x=1 0 ")
    while not fresh.house.connections:
        await passing(0.001)
    for client in (fresh, served):
        for one in list(client.house.connections):
            one.retire()
    assert await served.all() == b"", "an idle connection is closed at once"
    fresh.writer.write(HELLO)
    got = await fresh.all()
    assert b"connection: close\r\n" in got
    assert got.endswith(b"GET /a x=1 0 ")
