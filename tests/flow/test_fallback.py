"""What happens when a step fails: what falls back, what does not, and what the client sees."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from freehold.gateways.fake import Act, FakeRuntime
from freehold.limits.breaker import Thresholds
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.ports import held_port

ORDER = """
[aliases]
auto = ["first/m", "second/m"]
[[rules]]
name = "first, then second"
try = ["first/m", "second/m"]
"""
HI: Any = [{"role": "user", "content": "hi"}]


def two(first: FakeRuntime, second: FakeRuntime, rules: str = ORDER, **timeouts: str) -> str:
    return (
        NO_ENGINE
        + runtime_toml("first", "self_hosted", base_url(first), **timeouts)
        + runtime_toml("second", "vendor", base_url(second), formats='["anthropic_messages"]')
        + deployment_toml("first", "m", "m-first", free="true")
        + deployment_toml("second", "m", "m-second", free="true")
        + rules
    )


@pytest.fixture
async def failing() -> Any:
    """A runtime that does what the test's acts say, one after the other."""
    started: list[FakeRuntime] = []

    async def start(*acts: Act) -> FakeRuntime:
        runtime = FakeRuntime(script=list(acts))
        await runtime.start()
        started.append(runtime)
        return runtime

    yield start
    for runtime in started:
        await runtime.stop()


FAULTS_BEFORE_CONTENT = {
    "503": Act(status=503),
    "429": Act(status=429, retry_after="3"),
    "500": Act(status=500),
    "an HTML page": Act(html=True),
    "closed before the head": Act(cut="before-headers"),
    "closed before content": Act(cut="before-content"),
    "an error event first": Act(error_event="first"),
    "bytes that are no HTTP": Act(raw=b"\x00\x01garbage\r\n\r\n"),
    "wrong credentials": Act(status=401),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", FAULTS_BEFORE_CONTENT)
async def test_any_failure_before_content_falls_back(
    serve: Serve, failing: Any, fake: FakeRuntime, fault: str, streamed: bool
) -> None:
    first = await failing(FAULTS_BEFORE_CONTENT[fault])
    served = await serve(two(first, fake))
    text, deployment = await ask(served, streamed=streamed, say="from the second")
    assert text == "from the second"
    assert deployment == "second/m"
    detail = served.last()
    assert [attempt.end for attempt in detail.attempts] == ["fault", "served"]
    assert detail.attempts[0].fault is not None
    assert detail.request.outcome == "served"
    assert detail.request.attempts == 2


async def ask(served: Served, *, streamed: bool, say: str) -> tuple[str, str]:
    messages: Any = [{"role": "user", "content": f"[[fake: say={say}]]"}]
    client = served.openai()
    if not streamed:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=messages)
        return raw.parse().choices[0].message.content or "", raw.headers["x-freehold-deployment"]
    async with client.chat.completions.with_streaming_response.create(model="auto", messages=messages, stream=True) as reply:
        lines = [line async for line in reply.iter_lines() if line.startswith("data: {")]
        deltas = [json.loads(line[6:])["choices"] for line in lines]
        return "".join(d[0]["delta"].get("content") or "" for d in deltas if d), reply.headers["x-freehold-deployment"]


async def test_nobody_listening_falls_back(serve: Serve, fake: FakeRuntime) -> None:
    port, holding = held_port()
    served = await serve(two(fake, fake).replace(base_url(fake), f"http://127.0.0.1:{port}/v1", 1))
    assert (await ask(served, streamed=False, say="hello"))[1] == "second/m"
    assert served.last().attempts[0].fault == "connect_failed"
    holding.close()


async def test_silence_before_content_falls_back_at_its_deadline(serve: Serve, failing: Any, fake: FakeRuntime) -> None:
    first = await failing(Act(stall="after-headers"))
    served = await serve(two(first, fake, first_content_timeout_s="0.2"))
    assert (await ask(served, streamed=True, say="hello"))[1] == "second/m"
    assert served.last().attempts[0].fault == "first_content_timeout"
    await first.closed(1)


async def test_a_callers_fault_never_falls_back(serve: Serve, failing: Any, fake: FakeRuntime) -> None:
    first = await failing(Act(status=400))
    served = await serve(two(first, fake))
    with pytest.raises(Exception, match="400") as told:
        await served.openai().chat.completions.create(model="auto", messages=HI)
    assert told.value.status_code == 400  # type: ignore[attr-defined]
    assert fake.journal == []
    assert served.last().request.fault == "upstream_rejected"


async def test_when_every_step_fails_the_last_fault_is_told_in_the_callers_format(serve: Serve, failing: Any) -> None:
    first, second = await failing(Act(status=500)), await failing(Act(status=429, retry_after="7"))
    served = await serve(two(first, second))
    with pytest.raises(Exception, match="429") as told:
        await served.openai().chat.completions.create(model="auto", messages=HI)
    assert told.value.response.headers["retry-after"] == "7"  # type: ignore[attr-defined]
    detail = served.last()
    assert detail.request.outcome == "failed"
    assert [attempt.end for attempt in detail.attempts] == ["fault", "fault"]


