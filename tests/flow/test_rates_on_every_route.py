"""No route that takes work without rates: generated from the table of routes, so that a new one fails here until it is covered."""

import httpx
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.server.access import ACCESS
from freehold.server.rating import UNRATED
from freehold.server.routes import make_routes, make_tails
from support.every_route import BODIES, FORMS, MEDIA, ask
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

OWN = "the-servers-own-key"
NOTHING = None
ROUTES = make_routes(NOTHING, NOTHING, NOTHING, NOTHING)  # type: ignore[arg-type] - only its keys are looked at
TAILS = make_tails(NOTHING)  # type: ignore[arg-type] - the same
EVERY = [
    *ROUTES,
    *((method, f"{path}x") for path, tail in TAILS.items() for method in getattr(tail, "methods", ("GET",))),
]
REFUSES = {("GET", "/v1/responses")}
"""Beside `UNRATED`: a method that only tells clients to use another."""


def is_rated(method: str, path: str) -> bool:
    known = path if path in ACCESS else path.removesuffix("x")
    return known not in UNRATED and (method, path) not in REFUSES


RATED = [one for one in EVERY if is_rated(*one)]


def config(fake: FakeRuntime) -> str:
    return "\n".join(
        [
            '[server]\napi_key = "env:KEY"',
            NO_ENGINE + "rules = false",
            runtime_toml("box", "local", base_url(fake)),
            deployment_toml("box", "m", "fake-chat", free="true"),
            deployment_toml("box", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }", free="true"),
            deployment_toml("box", "media", "fake-media", abilities=MEDIA, free="true"),
            '[[rates]]\nname = "few"\nper = "user"\nrequests = 1\nwindow = "day"\n',
            '[[rates]]\nname = "others"\nrequests = 1\nwindow = "day"\nwhen = { callers = { users = ["nobody"] } }\n',
            '[[rates]]\nname = "tokens"\ntokens = 100000000\nconcurrent = 50\n',
        ]
    )


async def once(served: Served, method: str, path: str) -> httpx.Response:
    said = {"authorization": f"Bearer {OWN}"}
    if method == "POST" and (path in BODIES or path in FORMS):
        return await ask(served, path, "a plain text", said)
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} if "count_tokens" in path else {}
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers=said) as client:
        return await client.request(method, path, json=body)


@pytest.mark.parametrize(("method", "path"), RATED)
async def test_every_route_that_takes_work_is_held_to_requests_a_window(
    method: str, path: str, serve: Serve, fake: FakeRuntime
) -> None:
    served = await serve(config(fake), environ={"KEY": OWN})
    first = await once(served, method, path)
    assert first.status_code != 429, first.text
    again = await once(served, method, path)
    assert again.status_code == 429, again.text
    assert "rate 'few' allows 1 requests a day" in again.text
    assert int(again.headers["retry-after"]) > 0
    assert [value for name, value in again.headers.items() if name.endswith(("remaining-requests", "requests-remaining"))] == [
        "0"
    ]


async def test_routes_that_no_rate_holds_for_answer_whatever_was_used_up(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake), environ={"KEY": OWN})
    assert (await once(served, "GET", "/v1/files")).status_code == 200
    for method, path in [one for one in EVERY if not is_rated(*one)]:
        assert (await once(served, method, path)).status_code != 429, path
    assert (await once(served, "GET", "/v1/files")).status_code == 429


def test_each_exemption_is_of_a_route_and_says_why() -> None:
    paths = {path for _, path in ROUTES} | set(TAILS)
    assert set(UNRATED) <= paths
    assert all(len(why) > 20 for why in UNRATED.values())
    assert len(RATED) > len(EVERY) / 2
