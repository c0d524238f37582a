"""What happens when a runtime is full or silent: the next one serves soon, and nothing is called more than it can bear."""

import asyncio
import json
from typing import Any

import pytest

from freehold.gateways.fake import Act, FakeRuntime
from freehold.limits.breaker import Thresholds
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.hostile import HANG, KEEP, hostile
from support.rawclient import Answer, ask

IN_ORDER = '[[rules]]\nname = "in order"\ntry = ["local", "self_hosted"]\n'


def port_of(served: Served) -> int:
    return int(served.url.rsplit(":", 1)[1])


def text_of(answer: Answer) -> str:
    return str(json.loads(answer.body)["choices"][0]["message"]["content"])


async def start_busy(script: Any) -> FakeRuntime:
    runtime = FakeRuntime(script=script)
    await runtime.start()
    return runtime


@pytest.mark.parametrize("wait_s", ["0", "0.1"])
async def test_a_full_runtime_spills_over_and_is_not_taken_for_ill(serve: Serve, fake: FakeRuntime, wait_s: str) -> None:
    full = await start_busy(lambda _: Act(stall="before-headers"))
    served = await serve(
        NO_ENGINE
        + runtime_toml("full", "local", base_url(full), max_connections="2", queue_wait_s=wait_s)
        + runtime_toml("other", "self_hosted", base_url(fake))
        + deployment_toml("full", "m", "m", free="true")
        + deployment_toml("other", "m", "m", free="true")
        + '[aliases]\nauto = ["full/m", "other/m"]\n'
        + IN_ORDER
    )
    held = [asyncio.ensure_future(ask("openai_chat", port_of(served), "hello", stream=False)) for _ in range(2)]
    await full.received(2)
    for _ in range(7):
        answer = await ask("openai_chat", port_of(served), "[[fake: say=spilled]]", stream=False)
        assert (text_of(answer), answer.headers["x-freehold-deployment"]) == ("spilled", "other/m")
    first, second = served.last().attempts
    assert (first.deployment, first.end, first.fault) == ("full/m", "fault", "overloaded")
    assert "all 2 connections" in first.fault_message
    assert second.end == "served"
    assert len(full.journal) == 2, "no call is sent to a runtime that is full"
    assert served.app.breakers.health() == {}, "seven times full is no sign of illness"
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await full.stop()


async def test_with_nowhere_to_go_a_request_queues_and_is_served_in_its_turn(serve: Serve) -> None:
    slow = await start_busy(lambda _: Act(say="mine", slow_s=0.05))
    served = await serve(
        NO_ENGINE
        + runtime_toml("slow", "local", base_url(slow), max_connections="1", queue_wait_s="0")
        + deployment_toml("slow", "m", "m", free="true")
    )
    answers = await asyncio.gather(*(ask("openai_chat", port_of(served), "hello", stream=False, model="m") for _ in range(4)))
    assert [text_of(answer) for answer in answers] == ["mine"] * 4
    await slow.stop()


async def test_a_queue_that_is_too_long_is_told_at_once_with_a_wait(serve: Serve) -> None:
    full = await start_busy(lambda _: Act(stall="before-headers"))
    served = await serve(
        NO_ENGINE
        + runtime_toml("full", "local", base_url(full), max_connections="1")
        + deployment_toml("full", "m", "m", free="true")
    )
    asked = [asyncio.ensure_future(ask("openai_chat", port_of(served), "hi", stream=False, model="m")) for _ in range(20)]
    told, waiting = await asyncio.wait(asked, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    while len(told) < 3:
        more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert more
        told |= more
    assert len(told) == 3, "one is served, sixteen wait"
    for answer in (one.result() for one in told):
        assert answer.status == 503
        assert 1 <= float(answer.headers["retry-after"]) <= 60
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await full.stop()


async def test_steps_that_stay_silent_one_after_the_other_share_one_deadline(serve: Serve) -> None:
    async with hostile({f"m{number}": lambda _: [HANG] for number in range(20)}) as silent:
        names = [f"silent{number}" for number in range(20)]
        served = await serve(
            NO_ENGINE
            + "".join(runtime_toml(name, "local", silent.url, total_timeout_s="1.2") for name in names)
            + "".join(deployment_toml(name, "m", f"m{number}", free="true") for number, name in enumerate(names))
        )
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answer = await ask("openai_chat", port_of(served), "hello", stream=False, model="m")
        assert answer.status == 504
        assert loop.time() - began_s < 18, "twenty times 1.2 s would be 24 s"
        assert len(silent.asked) >= 2


async def test_a_small_whole_answer_is_not_waited_for_as_long_as_a_large_one(serve: Serve, fake: FakeRuntime) -> None:
    async with hostile({"m": lambda _: [HANG]}) as silent:
        served = await serve(
            NO_ENGINE
            + runtime_toml("silent", "local", silent.url, first_content_timeout_s="0.1")
            + runtime_toml("other", "self_hosted", base_url(fake))
            + deployment_toml("silent", "m", "m", free="true")
            + deployment_toml("other", "m", "m", free="true")
            + '[aliases]\nauto = ["silent/m", "other/m"]\n'
            + IN_ORDER
        )
        client = served.openai()
        said: Any = [{"role": "user", "content": "[[fake: say=other]]"}]
        reply = await client.chat.completions.create(model="auto", max_tokens=2, messages=said)
        assert reply.choices[0].message.content == "other"
        assert served.last().attempts[0].fault == "first_content_timeout"
        assert served.last().attempts[0].duration_ms < 20_000, "a large one had minutes"


async def test_further_calls_at_one_runtime_are_bounded_and_another_runtime_is_not(serve: Serve, fake: FakeRuntime) -> None:
    no = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
    async with hostile({f"m{number}": lambda _: [no, KEEP] for number in range(3)}) as ill:
        served = await serve(
            NO_ENGINE
            + runtime_toml("ill", "local", ill.url)
            + runtime_toml("well", "self_hosted", base_url(fake))
            + "".join(deployment_toml("ill", f"m{number}", f"m{number}", free="true") for number in range(3))
            + deployment_toml("well", "w", "w", free="true")
            + '[aliases]\nauto = ["ill/m0", "ill/m1", "ill/m2", "well/w"]\n'
            + IN_ORDER
        )
        served.app.breakers._thresholds = Thresholds(consecutive=10**9, least=10**9)
        served.app.retries._now = lambda: 0.0  # all of it within one span, however slow the machine is
        for _ in range(50):
            answer = await ask("openai_chat", port_of(served), "[[fake: say=well]]", stream=False)
            assert text_of(answer) == "well", "the budget never stands in the way of another runtime"
        assert 50 < len(ill.asked) <= 1.2 * 50 + 3, "three calls each without the budget"
