"""Schemathesis against the running gateway: it makes requests from our own OpenAPI document, and judges the answers."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import schemathesis
import uvloop
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ABLE = "{ tools = true, images = true, json_schema = true, reasoning = true, logprobs = true, embeddings = true }"
FORMATS = ("openai_chat", "anthropic_messages")


@contextmanager
def gateway_in_a_thread(home: Path, acts: Any = None) -> Iterator[Served]:
    """A gateway with two scripted runtimes, on a loop of its own; every model name leads to them."""
    ready: list[Served] = []
    up, done = threading.Event(), asyncio.Event()
    raised: list[BaseException] = []

    async def live() -> None:
        fakes = [FakeRuntime(script=acts or (lambda _received: Act(say="served"))) for _ in FORMATS]
        toml = NO_ENGINE
        for fake, speaks in zip(fakes, FORMATS, strict=True):
            await fake.start()
            toml += runtime_toml(speaks, "local", base_url(fake), formats=f'["{speaks}"]')
            toml += deployment_toml(speaks, "model", "fake-chat", free="true", abilities=ABLE)
        toml += '[aliases]\n"*" = ["openai_chat/model", "anthropic_messages/model"]\n'
        for speaks in FORMATS:
            toml += f'[[rules]]\nname = "{speaks}"\nwhen = {{ wire_formats = ["{speaks}"] }}\ntry = ["{speaks}"]\n'
        async with running(toml, {}, home) as served:
            ready.append(served)
            up.set()
            await done.wait()
        for fake in fakes:
            await fake.stop()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                loops.append(runner.get_loop())
                runner.run(live())
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)
        finally:
            up.set()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=run)
    thread.start()
    assert up.wait(30)
    if not raised:
        try:
            yield ready[0]
        finally:
            loops[0].call_soon_threadsafe(done.set)
            thread.join(30)
    if raised:
        raise raised[0]


def fuzz(served: Served, modes: list[GenerationMode], examples: int, *, derandomize: bool = True) -> Counter[str]:
    """Ask `examples` times for each operation; raises on the first answer that is not as documented. Statuses, counted."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    seen: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in modes:
            if mode is GenerationMode.NEGATIVE and not operation.body:
                continue  # there is nothing to get wrong
            _fuzz_one(operation, mode, served, examples, seen, derandomize=derandomize)
    return seen


def _be_patient(case: Any) -> None:
    """A timeout that is short but well said has every right to end in a 504."""
    said = str((case.headers or {}).get("x-freehold-timeout-s", ""))
    try:
        short = float(said) < 60
    except ValueError:
        return
    if short:
        case.headers["x-freehold-timeout-s"] = "60"


def _fuzz_one(
    operation: Any, mode: GenerationMode, served: Served, examples: int, seen: Counter[str], *, derandomize: bool
) -> None:
    settings = hypothesis.settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
        verbosity=hypothesis.Verbosity.quiet,
    )

    @settings
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        _be_patient(case)
        response = case.call(base_url=served.url, timeout=20)
        seen[f"{operation.label} {response.status_code}"] += 1
        case.validate_response(response, checks=CHECKS)

    ask()
