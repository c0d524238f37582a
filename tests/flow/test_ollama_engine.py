"""Ollama's own client in front of the embedded model, for real."""

import asyncio
from pathlib import Path
from typing import Any

import ollama
import pytest

from support.gateway import Serve

pytestmark = pytest.mark.engine

CAPITAL: Any = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
COLD = {"temperature": 0, "num_predict": 30}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}


async def test_a_client_of_ollama_gets_real_answers(serve: Serve, home_with_weights: Path) -> None:
    served = await serve("", home=home_with_weights)
    await asyncio.wait_for(served.app.engines.ready(), 60)
    async with ollama.AsyncClient(host=served.url) as client:
        whole = await client.chat("auto", CAPITAL, options=COLD)
        assert "Paris" in (whole.message.content or "")
        assert whole.eval_count
        assert whole.total_duration
        stream = [piece async for piece in await client.chat("auto", CAPITAL, options=COLD, stream=True)]
        assert "Paris" in "".join(piece.message.content or "" for piece in stream)
        assert stream[-1].done_reason in {"stop", "length"}
        assert stream[-1].prompt_eval_count == whole.prompt_eval_count
        generated = await client.generate("auto", "What is the capital of France? Answer in one word.", options=COLD)
        assert "Paris" in (generated.response or "")
        called = await client.chat(
            "auto",
            [{"role": "user", "content": "Call get_weather for Paris."}],
            tools=[TOOL],
            options={**COLD, "num_predict": 120},
        )
        for call in called.message.tool_calls or ():
            assert call.function.name == "get_weather"
            assert set(call.function.arguments) == {"city"}
        assert called.message.tool_calls or called.message.content
        vectors = (await client.embed("all-minilm-l6-v2", ["The cat sat.", "A cat was sitting.", "Revenue rose."])).embeddings
        near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
        assert near > far
        assert "smollm2-135m-instruct" in {model.model for model in (await client.list()).models}
        shown = await client.show("smollm2-135m-instruct")
        assert shown.capabilities is not None
        assert {"completion", "tools"} <= set(shown.capabilities)
        [loaded] = [model for model in (await client.ps()).models if model.model == "smollm2-135m-instruct"]
        assert shown.modelinfo is not None
        assert loaded.context_length == shown.modelinfo["freehold.context_length"]
    assert {row.wire_format for row in served.rows()} == {"ollama"}
