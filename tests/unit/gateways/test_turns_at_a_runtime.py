"""Calls that wait for the same runtime, on real sockets."""

import asyncio

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.http import QUEUED_PER_PLACE

LIMIT = 1 << 20


async def fetch(upstreams, call) -> bytes:
    exchange = await upstreams.open(call)
    return await exchange.read(LIMIT)


class Runtime:
    """Answers a call when it is told to, and notes whose it was."""

    def __init__(self, serve, answer) -> None:
        self._serve, self._answer = serve, answer
        self.order: list[str] = []
        self.waiting: list = []

    async def start(self):
        def talk(peer, data) -> None:
            self.order.append(data.partition(b"\r\n\r\n")[2].decode())
            self.waiting.append(peer)

        return await self._serve(talk)

    def answer_one(self) -> None:
        self.waiting.pop(0).write(self._answer())


@pytest.fixture
async def runtime(serve, answer):
    return Runtime(serve, answer)


async def serve_all(runtime, tasks, until) -> None:
    for count in range(1, len(tasks) + 1):
        await until(lambda count=count: len(runtime.order) == count)
        runtime.answer_one()
    await asyncio.gather(*tasks)


async def begin(upstreams, upstream, *whose: str, **more: object) -> list[asyncio.Future]:
    tasks = [
        asyncio.ensure_future(
            fetch(upstreams, upstream.call(body=name.encode(), max_connections=1, caller=name, connect_timeout_s=60, **more))
        )
        for name in whose
    ]
    await asyncio.sleep(0)
    return tasks


async def test_one_who_floods_keeps_nobody_waiting_for_more_than_a_turn(runtime, upstreams, until) -> None:
    upstream = await runtime.start()
    tasks = await begin(upstreams, upstream, *["flood"] * 8)
    await until(lambda: runtime.order)
    tasks += await begin(upstreams, upstream, "ann", "bob")
    await serve_all(runtime, tasks, until)
    assert runtime.order.index("ann") <= 2
    assert runtime.order.index("bob") <= 3


async def test_background_work_waits_behind_all_who_wait_for_an_answer(runtime, upstreams, until) -> None:
    upstream = await runtime.start()
    tasks = await begin(upstreams, upstream, "first")
    await until(lambda: runtime.order)
    tasks += await begin(upstreams, upstream, "batch", "batch", is_background=True)
    tasks += await begin(upstreams, upstream, "ann", "ann", "ann")
    await serve_all(runtime, tasks, until)
    assert runtime.order == ["first", "ann", "ann", "ann", "batch", "batch"]


async def test_a_full_queue_has_room_for_those_who_do_not_fill_it(runtime, upstreams, until) -> None:
    upstream = await runtime.start()
    tasks = await begin(upstreams, upstream, *["flood"] * (QUEUED_PER_PLACE + 1))
    await until(lambda: runtime.order)
    [refused] = await begin(upstreams, upstream, "flood")
    [ann] = await begin(upstreams, upstream, "ann")
    for turned_away in (refused, tasks.pop()):
        with pytest.raises(FaultError) as caught:
            await turned_away
        assert caught.value.fault.kind is Kind.OVERLOADED
        assert caught.value.fault.retry_after_s
    await serve_all(runtime, [*tasks, ann], until)
    assert runtime.order[1] in {"flood", "ann"}
    assert runtime.order.index("ann") <= 2


async def test_one_who_leaves_the_queue_gives_up_only_that_turn(runtime, upstreams, until) -> None:
    upstream = await runtime.start()
    tasks = await begin(upstreams, upstream, "flood", "flood", "flood", "ann", "ann")
    await until(lambda: runtime.order)
    tasks[3].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks.pop(3)
    await serve_all(runtime, tasks, until)
    assert sorted(runtime.order) == ["ann", "flood", "flood", "flood"]
    assert runtime.order.index("ann") <= 2
