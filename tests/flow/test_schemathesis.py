"""A short run of schemathesis on our OpenAPI document; the long one is a proof."""

from pathlib import Path

import pytest
from schemathesis.generation import GenerationMode

from support.fuzzed import fuzz, gateway_in_a_thread


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as documented", "not as documented"])
def test_every_answer_is_one_that_is_documented(tmp_path: Path, mode: GenerationMode) -> None:
    with gateway_in_a_thread(tmp_path) as served:
        seen = fuzz(served, [mode], examples=4)
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/embeddings"):
        assert seen[f"POST {path} {200 if mode is GenerationMode.POSITIVE else 400}"], f"{path}: {seen}"
