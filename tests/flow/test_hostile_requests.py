"""What clients send by mistake or malice: a 4xx in their own wire format that says what is wrong, and nothing else happens."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, running, runtime_toml
from support.hostile_bodies import CHATS, GOOD, broken_json, dumps, wrong_fields, wrong_options
from support.rawclient import Answer

TYPES_OF_ANTHROPIC = {"invalid_request_error", "not_found_error", "permission_error", "request_too_large", "authentication_error"}
ABILITIES = "{ context = 100000, tools = true, embeddings = true, json_schema = true, moderation = true, rerank = true, image_generation = true, speech = true }"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    fake = FakeRuntime()
    await fake.start()
    text = NO_ENGINE + runtime_toml("f", "self_hosted", base_url(fake)) + deployment_toml("f", "m", "m", abilities=ABILITIES)
    try:
        async with running(text, {}, tmp_path) as gateway:
            yield gateway
    finally:
        await fake.stop()


async def send(served: Served, said: bytes) -> Answer:
    host = served.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
    try:
        writer.write(said.replace(b"@HOST@", host.encode()))
        return Answer(await asyncio.wait_for(reader.read(), 20))
    finally:
        writer.close()


def post(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: @HOST@", "content-type: application/json", "connection: close", *lines]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body


def message_of(path: str, answer: Answer) -> str:
    """The words of a fault, once its spelling was checked."""
    told = json.loads(answer.rest)
    if path.startswith("/v1/messages"):
        assert told["type"] == "error"
        assert told["error"]["type"] in TYPES_OF_ANTHROPIC
        return str(told["error"]["message"])
    if path.startswith("/api/"):
        return str(told["error"])
    assert {"message", "type", "code", "param"} <= set(told["error"])
    return str(told["error"]["message"])


def cases(path: str) -> Iterator[tuple[str, bytes]]:
    yield from broken_json(dumps(GOOD[path]))
    yield from wrong_fields(path)
    if path in CHATS:
        yield from wrong_options(path)


async def stays_well(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """The next request is served, and no defect was logged."""
    answer = await send(served, post("/v1/chat/completions", dumps(GOOD["/v1/chat/completions"])))
    assert answer.status == 200
    assert "defect" not in capsys.readouterr().err


@pytest.mark.parametrize("path", list(GOOD))
async def test_a_body_that_is_wrong_is_refused_in_the_callers_own_format(
    served: Served, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    wrong: list[str] = []
    for name, body in cases(path):
        answer = await send(served, post(path, body))
        if not 400 <= answer.status < 500 or len(message_of(path, answer)) < 10:
            wrong.append(f"{name}: {answer.status} {answer.rest[:300]!r}")
    assert not wrong, "\n".join(wrong)
    await stays_well(served, capsys)
    assert {row.outcome for row in served.rows()} <= {"failed", "refused", "served"}


HEADS = {
    "no host": b"POST /v1/messages HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
    "another host": b"POST /v1/messages HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
    "a page of another origin": post("/v1/messages", b"{}", "origin: http://evil.example"),
    "no origin at all": post("/v1/messages", b"{}", "origin: null"),
    "two keys": post("/v1/messages", b"{}", "x-api-key: a", "x-api-key: b"),
    "compressed": post("/v1/messages", gzip.compress(b"{}"), "content-encoding: gzip"),
    "a bomb": post("/v1/messages", gzip.compress(b" " * 50_000_000), "content-encoding: gzip"),
    "an unknown compression": post("/v1/messages", b"{}", "content-encoding: zstd"),
    "an unknown ceiling": post("/v1/messages", dumps(GOOD["/v1/messages"]), "x-freehold-ceiling: moon"),
    "an unknown label": post("/v1/messages", dumps(GOOD["/v1/messages"]), "x-freehold-label: secret"),
    "a path that is not there": post("/v1/messages/nothing", b"{}"),
    "a path from below": post("/v1/messages/../../etc/passwd", b"{}"),
    "a path in other letters": post("/V1/MESSAGES", b"{}"),
    "a path with a NUL": post("/v1/messages%00", b"{}"),
    "another method": b"PUT /v1/messages HTTP/1.1\r\nhost: @HOST@\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
    "a method nobody knows": b"BREW /v1/messages HTTP/1.1\r\nhost: @HOST@\r\nconnection: close\r\n\r\n",
    "a body that is too large": b"POST /v1/messages HTTP/1.1\r\nhost: @HOST@\r\ncontent-length: 99999999999\r\n\r\n{",
    "two lengths": post("/v1/messages", b"{}", "content-length: 9"),
    "a length and chunks": post("/v1/messages", b"0\r\n\r\n", "transfer-encoding: chunked"),
    "5,000 headers": post("/v1/messages", b"{}", *(f"x{n}: 1" for n in range(5000))),
    "a huge header": post("/v1/messages", b"{}", "x: " + "a" * 1_000_000),
    "a huge key": post("/v1/messages", b"{}", "authorization: Bearer " + "a" * 60_000),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", list(HEADS))
async def test_a_head_that_is_wrong_is_refused(served: Served, capsys: pytest.CaptureFixture[str], name: str) -> None:
    answer = await send(served, HEADS[name])
    assert 400 <= answer.status < 500, answer.rest[:300]
    told: Any = json.loads(answer.rest)
    assert told["error"]["message"]
    await stays_well(served, capsys)


async def test_many_wrong_requests_at_once_do_not_hold_up_a_right_one(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    deep = b'{"model":' + b"[" * 2_000_000
    hostile = [asyncio.ensure_future(send(served, post("/v1/chat/completions", deep))) for _ in range(30)]
    await stays_well(served, capsys)
    assert {answer.status for answer in await asyncio.gather(*hostile)} == {400}


def test_there_are_more_than_enough_of_them() -> None:
    assert sum(sum(1 for _ in cases(path)) for path in GOOD) + len(HEADS) >= 400
