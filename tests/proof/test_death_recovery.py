"""After an upstream's death the others' requests are as fast as before, soon."""

import asyncio
from statistics import quantiles
from typing import Any

import pytest

from freehold.gateways.fake import Act
from support.gateway import NO_ENGINE, base_url, deployment_toml, running, runtime_toml
from support.rawclient import ask

pytestmark = [pytest.mark.proof, pytest.mark.timeout(120)]
BEFORE_S, SETTLE_S, AFTER_S = 5.0, 2.0, 5.0
CLIENTS = 8
ANSWER_S = 0.02
"""What an answer takes at either runtime, so that it is the gateway's part that could differ."""


def p99(spans: list[float]) -> float:
    return quantiles(spans, n=100)[98]


@pytest.mark.parametrize("death", ["stopped", "silent", "failing"])
async def test_two_seconds_after_a_death_p99_is_what_it_was(tmp_path: Any, found: Any, start_fake: Any, death: str) -> None:
    acts = [Act(say="a", slow_s=ANSWER_S)]
    first = await start_fake(lambda _: acts[0])
    second = await start_fake(lambda _: Act(say="a", slow_s=ANSWER_S))
    config = (
        NO_ENGINE
        + runtime_toml("first", "local", base_url(first), first_content_timeout_s="0.5", connect_timeout_s="0.5")
        + runtime_toml("second", "self_hosted", base_url(second))
        + deployment_toml("first", "m", "m", free="true")
        + deployment_toml("second", "m", "m", free="true")
        + '[aliases]\nauto = ["first/m", "second/m"]\n[[rules]]\nname = "in order"\ntry = ["local", "self_hosted"]\n'
    )
    loop = asyncio.get_running_loop()
    spans: list[tuple[float, float]] = []
    failed = 0
    async with running(config, {}, tmp_path) as served:
        port = int(served.url.rsplit(":", 1)[1])
        began_s = loop.time()
        dies_s = began_s + BEFORE_S
        ends_s = dies_s + SETTLE_S + AFTER_S

        async def client() -> None:
            nonlocal failed
            while loop.time() < ends_s:
                start_s = loop.time()
                answer = await ask("openai_chat", port, "hello", stream=True)
                spans.append((start_s, loop.time() - start_s))
                failed += answer.status != 200 or b"[DONE]" not in answer.body

        async def die() -> None:
            await asyncio.sleep(dies_s - loop.time())
            if death == "stopped":
                await first.stop()
            else:
                acts[0] = Act(stall="before-headers") if death == "silent" else Act(status=500)

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
            group.create_task(die())
    before = p99([span for start_s, span in spans if began_s + 1 <= start_s < dies_s - 1])
    during = max(span for start_s, span in spans if dies_s - 1 <= start_s < dies_s + SETTLE_S)
    after = p99([span for start_s, span in spans if start_s >= dies_s + SETTLE_S])
    # Answers under way when it died may end in an error event; they are at most one per client.
    assert failed <= CLIENTS
    assert after <= 1.2 * before, (before, after)
    found(
        f"Two seconds after a runtime's death ({death}) p99 is within 20 % of what it was.",
        **{
            "p99 before, ms": round(before * 1000, 1),
            "longest in the two seconds, ms": round(during * 1000, 1),
            "p99 after, ms": round(after * 1000, 1),
            "requests": len(spans),
            "cut in the moment of death": failed,
        },
    )
