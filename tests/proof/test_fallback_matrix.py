"""An upstream that dies before its first content costs nobody an answer, whichever way it dies."""

import itertools
from typing import Any

import pytest

from freehold.gateways.fake import Act
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml
from support.rawclient import ClientFormat, ask

pytestmark = [pytest.mark.proof, pytest.mark.timeout(470)]
FORMATS: tuple[ClientFormat, ...] = ("openai_chat", "anthropic_messages")
OK = b"HTTP/1.1 200 OK\r\n"
WAYS: dict[str, Act] = {
    **{f"status {status}": Act(status=status) for status in (401, 403, 404, 429, 500, 502, 503, 504, 529)},
    "status 429 with retry-after": Act(status=429, retry_after="1"),
    "an HTML page under 200": Act(html=True),
    "an HTML page under 502": Act(html=True, status=502),
    "closed before the head": Act(cut="before-headers"),
    "closed after the head": Act(cut="after-headers"),
    "closed before content": Act(cut="before-content"),
    "silent before the head": Act(stall="before-headers"),
    "silent after the head": Act(stall="after-headers"),
    "silent before content": Act(stall="before-content"),
    "an error event or object under 200": Act(error_event="first"),
    "bytes that are no HTTP": Act(raw=b"\x16\x03\x01\x02\x00nonsense\r\n\r\n"),
    "half a head": Act(raw=OK + b"content-ty"),
    "an empty body": Act(raw=OK + b"content-length: 0\r\n\r\n"),
    "an empty stream": Act(raw=OK + b"content-type: text/event-stream\r\nconnection: close\r\n\r\n"),
    "pings only": Act(raw=OK + b"content-type: text/event-stream\r\nconnection: close\r\n\r\n" + b": ping\n\n" * 50),
    "JSON of another shape": Act(raw=OK + b'content-type: application/json\r\ncontent-length: 13\r\n\r\n{"hello": "x"}'[:-1]),
    "JSON that is none": Act(raw=OK + b"content-type: application/json\r\ncontent-length: 9\r\n\r\n{{{{{{{{{"),
    "a redirect": Act(raw=b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"),
}
WHOLE_ONLY: dict[str, Act] = {
    "closed amid a whole answer": Act(cut="mid"),
    "silent amid a whole answer": Act(stall="mid"),
    "an error object in place of a whole answer": Act(error_event="mid"),
}
EACH = 5


def forget_trouble(served: Served) -> None:
    """Close every breaker: each request must meet the dying upstream."""
    breakers = served.app.breakers
    breakers.__init__(breakers._now)  # type: ignore[misc]  # the same object is shared by its users


async def test_every_eligible_request_succeeds_by_fallback(tmp_path: Any, found: Any, start_fake: Any) -> None:
    acts: list[Act] = []
    first, second = await start_fake(lambda _: acts[0]), await start_fake()
    requests = 0
    for upstream, other in itertools.product(FORMATS, FORMATS):
        config = (
            NO_ENGINE
            + runtime_toml(
                "dies",
                "local",
                base_url(first),
                formats=f'["{upstream}"]',
                first_content_timeout_s="0.15",
                chunk_timeout_s="0.15",
                total_timeout_s="0.4",
            )
            + runtime_toml("lives", "local", base_url(second), formats=f'["{other}"]')
            + deployment_toml("dies", "m", "m", free="true")
            + deployment_toml("lives", "m", "m", free="true")
            + '[aliases]\nauto = ["dies/m", "lives/m"]\n[[rules]]\nname = "in order"\ntry = ["dies/m", "lives/m"]\n'
        )
        async with running(config, {}, tmp_path / f"{upstream}-{other}") as served:
            port = int(served.url.rsplit(":", 1)[1])
            for client_format, stream in itertools.product(FORMATS, (True, False)):
                for way, act in (WAYS if stream else WAYS | WHOLE_ONLY).items():
                    acts[:] = [act]
                    for _ in range(EACH):
                        forget_trouble(served)
                        before = len(first.journal)
                        case = (way, upstream, other, client_format, stream)
                        try:
                            answer = await ask(client_format, port, "hello", stream=stream)
                        except TimeoutError:
                            pytest.fail(f"no end of the answer: {case}")
                        requests += 1
                        # Twice where a kept connection closed without a byte: the first may have been idle too long.
                        assert before < len(first.journal) <= before + 2, (case, "calls of the dying upstream")
                        assert (answer.status, answer.is_whole) == (200, True), (case, answer.body)
                        assert b"scripted" in answer.body, (case, answer.body)
    found(
        "An upstream that dies before its first content, each way, costs nobody an answer: the next deployment serves.",
        **{
            "ways to die": len(WAYS) + len(WHOLE_ONLY),
            "requests": requests,
            "answered": requests,
            "calls of the dying one": len(first.journal),
        },
    )