@pytest.mark.parametrize("wire_format", ["openai", "anthropic"])
async def test_a_break_after_content_ends_in_a_typed_error_event(
    serve: Serve, failing: Any, fake: FakeRuntime, wire_format: str
) -> None:
    first = await failing(Act(say="one two three four five six", cut="mid"))
    served = await serve(two(first, fake))
    pieces: list[str] = []
    if wire_format == "openai":
        with pytest.raises(Exception, match="closed the connection") as told:
            async for chunk in await served.openai().chat.completions.create(model="auto", messages=HI, stream=True):
                pieces.append(chunk.choices[0].delta.content or "")
        assert type(told.value).__name__ == "APIError"
    else:
        with pytest.raises(Exception, match="closed the connection") as told:
            async with served.anthropic().messages.stream(model="auto", max_tokens=99, messages=HI) as stream:
                async for text in stream.text_stream:
                    pieces.append(text)
        assert type(told.value).__name__ == "APIStatusError"
    assert "one" in "".join(pieces)
    assert fake.journal == [], "after content nothing falls back"
    detail = served.last()
    assert detail.request.outcome == "cut"
    assert detail.attempts[0].end == "cut"
    assert detail.attempts[0].fault == "broken_stream"


async def test_silence_after_content_ends_in_an_error_event(serve: Serve, failing: Any, fake: FakeRuntime) -> None:
    first = await failing(Act(say="one two three four", stall="mid"))
    served = await serve(two(first, fake, chunk_timeout_s="0.2"))
    with pytest.raises(Exception, match="did not answer within") as told:
        async for _ in await served.openai().chat.completions.create(model="auto", messages=HI, stream=True):
            pass
    assert type(told.value).__name__ == "APIError"
    assert served.last().request.fault == "chunk_timeout"


async def test_a_deployment_that_keeps_failing_is_left_alone(serve: Serve, failing: Any, fake: FakeRuntime) -> None:
    first = await failing(*[Act(status=500)] * 20)
    served = await serve(two(first, fake))
    served.app.breakers._thresholds = Thresholds(open_s=600)  # it stays open however slow the machine is
    for _ in range(8):
        assert (await ask(served, streamed=False, say="x"))[1] == "second/m"
    assert len(first.journal) == 5, "the breaker opened after five faults in a row"
    rejected = served.last().decision.rejected
    assert [one.deployment for one in rejected] == ["first/m"]


async def test_a_refusal_names_the_rule_and_calls_nobody(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    rules = """
[[rules]]
name = "confidential stays here"
when = { label = "confidential" }
allow = { egress = "local" }
"""
    served = await serve(two(fake, other_fake, rules))
    client = served.openai(default_headers={"x-freehold-label": "confidential"})
    with pytest.raises(Exception, match="confidential stays here") as told:
        await client.chat.completions.create(model="auto", messages=HI)
    assert told.value.status_code == 403  # type: ignore[attr-defined]
    assert fake.journal == other_fake.journal == []
    detail = served.last()
    assert detail.request.outcome == "refused"
    assert {one.rule for one in detail.decision.rejected} == {"confidential stays here"}


async def test_local_only_beats_everything(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(two(fake, other_fake), environ={"FREEHOLD_LOCAL_ONLY": "1"})
    with pytest.raises(Exception, match="local") as told:
        await served.openai(default_headers={"x-freehold-ceiling": "vendor"}).chat.completions.create(model="auto", messages=HI)
    assert told.value.status_code == 403  # type: ignore[attr-defined]
    assert fake.journal == other_fake.journal == []


async def test_a_header_can_tighten_the_ceiling(serve: Serve, failing: Any, fake: FakeRuntime) -> None:
    first = await failing(Act(status=500))
    served = await serve(two(first, fake))
    with pytest.raises(Exception, match="500|failed"):
        await served.openai(default_headers={"x-freehold-ceiling": "self_hosted"}).chat.completions.create(
            model="auto", messages=HI
        )
    assert fake.journal == [], "the vendor is past the ceiling, also as a fallback"


@pytest.mark.parametrize("phase", ["before-headers", "after-headers", "mid"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_cancels_the_upstream(
    serve: Serve, failing: Any, fake: FakeRuntime, phase: Any, streamed: bool
) -> None:
    first = await failing(Act(say="one two three four five", stall=phase))
    served = await serve(two(first, fake))
    asking = asyncio.ensure_future(drink(served, streamed=streamed))
    await first.received(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await beats_until(first.closed(1)) < 50, "half a second is promised"
    detail = served.last()
    assert detail.request.outcome == "cancelled"
    assert detail.attempts[0].end == "cancelled"
    assert fake.journal == []


async def beats_until(holds: Awaitable[object]) -> int:
    """How often this loop's clock beat meanwhile, every 10 ms: what a busy machine takes from all of it does not count."""
    waiting, beats = asyncio.ensure_future(holds), 0
    while not waiting.done():
        await asyncio.wait([waiting], timeout=0.01)
        beats += 1
    await waiting
    return beats


async def drink(served: Served, *, streamed: bool) -> None:
    reply = await served.openai().chat.completions.create(model="auto", messages=HI, stream=streamed)
    if streamed:
        async for _ in reply:  # type: ignore[union-attr]
            pass
