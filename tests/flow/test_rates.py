"""Rates, as clients and runtimes see them."""

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from freehold.config import read_config
from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.place import Place, end
from support.rawclient import ask


def config(fake: FakeRuntime, *rates: str, **more: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("box", "local", base_url(fake), **more)
        + deployment_toml("box", "m", "m", free="true")
        + "".join(f'[[rates]]\nname = "r{number}"\n{rate}\n' for number, rate in enumerate(rates))
    )


def say(client: openai.AsyncOpenAI, text: str = "hi", **more: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model="m", messages=[{"role": "user", "content": text}], **more)


async def test_openai_clients_see_how_rates_stand_and_when_to_come_back(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "requests = 2", "tokens = 100000"))
    client = served.openai()
    first = await say(client, max_tokens=50)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(first.headers["x-ratelimit-remaining-tokens"]) <= 100_000 - 50
    async for _ in (await say(client, stream=True)).parse():
        pass
    with pytest.raises(openai.RateLimitError) as caught:
        await say(client)
    answer = caught.value.response
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < int(answer.headers["retry-after"]) <= 30
    assert caught.value.code == "rate_limit_exceeded"
    assert "rate 'r0' allows 2 requests a minute" in caught.value.message
    row = served.last()
    assert (row.request.outcome, row.request.fault, row.request.status) == ("refused", "rate_exceeded", 429)
    assert len(fake.journal) == 2


async def test_a_stream_shows_rates_too_and_anthropic_clients_see_their_own_names(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "requests = 1"))
    client = served.anthropic()
    asked: Any = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
    async with client.messages.stream(**asked) as stream:
        assert await stream.get_final_text()
        headers = stream.response.headers
    assert (headers["anthropic-ratelimit-requests-limit"], headers["anthropic-ratelimit-requests-remaining"]) == ("1", "0")
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert not [name for name in headers if name.startswith("x-ratelimit")]
    with pytest.raises(anthropic.RateLimitError) as caught:
        await client.messages.create(**asked)
    assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert int(caught.value.response.headers["retry-after"]) > 0


async def test_without_rates_no_answer_speaks_of_them(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    answer = await say(served.openai())
    assert not [name for name in answer.headers if "ratelimit" in name]


async def test_tokens_that_were_not_used_come_back(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, 'tokens = 3000\nwindow = "day"'))
    client = served.openai()
    for _ in range(4):  # estimated at 1000 and some each, and a few are used
        await say(client, "[[fake: say=short]]")
    with pytest.raises(openai.RateLimitError):
        await say(client, "word " * 4000)


async def test_a_runtime_over_its_rate_is_passed_over_and_is_not_taken_for_ill(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(
        NO_ENGINE
        + runtime_toml("box", "local", base_url(fake))
        + runtime_toml("team", "self_hosted", base_url(other_fake))
        + deployment_toml("box", "m", "m", free="true")
        + deployment_toml("team", "m", "m", free="true")
        + '[aliases]\nauto = ["box/m", "team/m"]\n[[rules]]\nname = "in order"\ntry = ["local", "self_hosted"]\n'
        + '[[rates]]\nname = "box is slow"\nper = "runtime"\nrequests = 1\nwindow = "hour"\n'
    )
    client = served.openai()
    reached = [(await say(client, extra_body={"model": "auto"})).headers["x-freehold-runtime"] for _ in range(2)]
    assert reached == ["box", "team"]
    passed, served_by = served.last().attempts
    assert (passed.fault, passed.cost_basis, served_by.runtime) == ("rate_exceeded", "free", "team")
    assert served.app.breakers.health() == {}
    with pytest.raises(openai.RateLimitError) as caught:
        await say(client, extra_body={"model": "auto"})
    assert int(caught.value.response.headers["retry-after"]) > 3000


async def test_places_of_requests_under_way_come_back_however_they_end(serve: Serve) -> None:
    runtime = FakeRuntime(script=lambda _: Act(stall="before-headers"))
    await runtime.start()
    served = await serve(config(runtime, "concurrent = 1"))
    port = int(served.url.rsplit(":", 1)[1])
    held = asyncio.ensure_future(ask("openai_chat", port, "hi", stream=True, model="m"))
    await runtime.received(1)
    refused = await ask("openai_chat", port, "hi", stream=False, model="m")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    async with asyncio.timeout(30):
        while served.app.rates._own._held:  # noqa: ASYNC110 - until the gateway has noticed that its client left
            await asyncio.sleep(0.005)
    await runtime.stop()


async def test_ingest_of_one_dataset_ends_where_its_rate_does_and_questions_go_on(serve: Serve, fake: FakeRuntime) -> None:
    text = config(fake, 'tokens = 400\nwindow = "day"\nper = "dataset"\nwork = "background"').replace(
        "abilities = { ", "abilities = { embeddings = true, "
    )
    served = await serve(text)
    client = served.openai()
    many = ["some text of a document that is to be found again"] * 20
    taken = 0
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(5):
            await client.embeddings.create(model="m", input=many, encoding_format="float")
            taken += 1
    assert 0 < taken < 5
    assert "rate 'r0'" in caught.value.message
    await client.embeddings.create(model="m", input="one question", encoding_format="float")
    await say(client)


async def test_rates_follow_the_file_while_the_server_runs(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    served = await serve(config(fake))
    client = served.openai()
    await say(client)
    environ = {"HOME": str(tmp_path), "FREEHOLD_HOME": str(tmp_path)}
    changes = served.app.rebase(read_config(config(fake, "requests = 1"), environ, None))
    assert "rates" in changes.settings
    assert (await say(client)).headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError):
        await say(client)
    served.app.rebase(read_config(config(fake), environ, None))
    await say(client)


async def test_workers_hold_a_rate_together(tmp_path: Path, fake: FakeRuntime) -> None:
    place = Place(tmp_path)
    text = config(fake, 'requests = 7\nwindow = "day"\nconcurrent = 50')
    place.config.write_text(f"[server]\nport = {place.port}\nworkers = 2\n[discovery]\nlocal = false\n{text}")
    server = place.start("serve", stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL)
    try:
        await asyncio.to_thread(place.until_serving, server)
        answers = await asyncio.gather(*(ask("openai_chat", place.port, "hi", stream=False, model="m") for _ in range(30)))
    finally:
        await asyncio.to_thread(end, server)
    assert sorted(answer.status for answer in answers) == [200] * 7 + [429] * 23
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"7"}


async def test_background_lines_of_a_batch_leave_their_share(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, 'requests = 8\nwindow = "day"\ninteractive_share = 0.5'))
    client = served.openai()
    line = '{"custom_id": "%d", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{"role": "user", "content": "x"}]}}'
    file = await client.files.create(
        file=("lines.jsonl", "\n".join(line % number for number in range(5)).encode()), purpose="batch"
    )
    await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    await fake.received(2)  # the file and the batch were requests too: half of the eight are used, and the rest is for who waits
    for _ in range(4):
        await say(client)
    with pytest.raises(openai.RateLimitError):
        await say(client)
    assert len(fake.journal) == 6
