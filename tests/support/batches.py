"""Batches as the official client sees them."""

import asyncio
import json
from typing import Any

import openai


def jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


async def ended(client: openai.AsyncOpenAI, batch_id: str, *, within_s: float = 30) -> Any:
    """The batch, once nothing will change about it."""
    async with asyncio.timeout(within_s):
        while True:
            batch = await client.batches.retrieve(batch_id)
            if batch.status in {"completed", "failed", "expired", "cancelled"}:
                return batch
            await asyncio.sleep(0.02)
