import asyncio

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.http import Call, Upstreams

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LIMIT = 1 << 20


async def fetch(upstreams: Upstreams, call: Call) -> tuple[int, dict[str, str], bytes]:
    exchange = await upstreams.open(call)
    return exchange.status, exchange.headers, await exchange.read(LIMIT)


def held(upstreams: Upstreams) -> int:
    return sum(len(berths.open) + berths.opening for berths in upstreams._berths.values())


# Deadlines.


async def timed_out(awaited, seconds: float, since_s: float | None = None) -> Kind:
    """`since_s`: when its deadline was armed, where that was before now."""
    loop = asyncio.get_running_loop()
    began = loop.time() if since_s is None else since_s
    with pytest.raises(FaultError) as caught:
        await awaited
    assert seconds - 0.005 <= loop.time() - began < seconds + 4
    return caught.value.fault.kind


async def test_no_head_in_time_is_a_first_content_timeout(upstreams, serve) -> None:
    upstream = await serve(lambda _peer, _data: None)
    kind = await timed_out(upstreams.open(upstream.call(head_timeout_s=0.05)), 0.05)
    assert kind is Kind.FIRST_CONTENT_TIMEOUT
    await upstream.peers[0].gone
    assert held(upstreams) == 0


async def test_the_deadline_of_the_head_stands_until_another_replaces_it(upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED))
    exchange = await upstreams.open(upstream.call(head_timeout_s=0.3))
    assert await timed_out(exchange.chunk(), 0.0) is Kind.FIRST_CONTENT_TIMEOUT


@pytest.mark.parametrize(("first_s", "then_s"), [(5.0, 0.05), (0.02, 0.08)])
async def test_the_last_armed_deadline_holds_whether_it_is_nearer_or_farther(first_s, then_s, upstreams, serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED))
    exchange = await upstreams.open(upstream.call())
    exchange.arm(first_s, Kind.TOTAL_TIMEOUT)
    began_s = asyncio.get_running_loop().time()
    exchange.arm(then_s, Kind.CHUNK_TIMEOUT)
    assert await timed_out(exchange.chunk(), then_s, began_s) is Kind.CHUNK_TIMEOUT
    await upstream.peers[0].gone


async def test_a_slow_drip_does_not_move_the_deadline(upstreams, serve) -> None:
    loop = asyncio.get_running_loop()

    def talk(peer, _data) -> None:
        peer.write(CHUNKED)

        def drip() -> None:
            if not peer.gone.done():
                peer.write(b"1\r\nx\r\n")
                loop.call_later(0.005, drip)

        drip()

    upstream = await serve(talk)
    exchange = await upstreams.open(upstream.call())
    began_s = loop.time()
    exchange.arm(0.05, Kind.TOTAL_TIMEOUT)
    assert await timed_out(exchange.read(LIMIT), 0.05, began_s) is Kind.TOTAL_TIMEOUT


async def test_framing_without_content_does_not_move_the_deadline(upstreams, serve) -> None:
    loop = asyncio.get_running_loop()

    def talk(peer, _data) -> None:
        peer.write(CHUNKED + b"5;")

        def drip() -> None:
            if not peer.gone.done():
                peer.write(b"x")
                loop.call_later(0.005, drip)

        drip()

    upstream = await serve(talk)
    exchange = await upstreams.open(upstream.call())
    began_s = loop.time()
    exchange.arm(0.05, Kind.CHUNK_TIMEOUT)
    assert await timed_out(exchange.chunk(), 0.05, began_s) is Kind.CHUNK_TIMEOUT


async def test_a_deadline_that_passes_while_nobody_waits_strikes_only_who_then_has_to_wait(upstreams, serve) -> None:
    loop = asyncio.get_running_loop()
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED + b"5\r\nhello\r\n"))
    exchange = await upstreams.open(upstream.call())
    assert await exchange.chunk() == b"hello"
    exchange.arm(0.01, Kind.CHUNK_TIMEOUT)
    passed = loop.create_future()
    loop.call_later(0.03, passed.set_result, None)
    await passed
    assert await timed_out(exchange.chunk(), 0.0) is Kind.CHUNK_TIMEOUT


async def test_a_new_deadline_revives_an_exchange_whose_old_one_passed_unseen(upstreams, serve) -> None:
    loop = asyncio.get_running_loop()
    upstream = await serve(lambda peer, _data: peer.write(CHUNKED))
    exchange = await upstreams.open(upstream.call())
    exchange.arm(0.01, Kind.CHUNK_TIMEOUT)
    passed = loop.create_future()
    loop.call_later(0.03, passed.set_result, None)
    await passed
    exchange.arm(5.0, Kind.CHUNK_TIMEOUT)
    upstream.peers[0].write(b"2\r\nok\r\n0\r\n\r\n")
    assert await exchange.read(LIMIT) == b"ok"


async def test_one_timer_serves_many_requests(upstreams, serve, answer, monkeypatch) -> None:
    upstream = await serve(lambda peer, _data: peer.write(answer()))
    made = 0
    loop = asyncio.get_running_loop()
    await fetch(upstreams, upstream.call())
    [berths] = upstreams._berths.values()
    timer = berths.resting[0]._timer
    for _ in range(50):
        await fetch(upstreams, upstream.call())
        made += berths.resting[0]._timer is not timer
    assert made == 0
    assert loop.is_running()
