import asyncio

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connection import FRAMING_LIMIT_BYTES, HIGH_WATER_BYTES
from freehold.gateways.http import Call, Exchange, Upstreams

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LIMIT = 1 << 20


async def fetch(upstreams: Upstreams, call: Call) -> tuple[int, dict[str, str], bytes]:
    exchange = await upstreams.open(call)
    return exchange.status, exchange.headers, await exchange.read(LIMIT)


async def fault_of(upstreams: Upstreams, call: Call) -> Kind:
    with pytest.raises(FaultError) as caught:
        await fetch(upstreams, call)
    return caught.value.fault.kind


def resting(upstreams: Upstreams) -> int:
    return sum(len(berths.resting) for berths in upstreams._berths.values())


def held(upstreams: Upstreams) -> int:
    return sum(len(berths.open) + berths.opening for berths in upstreams._berths.values())


# Framing of answers, against aiohttp as the judge.

FRAMINGS = {
    "content-length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "chunked": CHUNKED + b"5\r\nhello\r\n1;name=value\r\n!\r\n0\r\n\r\n",
    "chunked with a trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n",
    "chunked in capitals": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\ngo",
    "error": b"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "no reason phrase": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "continue first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "early hints first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "repeated header": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok",
    "spaces around a value": b"HTTP/1.1 200 OK\r\nX-A:   1  \r\nContent-Length: 2\r\n\r\nok",
}
UNTIL_CLOSE = {
    "until close": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "http 1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "connection: close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("cut", [None, 1, 7])
@pytest.mark.parametrize("name", [*FRAMINGS, *UNTIL_CLOSE])
async def test_every_framing_is_read_as_aiohttp_reads_it(name, cut, upstreams, serve) -> None:
    import aiohttp

    said = FRAMINGS.get(name) or UNTIL_CLOSE[name]
    loop = asyncio.get_running_loop()

    def talk(peer, _data) -> None:
        pieces = [said[at : at + cut] for at in range(0, len(said), cut)] if cut else [said]

        def step() -> None:
            peer.write(pieces.pop(0))
            if pieces:
                loop.call_soon(step)
            elif name in UNTIL_CLOSE:
                peer.transport.close()

        step()

    upstream = await serve(talk)
    status, headers, body = await fetch(upstreams, upstream.call())
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = f"http://127.0.0.1:{upstream.address.port}/v1/chat"
        async with session.post(url, data=b"{}", allow_redirects=False) as other:
            theirs = {key.lower(): ", ".join(other.headers.getall(key)) for key in other.headers}
            assert (status, body, headers) == (other.status, await other.read(), theirs)
    assert resting(upstreams) == (name in FRAMINGS)


# Hostile answers.

HOSTILE = {
    "garbage": b"\x00\xff\x16\x03garbage\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "folded header": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
    "space in a header name": b"HTTP/1.1 200 OK\r\nx y: a\r\ncontent-length: 2\r\n\r\nok",
    "null in a header": b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "length beyond numbers": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
    "length in words": b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",
    "chunk size garbage": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "chunk size beyond numbers": CHUNKED + b"f" * 20 + b"\r\n",
    "chunk without its end": CHUNKED + b"2\r\nokok\r\n0\r\n\r\n",
    "gzip as transfer coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip body": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b",
    "brotli body": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\ncontent-length: 2\r\n\r\nok",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x00",
    "201 headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 201 + b"\r\n",
    "head of 70 KB": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_not_http_is_an_invalid_reply_and_the_connection_is_closed(said, upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(said))
    assert await fault_of(upstreams, upstream.call()) is Kind.INVALID_REPLY
    await upstream.peers[0].gone
    assert held(upstreams) == 0


ENDLESS = {
    "header line": (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 8192),
    "header name": (b"HTTP/1.1 200 OK\r\n", b"y" * 8192),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000),
    "status line": (b"HTTP/1.1 200 ", b"y" * 8192),
    "empty lines": (b"", b"\r\n" * 4096),
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 300),
    "chunk size": (CHUNKED, b"0" * 8192),
    "chunk extension": (CHUNKED + b"2;", b"y" * 8192),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 1000),
    "trailer line": (CHUNKED + b"0\r\nx: ", b"y" * 8192),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_cut_off(name, upstreams, serve) -> None:
    start, piece = ENDLESS[name]
    sent = 0
    loop = asyncio.get_running_loop()

    def talk(peer, _data) -> None:
        peer.write(start)

        def more() -> None:
            nonlocal sent
            if not peer.gone.done() and sent < 64 * FRAMING_LIMIT_BYTES:
                if peer.transport.get_write_buffer_size() == 0:
                    peer.write(piece)
                    sent += len(piece)
                loop.call_soon(more)

        more()

    upstream = await serve(talk)
    assert await fault_of(upstreams, upstream.call()) is Kind.INVALID_REPLY
    assert sent < 64 * FRAMING_LIMIT_BYTES
    await upstream.peers[0].gone


