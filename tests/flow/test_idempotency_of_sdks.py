"""The official SDKs ask again by themselves: what they send, and what their users get, with and without an `Idempotency-Key`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

PRICE = "{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }"
KEY = {"Idempotency-Key": "0d5c1f0a-7a3c-4bb2-9a94-3a5e7b6f3c11"}


def config(fake: FakeRuntime, kind: str = "vendor", more: str = "") -> str:
    price = {"price": PRICE} if kind == "vendor" else {"free": "true"}
    return NO_ENGINE + runtime_toml("far", kind, base_url(fake)) + deployment_toml("far", "m", "fake-chat", **price) + more


class Cut:
    """A network between client and gateway that loses the answer to the first request, after the gateway wrote it."""

    def __init__(self, port: int) -> None:
        self.port, self.heads = port, list[bytes]()
        self.server: asyncio.Server | None = None

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _pass_on(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        head = await client_reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        is_first = len(self.heads) == 1
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await client_reader.readexactly(size)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            head.replace(b"connection: keep-alive", b"connection: close").replace(b"Connection: keep-alive", b"connection: close")
        )
        writer.write(body)
        answer = await reader.read(-1)
        if not is_first:
            client_writer.write(answer)
            await client_writer.drain()
        client_writer.close()
        writer.close()

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()


@pytest.fixture
async def cuts() -> AsyncIterator[list[Cut]]:
    made: list[Cut] = []
    yield made
    for cut in made:
        await cut.stop()


def client_of(sdk: str, url: str, retries: int = 2) -> Any:
    """To be closed by its block."""
    if sdk == "openai":
        return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=retries, timeout=30)
    return anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=retries, timeout=30)


async def ask_by(client: Any, headers: dict[str, str]) -> tuple[str, Any]:
    """The text of a real SDK's answer, and the headers it came with."""
    messages: Any = [{"role": "user", "content": "hi"}]
    if isinstance(client, openai.AsyncOpenAI):
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=messages, extra_headers=headers)
        return raw.parse().choices[0].message.content or "", raw.headers
    told = await client.messages.with_raw_response.create(model="m", max_tokens=99, messages=messages, extra_headers=headers)
    [block] = (await told.parse()).content
    assert block.type == "text"
    return block.text, told.headers


async def ask(sdk: str, url: str, headers: dict[str, str]) -> tuple[str, Any]:
    """The same by a client of its own."""
    async with client_of(sdk, url) as client:
        return await ask_by(client, headers)


async def lossy(served: Served, cuts: list[Cut]) -> tuple[str, Cut]:
    port = int(served.url.rpartition(":")[2])
    cut = Cut(port)
    cuts.append(cut)
    url = await cut.start()
    served.app.gateway.door = type(served.app.gateway.door)(
        served.app.gateway.door.hosts | {url.removeprefix("http://")}, served.app.gateway.door.origins
    )
    return url, cut


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_an_answer_that_was_lost_on_the_way_is_given_to_the_sdks_own_retry(
    sdk: str, serve: Serve, fake: FakeRuntime, cuts: list[Cut]
) -> None:
    fake._script = lambda received: Act(say=f"answer {received.number}")
    served = await serve(config(fake))
    url, cut = await lossy(served, cuts)
    text, headers = await ask(sdk, url, KEY)
    assert (text, headers["idempotent-replayed"], len(fake.journal)) == ("answer 1", "true", 1)
    assert len(cut.heads) == 2
    assert b"x-stainless-retry-count: 1" in cut.heads[1].lower()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_by_themselves_the_sdks_send_no_key_and_pay_twice(
    sdk: str, serve: Serve, fake: FakeRuntime, cuts: list[Cut]
) -> None:
    """When this fails, an SDK has begun to send the header: docs/idempotency.md says what that changes."""
    fake._script = lambda received: Act(say=f"answer {received.number}")
    served = await serve(config(fake))
    url, cut = await lossy(served, cuts)
    text, _ = await ask(sdk, url, {})
    assert (text, len(fake.journal)) == ("answer 2", 2)
    assert not any(b"idempotency-key" in head.lower() for head in cut.heads)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_vendor_that_drops_the_connection_is_paid_once_and_the_sdk_stops_asking(
    sdk: str, serve: Serve, fake: FakeRuntime
) -> None:
    fake._script = lambda _received: Act(cut="after-headers")
    served = await serve(config(fake))
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
        await ask(sdk, served.url, KEY)
    assert len(fake.journal) == 1
    assert [row.reason.startswith("given again") for row in served.rows()] == [True, False], "asked again once, and then told"


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_local_runtime_that_drops_the_connection_is_asked_again_and_the_sdk_gets_its_answer(
    sdk: str, serve: Serve, fake: FakeRuntime
) -> None:
    fake._script = lambda received: Act(cut="after-headers") if received.number == 1 else Act(say="there")
    served = await serve(config(fake, "local"))
    text, headers = await ask(sdk, served.url, KEY)
    assert (text, "idempotent-replayed" in headers, len(fake.journal)) == ("there", False, 2)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_client_that_gave_up_waiting_gets_an_answer_by_its_own_retry_and_sees_that_it_is_a_second_one(
    sdk: str, serve: Serve, fake: FakeRuntime
) -> None:
    fake._script = lambda received: Act(stall="before-content") if received.number == 1 else Act(say="there")
    served = await serve(config(fake))
    messages: Any = [{"role": "user", "content": "hi"}]
    if sdk == "openai":
        client = served.openai(max_retries=5, timeout=2)
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=messages, extra_headers=KEY)
    else:
        claude = served.anthropic(max_retries=5, timeout=2)
        raw = await claude.messages.with_raw_response.create(model="m", max_tokens=99, messages=messages, extra_headers=KEY)
    assert raw.headers["idempotent-replayed"] == "false"
    assert "x-freehold-first-request-id" in raw.headers
    assert len(fake.journal) >= 2


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_the_sdks_ask_again_on_a_409_until_the_first_one_is_answered(sdk: str, serve: Serve, fake: FakeRuntime) -> None:
    fake._script = lambda _received: Act(say="there", slow_s=0.9)  # shorter than the wait that a 409 asks for
    served = await serve(config(fake, more="[idempotency]\nwait_s = 0\n"))
    # Both are made before either asks: that takes longer than the answer on a busy machine.
    async with client_of(sdk, served.url) as one, client_of(sdk, served.url, retries=8) as other:
        first = asyncio.ensure_future(ask_by(one, KEY))
        await fake.received(1)
        second = await ask_by(other, KEY)
        assert second[0] == (await first)[0] == "there"
    assert second[1]["idempotent-replayed"] == "true"
    assert any(row.status == 409 for row in served.rows())
    assert len(fake.journal) == 1


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_key_used_for_something_else_is_an_error_the_sdk_does_not_repeat(
    sdk: str, serve: Serve, fake: FakeRuntime
) -> None:
    served = await serve(config(fake))
    await ask(sdk, served.url, KEY)
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "something else"}]}
    with pytest.raises((openai.UnprocessableEntityError, anthropic.UnprocessableEntityError)):
        if sdk == "openai":
            await served.openai(max_retries=2).chat.completions.create(**asked, extra_headers=KEY)
        else:
            await served.anthropic(max_retries=2).messages.create(**asked, extra_headers=KEY)
    assert [row.status for row in served.rows()] == [422, 200]
