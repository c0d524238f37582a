import asyncio

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connector import Address
from freehold.gateways.head import write_head
from freehold.gateways.http import Call, Upstreams
from freehold.runtime import Egress

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


# What goes out.


async def test_a_request_is_what_http_says_and_nothing_more(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    headers = (("authorization", "Bearer k"), ("content-type", "application/json"))
    assert await fetch(upstreams, upstream.call(headers=headers, body=b'{"a":1}')) == (200, {"content-length": "2"}, b"ok")
    assert bytes(upstream.peers[0].heard) == (
        b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n"
        b'content-length: 7\r\n\r\n{"a":1}' % upstream.address.port
    )


async def test_a_get_without_a_body_has_no_content_length(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    await fetch(upstreams, upstream.call(method="GET", body=b"", headers=()))
    assert b"content-length" not in upstream.peers[0].heard


async def test_a_large_body_arrives_whole(upstreams, serve, answer) -> None:
    body = b"x" * 3_000_000
    upstream = await serve(lambda peer, _data: peer.heard.endswith(b"x!") and peer.write(answer()))
    assert (await fetch(upstreams, upstream.call(body=body + b"!")))[0] == 200
    assert upstream.peers[0].heard.endswith(body + b"!")


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ((("x", "a\r\nhost: evil"),), Kind.INVALID_REQUEST),
        ((("x", "a\nb"),), Kind.INVALID_REQUEST),
        ((("x", "a\x00b"),), Kind.INVALID_REQUEST),
        ((("x", "a\x7fb"),), Kind.INVALID_REQUEST),
        ((("x", "\u20ac"),), Kind.INVALID_REQUEST),
        ((("x\r\ny", "hunter2"),), Kind.INTERNAL),
        ((("x:", "hunter2"),), Kind.INTERNAL),
        ((("", "hunter2"),), Kind.INTERNAL),
        ((("Content-Length", "5"),), Kind.INTERNAL),
        ((("Transfer-Encoding", "chunked"),), Kind.INTERNAL),
        ((("Host", "evil"),), Kind.INTERNAL),
        ((("Connection", "close"),), Kind.INTERNAL),
        ((("Upgrade", "h2c"),), Kind.INTERNAL),
        ((("Expect", "100-continue"),), Kind.INTERNAL),
        ((("Accept-Encoding", "gzip"),), Kind.INTERNAL),
    ],
)
def test_no_header_breaks_out_of_its_line_or_frames_the_message(headers, kind) -> None:
    with pytest.raises(FaultError) as caught:
        write_head(Address("h", 80, False, ""), "POST", "/", headers)
    assert caught.value.fault.kind is kind
    assert headers[0][1] not in str(caught.value)


@pytest.mark.parametrize(("method", "path"), [("POST", "/a b"), ("POST", "/a\r\nx: y"), ("POST", "a"), ("HEAD", "/"), ("GET /", "/"), ("CONNECT", "/")])  # fmt: skip
def test_a_request_line_that_cannot_be_sent_is_refused(method, path) -> None:
    with pytest.raises(FaultError) as caught:
        write_head(Address("h", 80, False, ""), method, path, ())
    assert caught.value.fault.kind is Kind.INTERNAL


# Keeping connections.


