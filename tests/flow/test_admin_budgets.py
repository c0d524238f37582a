"""How budgets stand, over HTTP: what the command line shows, and what requests under way hold."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.paid import PRICE
from support.place import Place

pytestmark = pytest.mark.usefixtures("far_from_midnight")
OWN = "the-servers-own-key"


def config(fake: FakeRuntime, *budgets: str) -> str:
    return "\n".join(
        [
            '[server]\napi_key = "env:KEY"',
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(fake)),
            deployment_toml("cloud", "m", "m", price=PRICE),
            *(f'[[budgets]]\nname = "b{number}"\nalerts = []\n{one}' for number, one in enumerate(budgets)),
        ]
    )


async def look(served: Served, key: str | None = OWN) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, headers=headers, timeout=30) as client:
        return await client.get("/admin/budgets")


def client_of(served: Served) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=OWN, max_retries=0, timeout=60)


async def test_it_says_what_the_command_says_while_and_after_requests_run(
    serve: Serve, fake: FakeRuntime, tmp_path: Path, far_from_midnight: int
) -> None:
    text = config(fake, 'window = "day"\nper = "user"\nusd = 2.0\ntokens = 90000', 'window = "total"\nusd = 5.0')
    served = await serve(text, environ={"KEY": OWN}, home=tmp_path / "data")
    empty = (await look(served)).json()["data"]
    assert [(one["budget"], one["unit"], one["spent"], one["left"]) for one in empty] == [
        ("b0", "usd", 0, 2.0),
        ("b0", "tokens", 0, 90000),
        ("b1", "usd", 0, 5.0),
    ]
    client = client_of(served)
    words = f"[[fake: say={'a ' * 2000}]][[fake: slow=40ms]]"
    ask: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": words}]}
    stream = await client.chat.completions.create(stream=True, **ask)
    held = {(one["budget"], one["unit"]): one for one in (await look(served)).json()["data"]}
    assert held["b1", "usd"]["reserved"] > 0
    assert held["b0", "tokens"]["left"] == 90000 - held["b0", "tokens"]["reserved"] < 90000 - 100
    await stream.close()
    while served.app.budgets.under_way:  # noqa: ASYNC110 - until the gateway has noticed that its client left
        await asyncio.sleep(0.01)
    answer = await look(served)
    place = Place(tmp_path, text, KEY=OWN)
    place.moved_ms = far_from_midnight
    told = answer.json()
    assert told["data"] == await asyncio.to_thread(place.json, "budget", "list")
    assert told["data"][0]["whose"] == "local"
    assert 0 < told["data"][0]["spent"] < 2.0
    assert told["data"][0]["resets_at"].endswith("T00:00:00Z")
    assert told["data"][2]["resets_at"] is None
    await client.close()


async def test_only_who_may_administer_sees_it(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, 'window = "total"\nusd = 5.0'), environ={"KEY": OWN})
    assert (await look(served, None)).status_code == 401
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": OWN}) as client:
        key = (await client.post("/admin/keys", json={"name": "ann"})).json()["key"]
    assert (await look(served, key)).status_code == 403


async def test_without_budgets_it_is_an_empty_list_and_opens_no_store(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake), environ={"KEY": OWN})
    assert (await look(served)).json() == {"object": "list", "data": []}
    assert served.app.budgets._store is None