@pytest.mark.parametrize(
    ("said", "got"),
    [
        (b"", None),
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.1 200 OK\r\ncontent-le", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", b"hell"),
        (CHUNKED, b""),
        (CHUNKED + b"5\r\nhe", b"he"),
        (CHUNKED + b"5\r\nhello\r\n", b"hello"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"hello"),
    ],
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_early_end_is_a_broken_stream_after_all_that_came(said, got, how, upstreams, serve, until) -> None:
    def end(peer) -> None:
        if how == "close":
            peer.transport.close()
        else:
            peer.transport.abort()

    upstream = await serve(lambda peer, _data: peer.write(said) if said else end(peer))
    opening = asyncio.ensure_future(upstreams.open(upstream.call()))
    received = b""
    if got is not None:
        exchange = await opening
        while len(received) < len(got):
            received += await exchange.chunk()
        last = exchange.chunk()
    else:
        last = opening
        await until(lambda: upstream.requests)
    if said:
        end(upstream.peers[0])
    with pytest.raises(FaultError) as caught:
        await last
    assert caught.value.fault.kind is Kind.BROKEN_STREAM
    assert received == (got or b"")
    assert held(upstreams) == 0


async def test_a_fault_is_raised_again_however_often_it_is_asked_for(upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write_and_close(CHUNKED + b"5\r\nhello\r\n"))
    exchange = await upstreams.open(upstream.call())
    assert await exchange.chunk() == b"hello"
    for _ in range(2):
        with pytest.raises(FaultError):
            await exchange.chunk()


async def test_a_body_over_the_limit_is_an_invalid_reply_and_closes(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer(b"x" * 5_000_000)))
    exchange = await upstreams.open(upstream.call())
    with pytest.raises(FaultError) as caught:
        await exchange.read(400_000)
    assert caught.value.fault.kind is Kind.INVALID_REPLY
    assert held(upstreams) == 0


# Back-pressure.


async def test_a_consumer_that_does_not_read_bounds_what_is_buffered(upstreams, serve, until) -> None:
    total = 64 * HIGH_WATER_BYTES

    def talk(peer, _data) -> None:
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        peer.write(b"x" * total)

    upstream = await serve(talk)
    exchange = await upstreams.open(upstream.call())
    connection = exchange._carrier
    assert connection is not None
    await until(lambda: connection._paused)
    for _ in range(20):  # turns of the loop in which more would arrive if reading went on
        await asyncio.sleep(0)
    assert HIGH_WATER_BYTES < exchange._buffered <= 2 * HIGH_WATER_BYTES
    assert upstream.peers[0].transport.get_write_buffer_size() > 0
    read, peak = 0, 0
    while piece := await exchange.chunk():
        read += len(piece)
        peak = max(peak, len(piece))
    assert read == total
    assert peak <= 2 * HIGH_WATER_BYTES
    assert resting(upstreams) == 1
    assert (await connected_again(upstreams, upstream)).reused


async def connected_again(upstreams: Upstreams, upstream) -> Exchange:
    upstream.peers[0].talk = lambda peer, _data: peer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    return await upstreams.open(upstream.call())
