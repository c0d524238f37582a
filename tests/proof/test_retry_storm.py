"""An upstream that is down is not beaten while it lies there."""

import asyncio
from typing import Any

import pytest

from freehold.gateways.fake import Act
from freehold.limits.breaker import Thresholds
from freehold.limits.retry_budget import AT_LEAST, SHARE, SPAN_S
from support.gateway import NO_ENGINE, base_url, deployment_toml, running, runtime_toml
from support.rawclient import ask

pytestmark = [pytest.mark.proof, pytest.mark.timeout(120)]
STORM_S = 10.0
CLIENTS = 24


@pytest.mark.parametrize(("deployments", "has_breakers"), [(1, True), (2, True), (3, False)])
async def test_an_upstream_that_is_down_sees_hardly_more_calls_than_were_asked(
    tmp_path: Any, found: Any, start_fake: Any, deployments: int, has_breakers: bool
) -> None:
    fake = await start_fake(lambda _: Act(status=503))
    names = [f"m{number}" for number in range(deployments)]
    config = NO_ENGINE + runtime_toml("down", "local", base_url(fake))
    config += "".join(deployment_toml("down", name, name, free="true") for name in names)
    config += f"[aliases]\nauto = {[f'down/{name}' for name in names]}\n".replace("'", '"')
    asked = 0
    async with running(config, {}, tmp_path) as served:
        if not has_breakers:  # the retry budget by itself
            never = 10**9
            served.app.breakers._thresholds = Thresholds(consecutive=never, unreachable=never, least=never)
        port = int(served.url.rsplit(":", 1)[1])
        ends_s = asyncio.get_running_loop().time() + STORM_S

        async def client() -> None:
            nonlocal asked
            while asyncio.get_running_loop().time() < ends_s:
                answer = await ask("openai_chat", port, "hello", stream=False)
                assert answer.status in {502, 503}, answer.body
                asked += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
    spans = STORM_S / SPAN_S + 1
    assert len(fake.journal) <= (1 + SHARE) * asked + AT_LEAST * spans
    assert asked > 1000
    found(
        "An upstream that answers 503 to everything sees at most 1.2 calls for each request.",
        **{
            "seconds": STORM_S,
            "requests": asked,
            "calls upstream": len(fake.journal),
            "deployments on it": deployments,
            "breakers": "on" if has_breakers else "held closed",
        },
    )
