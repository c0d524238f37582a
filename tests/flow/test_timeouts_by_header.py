"""A client says how long it waits: the gateway gives up then, and never waits longer than it would have."""

import time
from typing import Any

import anthropic
import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def config(*fakes: FakeRuntime, total_s: float = 60) -> str:
    toml = NO_ENGINE
    for index, fake in enumerate(fakes):
        toml += runtime_toml(f"lab{index}", "local", base_url(fake), total_timeout_s=str(total_s))
        toml += deployment_toml(f"lab{index}", f"fake{index}", "fake-chat", free="true")
    return toml + f'[aliases]\n"gpt-*" = [{", ".join(f"{chr(34)}lab{i}/fake{i}{chr(34)}" for i in range(len(fakes)))}]\n'


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_silent_runtime_is_given_up_when_the_client_said(serve: Serve, fake: FakeRuntime, *, stream: bool) -> None:
    fake._script = lambda _received: Act(stall="before-headers")
    served = await serve(config(fake))
    begin = time.monotonic()
    with pytest.raises(openai.APIStatusError) as error:
        await served.openai().chat.completions.create(**ASK, stream=stream, extra_headers={"x-freehold-timeout-s": "0.3"})
    assert error.value.status_code == 504
    assert 0.25 < time.monotonic() - begin < 20
    assert served.last().request.fault in {"total_timeout", "first_content_timeout"}


async def test_it_holds_over_all_steps_together(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    for one in (fake, other_fake):
        one._script = lambda _received: Act(stall="before-headers")
    served = await serve(config(fake, other_fake))
    begin = time.monotonic()
    with pytest.raises(openai.APIStatusError):
        await served.openai().chat.completions.create(**ASK, extra_headers={"x-freehold-timeout-s": "2.0"})
    assert time.monotonic() - begin < 20
    assert served.last().request.attempts == 2, "the second step is tried within the same deadline"


async def test_a_stream_that_takes_longer_is_ended_as_a_fault(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(say="one two three", stall="mid")
    served = await serve(config(fake))
    with pytest.raises(openai.APIError):
        stream = await served.openai().chat.completions.create(**ASK, stream=True, extra_headers={"x-freehold-timeout-s": "2.0"})
        async for _ in stream:
            pass
    row = served.last().request
    assert (row.outcome, row.fault) == ("cut", "total_timeout")


async def test_a_longer_wait_than_the_runtimes_own_lengthens_nothing(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(stall="before-headers")
    served = await serve(config(fake, total_s=0.3))
    begin = time.monotonic()
    with pytest.raises(openai.APIStatusError) as error:
        await served.openai().chat.completions.create(**ASK, extra_headers={"x-freehold-timeout-s": "30"})
    assert error.value.status_code == 504
    assert time.monotonic() - begin < 20


async def test_the_official_clients_own_timeout_is_heard_for_whole_answers(serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(stall="before-headers")
    served = await serve(config(fake))
    client = served.anthropic()
    with pytest.raises(anthropic.APIStatusError) as error:
        await client.messages.create(
            model="gpt-4o", max_tokens=5, messages=ASK["messages"], extra_headers={"x-stainless-timeout": "0.3"}
        )
    assert error.value.status_code == 504


async def test_nonsense_in_our_header_is_the_callers_fault(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    with pytest.raises(openai.BadRequestError) as error:
        await served.openai().chat.completions.create(**ASK, extra_headers={"x-freehold-timeout-s": "soon"})
    assert error.value.param == "x-freehold-timeout-s"
    assert not fake.journal