async def test_a_connection_serves_again_and_says_so(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    first = await upstreams.open(upstream.call())
    await first.read(LIMIT)
    second = await upstreams.open(upstream.call())
    await second.read(LIMIT)
    assert (first.reused, second.reused) == (False, True)
    assert first.connected_ms > 0 == second.connected_ms
    assert len(upstream.peers) == 1


async def test_a_resting_connection_is_judged_again_for_each_call(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    await fetch(upstreams, upstream.call(egress=Egress.VENDOR, ceiling=Egress.VENDOR))
    assert await fault_of(upstreams, upstream.call(egress=Egress.VENDOR, ceiling=Egress.SELF_HOSTED)) is Kind.EGRESS_REFUSED
    assert upstream.requests == 1


async def test_classes_share_no_connections(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    for egress in Egress:
        await fetch(upstreams, upstream.call(egress=egress, ceiling=Egress.VENDOR))
    assert len(upstream.peers) == 3


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok and more",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
async def test_after_more_than_one_answer_the_connection_is_closed_and_the_answer_stands(said, upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(said))
    assert (await fetch(upstreams, upstream.call()))[2] == b"ok"
    await upstream.peers[0].gone
    assert held(upstreams) == 0


async def test_bytes_on_a_resting_connection_close_it(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    await fetch(upstreams, upstream.call())
    upstream.peers[0].write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    await upstream.peers[0].gone
    assert (await fetch(upstreams, upstream.call()))[2] == b"ok"
    assert len(upstream.peers) == 2


async def test_an_answer_before_the_request_was_out_closes_the_connection(upstreams, serve, answer) -> None:
    def talk(peer, _data) -> None:
        if not peer.transport.is_closing() and peer.transport.is_reading():
            peer.transport.pause_reading()
            peer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")

    upstream = await serve(talk)
    assert (await fetch(upstreams, upstream.call(body=b"x" * 30_000_000)))[0] == 413
    assert held(upstreams) == 0


async def test_a_connection_closed_while_it_rested_is_replaced_unseen(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    await fetch(upstreams, upstream.call())
    upstream.peers[0].transport.abort()
    await upstream.peers[0].gone
    assert (await fetch(upstreams, upstream.call()))[2] == b"ok"


def stale_talk(answer, after: int):
    """Each connection answers `after` requests and closes upon the next, unread so to say."""

    def talk(peer, _data) -> None:
        peer.answered = getattr(peer, "answered", 0) + 1
        if peer.answered > after:
            peer.transport.abort()
        else:
            peer.write(answer())

    return talk


async def test_a_request_on_a_reused_connection_closed_without_a_byte_is_sent_once_more(upstreams, serve, answer) -> None:
    upstream = await serve(stale_talk(answer, 1))
    await fetch(upstreams, upstream.call())
    exchange = await upstreams.open(upstream.call())
    assert await exchange.read(LIMIT) == b"ok"
    assert not exchange.reused
    assert upstream.requests == 3


async def test_a_request_on_a_new_connection_is_never_sent_twice(upstreams, serve, answer) -> None:
    upstream = await serve(stale_talk(answer, 0))
    assert await fault_of(upstreams, upstream.call()) is Kind.BROKEN_STREAM
    assert upstream.requests == 1


async def test_a_request_that_an_answer_was_begun_for_is_never_sent_twice(upstreams, serve, answer) -> None:
    def talk(peer, _data) -> None:
        peer.answered = getattr(peer, "answered", 0) + 1
        if peer.answered == 1:
            peer.write(answer())
        else:
            peer.write_and_close(b"H")

    upstream = await serve(talk)
    await fetch(upstreams, upstream.call())
    assert await fault_of(upstreams, upstream.call()) is Kind.BROKEN_STREAM
    assert upstream.requests == 2


async def test_a_late_close_is_not_taken_for_a_stale_connection(upstreams, serve, answer, monkeypatch) -> None:
    monkeypatch.setattr("freehold.gateways.connection.STALE_S", -1.0)
    upstream = await serve(stale_talk(answer, 1))
    await fetch(upstreams, upstream.call())
    assert await fault_of(upstreams, upstream.call()) is Kind.BROKEN_STREAM
    assert upstream.requests == 2


async def test_connections_that_rested_too_long_are_closed(upstreams, serve, answer, monkeypatch) -> None:
    monkeypatch.setattr("freehold.gateways.connection.IDLE_S", 0.02)
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    exchange = await upstreams.open(upstream.call(head_timeout_s=0.3))
    await exchange.read(LIMIT)
    await upstream.peers[0].gone
    assert held(upstreams) == 0


# At the limit of connections.


async def test_calls_at_the_limit_are_served_in_their_order(upstreams, serve, answer) -> None:
    seen: list[bytes] = []

    def talk(peer, data) -> None:
        seen.append(data[-1:])
        peer.write(answer())

    upstream = await serve(talk)
    calls = [upstream.call(body=b"%d" % number, max_connections=1) for number in range(5)]
    await asyncio.gather(*(fetch(upstreams, call) for call in calls))
    assert b"".join(seen) == b"01234"
    assert len(upstream.peers) == 1


async def test_waiting_for_a_connection_ends_as_overloaded(upstreams, serve) -> None:
    upstream = await serve(lambda _peer, _data: None)
    first = asyncio.ensure_future(fetch(upstreams, upstream.call(max_connections=1)))
    await asyncio.sleep(0)
    assert await fault_of(upstreams, upstream.call(max_connections=1, connect_timeout_s=0.03)) is Kind.OVERLOADED
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert held(upstreams) == 0


async def test_a_call_that_ends_in_any_way_lets_the_next_one_in(upstreams, serve, answer) -> None:
    replies = [b"garbage\r\n\r\n", answer(extra=b"connection: close\r\n"), b"", answer()]

    def talk(peer, _data) -> None:
        said = replies.pop(0)
        peer.write(said) if said else peer.transport.abort()

    upstream = await serve(talk)
    call = upstream.call(max_connections=1)
    ends = await asyncio.gather(*(fetch(upstreams, call) for _ in range(4)), return_exceptions=True)
    kinds = [end.fault.kind if isinstance(end, FaultError) else None for end in ends]
    assert kinds == [Kind.INVALID_REPLY, None, Kind.BROKEN_STREAM, None]
    assert held(upstreams) == resting(upstreams) == 1


@pytest.mark.parametrize("when", ["queued", "its turn came"])
async def test_a_cancelled_wait_gives_its_place_to_the_next(when, upstreams, serve, answer, until) -> None:
    upstream = await serve(lambda _peer, _data: None)
    call = upstream.call(max_connections=1)
    first, second, third = (asyncio.ensure_future(fetch(upstreams, call)) for _ in range(3))
    await until(lambda: upstream.requests)
    if when == "its turn came":
        [berths] = upstreams._berths.values()
        [turn] = berths.turns._interactive.lines[""].items.copy().popitem(last=False)[:1]
        upstream.peers[0].write(answer())
        await until(turn.done)
    else:
        upstream.peers[0].write(answer())
    second.cancel()
    await first
    await until(lambda: upstream.requests == 2)
    upstream.peers[0].write(answer())
    assert (await third)[2] == b"ok"
    assert second.cancelled()
    assert held(upstreams) == 1


# Going away.


def waits_for_body(upstreams: Upstreams) -> bool:
    exchanges = [connection._exchange for berths in upstreams._berths.values() for connection in berths.open]
    return any(exchange is not None and exchange.awaited and exchange.status for exchange in exchanges)


@pytest.mark.parametrize("phase", ["head", "body"])
async def test_cancelling_a_wait_closes_the_connection_and_frees_its_place(phase, upstreams, serve, until) -> None:
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED) if phase == "body" else None)
    task = asyncio.ensure_future(fetch(upstreams, upstream.call()))
    await until(lambda: upstream.requests and (phase == "head" or waits_for_body(upstreams)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.peers[0].gone
    assert held(upstreams) == 0


async def test_cancelling_while_the_handshake_is_under_way_frees_the_place(upstreams, serve, until) -> None:
    upstream = await serve(lambda _peer, _data: None)
    address = Address("127.0.0.1", upstream.address.port, True, "")
    task = asyncio.ensure_future(upstreams.open(upstream.call(address=address)))
    await until(lambda: upstream.peers and upstream.peers[0].heard)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.peers[0].gone
    assert held(upstreams) == 0


async def test_abort_closes_at_once_wakes_who_waits_and_may_be_repeated(upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED))
    exchange = await upstreams.open(upstream.call())
    waiting = asyncio.ensure_future(exchange.chunk())
    await asyncio.sleep(0)
    exchange.abort()
    exchange.abort()
    with pytest.raises(FaultError) as caught:
        await waiting
    assert caught.value.fault.kind is Kind.CLIENT_GONE
    await upstream.peers[0].gone
    assert held(upstreams) == 0


async def test_abort_after_the_end_leaves_the_connection_to_others(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    exchange = await upstreams.open(upstream.call())
    assert await exchange.read(LIMIT) == b"ok"
    exchange.abort()
    exchange.arm(0.001, Kind.TOTAL_TIMEOUT)
    assert resting(upstreams) == 1
    assert (await fetch(upstreams, upstream.call()))[2] == b"ok"
    assert len(upstream.peers) == 1


async def test_close_ends_everything_resting_busy_or_queued(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, data: peer.write(answer() if data.endswith(b"quick") else CHUNKED))
    await fetch(upstreams, upstream.call(body=b"quick", egress=Egress.VENDOR, ceiling=Egress.VENDOR))
    busy = await upstreams.open(upstream.call(max_connections=1))
    queued = asyncio.ensure_future(upstreams.open(upstream.call(max_connections=1)))
    await asyncio.sleep(0)
    await upstreams.close()
    for awaited in (busy.chunk(), queued, upstreams.open(upstream.call())):
        with pytest.raises(FaultError) as caught:
            await awaited
        assert caught.value.fault.kind is Kind.SHUTTING_DOWN
    await asyncio.gather(*(peer.gone for peer in upstream.peers))
    assert held(upstreams) == 0


async def test_many_at_once_each_get_their_own_answer(upstreams, serve, answer) -> None:
    upstream = await serve(lambda peer, data: peer.write(answer(data.partition(b"\r\n\r\n")[2])))
    bodies = [b"%04d" % number for number in range(300)]
    got = await asyncio.gather(*(fetch(upstreams, upstream.call(body=body, max_connections=20)) for body in bodies))
    assert [body for _, _, body in got] == bodies
    assert len(upstream.peers) == held(upstreams) == 20
