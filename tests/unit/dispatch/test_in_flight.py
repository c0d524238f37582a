"""Whoever stands back waits for the last call, and for nothing longer."""

import asyncio

from freehold.dispatch.in_flight import InFlight


async def test_quiet_comes_with_the_end_of_the_last_call():
    calls = InFlight()
    await calls.quiet(["a", "b"])
    calls.begin("a")
    calls.begin("a")
    waiting = asyncio.get_running_loop().create_task(calls.quiet(["a", "b"]))
    await asyncio.sleep(0)
    calls.end("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    calls.end("a")
    await waiting
    assert calls.on("a") == 0


async def test_calls_elsewhere_are_not_waited_for():
    calls = InFlight()
    calls.begin("far")
    await calls.quiet(["near"])


async def test_a_call_that_comes_meanwhile_is_waited_for_too():
    calls = InFlight()
    calls.begin("a")
    waiting = asyncio.get_running_loop().create_task(calls.quiet(["a"]))
    await asyncio.sleep(0)
    calls.end("a")
    calls.begin("a")
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    calls.end("a")
    await waiting
