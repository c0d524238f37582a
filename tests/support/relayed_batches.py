"""Batches whose lines a vendor's own Batch API does: configuration, lines, and what the fake's journal says they cost."""

import json
from functools import partial
from typing import Any

import openai

from freehold.gateways.fake import FakeRuntime
from support import batches
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml

IN_USD, OUT_USD = 1.0, 2.0
"""At the price of batches, per million tokens; a call of its own costs ten times that."""
PRICE = (
    f"{{ input_usd_per_mtok = {IN_USD * 10}, output_usd_per_mtok = {OUT_USD * 10}, "
    f"batch = {{ input_usd_per_mtok = {IN_USD}, output_usd_per_mtok = {OUT_USD} }} }}"
)


def relay_config(fake: FakeRuntime, more: str = "", **runtime: str) -> str:
    options = {"batch_api": "true", "api_key": '"env:VENDOR_KEY"', "formats": '["openai_chat", "openai_responses"]', **runtime}
    vendor = runtime_toml("acme", "vendor", base_url(fake), **options)
    return NO_ENGINE + vendor + deployment_toml("acme", "m", "fake-echo", price=PRICE) + more


def budget_toml(usd: float, **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[budgets]]\nname = "all"\nwindow = "total"\nusd = {usd}\n{lines}'


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    asked = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": f"this is line {custom_id}"}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked}


async def begin(client: openai.AsyncOpenAI, *lines: dict[str, Any], endpoint: Any = "/v1/chat/completions", **more: Any) -> Any:
    file = await client.files.create(file=("work.jsonl", batches.jsonl(*lines)), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


ended = partial(batches.ended, within_s=60)
"""Vendors take their time, and some of these servers are killed."""


async def results(client: openai.AsyncOpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    if file_id is None:
        return {}
    content = (await client.files.content(file_id)).content
    read = [json.loads(one) for one in content.splitlines()]
    assert len({one["custom_id"] for one in read}) == len(read), "no line has two results"
    return {one["custom_id"]: one for one in read}


def cost_of(usages: list[dict[str, Any]], *, at_once: bool = False) -> int:
    """Nano-USD of answers, at the price of batches, or of calls of their own."""
    share = 10 if at_once else 1
    nano = sum(one["prompt_tokens"] * IN_USD * 1000 + one["completion_tokens"] * OUT_USD * 1000 for one in usages)
    return round(nano * share)


def calls(fake: FakeRuntime) -> list[str]:
    """What the vendor was asked, but for how its batches stand."""
    told = [f"{one.method} {one.path.partition('?')[0].removeprefix('/v1')}" for one in fake.journal]
    return [one for one in told if not (one.startswith("GET /batches/"))]
