"""Schemathesis for ten minutes on our OpenAPI document: as documented and not, with a runtime that answers well."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from schemathesis.generation import GenerationMode

from support.fuzzed import fuzz, gateway_in_a_thread

Found = Callable[..., None]
SECONDS = int(os.environ.get("FREEHOLD_FUZZ_S", "600"))
ROUND = 40


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 300)
def test_every_answer_is_documented_whatever_is_asked(tmp_path: Path, found: Found) -> None:
    seen: Counter[str] = Counter()
    rounds = 0
    until_s = time.monotonic() + SECONDS
    with gateway_in_a_thread(tmp_path) as served:
        while time.monotonic() < until_s:
            seen += fuzz(served, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ROUND, derandomize=False)
            rounds += 1
    statuses = Counter[str]()
    for label, count in seen.items():
        statuses[label.rpartition(" ")[2]] += count
    assert not [status for status in statuses if status.startswith("5")]
    found(
        "Whatever schemathesis makes of our OpenAPI document, every answer is one that is documented, and none is a 5xx.",
        requests=seen.total(),
        operations=len({label.rpartition(" ")[0] for label in seen}),
        rounds=rounds,
        **{f"status {status}": count for status, count in sorted(statuses.items())},
    )
