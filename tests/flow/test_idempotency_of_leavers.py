"""Clients that leave before their answer is whole, and ask again with the same `Idempotency-Key`."""

import asyncio

import httpx

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import Serve, Served
from support.idempotent import KEY, chat, chats, config, post, scripted


async def leaves(served: Served, fake: FakeRuntime, *, after: int) -> None:
    """A client that asks, reads the beginning of a stream and goes away."""
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json=chat(stream=True), headers=KEY) as answer,
    ):
        async for _ in answer.aiter_raw():
            break
    await fake.closed(after)


async def test_a_client_that_left_amid_its_answer_is_served_anew_and_told_that_both_are_charged(
    serve: Serve, fake: FakeRuntime
) -> None:
    scripted(fake, Act(say="one two three", stall="mid"), Act(say="all of it"))
    served = await serve(config(fake))
    await leaves(served, fake, after=1)
    anew = await post(served, "/v1/chat/completions", chat(stream=True))
    assert anew.status_code == 200
    assert anew.headers["idempotent-replayed"] == "false"
    left = served.rows()[-1]
    assert anew.headers["x-freehold-first-request-id"] == left.request_id
    assert left.outcome == "cancelled"
    again = await post(served, "/v1/chat/completions", chat(stream=True))
    assert again.content == anew.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(fake.journal) == 2


async def test_a_client_that_left_before_anything_could_be_paid_leaves_no_trace(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(stall="before-headers"), Act(say="now"))
    served = await serve(config(fake, kind="local"))
    first = asyncio.ensure_future(chats(served))
    await fake.received(1)
    first.cancel()
    await asyncio.wait([first])
    await fake.closed(1)
    anew = await chats(served)
    assert (anew.status_code, "idempotent-replayed" in anew.headers) == (200, False)


async def test_one_that_waits_is_served_when_the_first_one_leaves(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(stall="before-headers"), Act(say="for the second"))
    served = await serve(config(fake))
    first = asyncio.ensure_future(chats(served))
    await fake.received(1)
    second = asyncio.ensure_future(chats(served))
    third = asyncio.ensure_future(chats(served))
    while len(served.app.gateway.connections) < 3:  # noqa: ASYNC110 - until all are there
        await asyncio.sleep(0.01)
    first.cancel()
    answers = await asyncio.gather(second, third)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sorted(answer.headers["idempotent-replayed"] for answer in answers) == ["false", "true"]
    assert len(fake.journal) == 2
