"""A batch outlives its server: killed without warning, again and again, it loses no line and has none twice."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import openai

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from freehold.server.batches.runner import LINES_AT_ONCE
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.place import Place, end

LINES = 40
KILLS = 3


async def test_a_batch_goes_on_behind_its_last_result_after_every_kill(tmp_path: Path):
    runtime = FakeRuntime(lambda _: Act(slow_s=0.01))
    await runtime.start()
    place = Place(tmp_path)
    parts = (NO_ENGINE, runtime_toml("box", "local", base_url(runtime)), deployment_toml("box", "m", "fake-echo"))
    place.config.write_text(f"[server]\nport = {place.port}\n[discovery]\nlocal = false\n" + "".join(parts))
    try:
        server = place.start("serve")
        await asyncio.to_thread(place.until_serving, server)
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{place.port}/v1", api_key="any", max_retries=0)
        data = b"".join(_line(number) for number in range(LINES))
        file = await client.files.create(file=("work.jsonl", data), purpose="batch")
        batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        for kill in range(1, KILLS + 1):
            await runtime.received(kill * LINES // (KILLS + 1))
            await asyncio.to_thread(end, server, signal.SIGKILL)
            server = place.start("serve")
            await asyncio.to_thread(place.until_serving, server)
        batch = await _ended(client, batch.id)
        assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", LINES, 0)
        content = (await client.files.content(batch.output_file_id)).content
        said = [json.loads(one)["custom_id"] for one in content.splitlines()]
        assert sorted(said) == sorted(f"line-{number}" for number in range(LINES)), "no line is lost, none is there twice"
        assert len(runtime.journal) <= LINES + KILLS * LINES_AT_ONCE, "only what was under way is asked again"
        await client.close()
    finally:
        await asyncio.to_thread(end, server, signal.SIGKILL)
        await runtime.stop()


def _line(number: int) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": f"this is line {number}"}]}
    return (
        json.dumps({"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}).encode()
        + b"\n"
    )


async def _ended(client: openai.AsyncOpenAI, batch_id: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            batch = await client.batches.retrieve(batch_id)
            if batch.status not in {"validating", "in_progress", "finalizing"}:
                return batch
            await asyncio.sleep(0.05)
