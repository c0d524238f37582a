"""A stream that breaks at any byte never looks like an answer that ended."""

import asyncio
import itertools
from typing import Any

import pytest

from freehold.gateways.fake import Act
from freehold.limits.breaker import Thresholds
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml
from support.rawclient import Answer, ClientFormat, ask, body_of, ended_well, request_bytes, text_of

pytestmark = [pytest.mark.proof, pytest.mark.timeout(470)]
CLIENTS: dict[ClientFormat, tuple[ClientFormat, ...]] = {
    "openai_chat": ("openai_chat", "anthropic_messages"),
    "anthropic_messages": ("openai_chat", "anthropic_messages"),
    "openai_responses": ("openai_responses", "openai_chat"),
    "openai_completions": ("openai_completions",),
    "ollama": ("ollama", "openai_chat"),
}
"""Who asks each kind of upstream: its own format, relayed, and another, translated. No chat becomes a bare completion."""
WORDS = "Seven plain words, and then the end."
AT_ONCE = 12


async def recorded(client_format: ClientFormat, start_fake: Any) -> bytes:
    """A stream as the format's runtime sends it, unframed."""
    fake = await start_fake(lambda _: Act(say=WORDS, think="Hm."))
    port = int(base_url(fake).split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes(client_format, port, body_of(client_format, "go", stream=True)))
    answer = Answer(await reader.readuntil(b"\r\n0\r\n\r\n"))
    writer.close()
    assert answer.is_whole
    return answer.body


def framed(body: bytes, framing: str) -> bytes:
    is_lines = body[:1] == b"{"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % (b"application/x-ndjson" if is_lines else b"text/event-stream")
    if framing == "until closed":
        return head + b"connection: close\r\n\r\n" + body
    end = b"\n" if is_lines else b"\n\n"
    events = [event + end for event in body.split(end) if event]
    return head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in events) + b"0\r\n\r\n"


def is_told(answer: Answer, *, stream: bool) -> bool:
    """Whether a client is told that something is wrong, in so many words."""
    if answer.status != 200:
        return answer.status >= 400
    said = [event for event in answer.events if isinstance(event, dict)]
    return stream and any(event.get("error") or event.get("type") in {"error", "response.failed"} for event in said)


@pytest.mark.parametrize("framing", ["chunked", "until closed"])
@pytest.mark.parametrize("upstream", CLIENTS)
async def test_a_break_at_every_byte_is_never_a_false_end(
    tmp_path: Any, found: Any, start_fake: Any, upstream: ClientFormat, framing: str
) -> None:
    raw = framed(await recorded(upstream, start_fake), framing)
    offsets = {f"offset {at}.": at for at in range(len(raw) + 1)}

    def script(received: Any) -> Act:
        at = next(at for words, at in offsets.items() if words.encode() in received.body)
        return Act(raw=raw[:at])

    fake = await start_fake(script)
    config = (
        NO_ENGINE
        + runtime_toml("up", "local", base_url(fake), formats=f'["{upstream}"]')
        + deployment_toml("up", "m", "m", free="true")
    )
    ends = {"true ends": 0, "told": 0}
    async with running(config, {}, tmp_path) as served:
        served.app.breakers._thresholds = Thresholds(consecutive=10**9, unreachable=10**9, least=10**9)
        port = int(served.url.rsplit(":", 1)[1])
        for client_format, stream in itertools.product(CLIENTS[upstream], (True, False)):
            await prove(served, port, client_format, offsets, ends, stream=stream)
    cases = 2 * len(CLIENTS[upstream]) * len(offsets)
    assert sum(ends.values()) == cases
    assert 0 < ends["true ends"] < cases // 10
    found(
        "A stream cut at each byte is never passed off as a whole answer: the client is told, or all was said.",
        **{
            "bytes of the stream": len(raw),
            "breaks": cases,
            "false ends": 0,
            "whole answers, broken behind their finish": ends["true ends"],
            "told as faults": ends["told"],
        },
    )


async def prove(
    served: Served, port: int, client_format: ClientFormat, offsets: dict[str, int], ends: dict[str, int], *, stream: bool
) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def once(words: str) -> None:
        async with turn:
            try:
                answer = await ask(client_format, port, words, stream=stream, model="m")
            except TimeoutError:
                pytest.fail(f"no end of the answer: {words} {client_format}, stream={stream}")
        if ended_well(client_format, answer, stream=stream):
            assert text_of(client_format, answer, stream=stream) == WORDS, (words, answer.body)
            ends["true ends"] += 1
        else:
            assert is_told(answer, stream=stream), (words, answer.status, answer.body)
            ends["told"] += 1

    async with asyncio.TaskGroup() as group:
        for words in offsets:
            group.create_task(once(words))
    assert served.app.writer.flush(30)
