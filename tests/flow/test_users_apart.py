"""What one user did shows to no other: answers that are kept, the place a session stays at, limits, rows and files.

Two users with virtual keys of their own send the very same requests, with the same session id. (Files, batches and keys by
id are in `test_access`, from the table of routes.)
"""

from typing import Any

import httpx
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

OWN = "the-servers-own-key"
CACHE = '[[rules]]\nname = "cache"\ntry = ["self_hosted", "vendor"]\ncache = { ttl_s = 60 }\n'
SAME: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "the very same question"}]}


def config(fake: FakeRuntime, other: FakeRuntime, more: str) -> str:
    return (
        '[server]\napi_key = "env:KEY"\n'
        + NO_ENGINE
        + runtime_toml("team", "self_hosted", base_url(fake))
        + runtime_toml("cloud", "vendor", base_url(other))
        + deployment_toml("team", "m", "m")
        + deployment_toml("cloud", "m", "m")
        + '[aliases]\nauto = ["team/m", "cloud/m"]\n'
        + more
    )


async def two_users(served: Served) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    made = []
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": OWN}) as admin:
        for name in ("ann", "bob"):
            answer = await admin.post("/admin/keys", json={"name": name})
            assert answer.status_code == 200, answer.text
            made.append(
                httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": answer.json()["key"]})
            )
    served.clients += [_Closing(client) for client in made]
    return made[0], made[1]


class _Closing:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.aclose()


async def ask(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    answer = await client.post("/v1/chat/completions", json=SAME, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def test_an_answer_kept_for_one_user_is_given_to_no_other(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake, CACHE), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    assert "x-freehold-cache" not in (await ask(ann)).headers
    assert (await ask(ann)).headers["x-freehold-cache"] == "hit"
    assert "x-freehold-cache" not in (await ask(bob)).headers
    assert len(fake.journal) == 2


async def test_a_session_id_of_another_user_moves_nobody(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    act = [Act(status=503)]
    fake._script = lambda _: act[0]
    order = '[[rules]]\nname = "in order"\ntry = ["self_hosted", "vendor"]\n'
    served = await serve(config(fake, other_fake, order), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    session = {"x-freehold-session": "s-1"}
    assert (await ask(ann, **session)).headers["x-freehold-deployment"] == "cloud/m"
    act[0] = Act()
    assert (await ask(ann, **session)).headers["x-freehold-deployment"] == "cloud/m", "it stays where it was"
    assert (await ask(bob, **session)).headers["x-freehold-deployment"] == "team/m", "and the other's does not follow"


async def test_one_user_over_a_rate_stops_no_other_and_sees_only_his_own(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    rate = '[[rates]]\nname = "each"\nper = "user"\nrequests = 2\n'
    served = await serve(config(fake, other_fake, rate), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    left = [(await ask(ann)).headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert left == ["1", "0"]
    assert (await ann.post("/v1/chat/completions", json=SAME)).status_code == 429
    assert (await ask(bob)).headers["x-ratelimit-remaining-requests"] == "1"


async def test_every_row_names_the_user_whose_it_is(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake, ""), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    await ask(ann, **{"x-freehold-session": "s-1"})
    await ask(bob, **{"x-freehold-session": "s-1"})
    assert [row.caller_user for row in served.rows() if row.operation == "chat"] == ["bob", "ann"]


@pytest.mark.parametrize("path", ["/v1/models", "/readyz", "/healthz", "/openapi.json"])
async def test_what_is_told_to_everybody_tells_nothing_of_users(
    path: str, serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake, other_fake, CACHE), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    before = (await bob.get(path)).text
    await ask(ann, **{"x-freehold-session": "a-session-of-ann"})
    after = (await bob.get(path)).text
    assert "a-session-of-ann" not in after
    assert before == after
