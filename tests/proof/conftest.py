"""Long proofs. Each says what it found; `make proof` keeps the findings of those that passed in docs/proof.json."""

import datetime as dt
import json
import os
import platform
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from freehold.gateways.fake import FakeRuntime

FINDINGS = Path(__file__).resolve().parent.parent.parent / "docs" / "proof.json"
Found = Callable[..., None]
StartFake = Callable[..., Awaitable[FakeRuntime]]


@pytest.fixture
def found(request: pytest.FixtureRequest) -> Iterator[Found]:
    """Tell what a proof found: its promise (one sentence) and numbers by name. Written once the test is over."""
    told: dict[str, object] = {}

    def tell(promise: str, **numbers: object) -> None:
        told.update(promise=promise, numbers=numbers)

    yield tell
    if told:
        told["conditions"] = (
            f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
            f"SQLite {sqlite3.sqlite_version}"
        )
        told["on"] = dt.datetime.now(dt.UTC).date().isoformat()
        findings = json.loads(FINDINGS.read_text()) if FINDINGS.exists() else {}
        findings[request.node.name] = told
        FINDINGS.write_text(json.dumps(dict(sorted(findings.items())), indent=2) + "\n")


@pytest.fixture
async def start_fake() -> AsyncIterator[StartFake]:
    """Start a scripted runtime; it stops with the test, also with one that failed."""
    started: list[FakeRuntime] = []

    async def start(script: object = None) -> FakeRuntime:
        fake = FakeRuntime(script=script)  # type: ignore[arg-type]  # checked by the fake itself
        await fake.start()
        started.append(fake)
        return fake

    yield start
    for fake in started:
        await fake.stop()
