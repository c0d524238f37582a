"""The door and the route table, through the ASGI callable itself."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from freehold.server.asgi import Door, Gateway
from freehold.server.delivery import Conversation, Message
from freehold.server.routes import speller_of
from freehold.telemetry.log import Log

HERE = frozenset({"localhost:8840", "127.0.0.1:8840", "[::1]:8840"})
LINES: list[str] = []


async def fine(conversation: Conversation, _headers: Mapping[str, str]) -> None:
    await conversation.send_whole(200, [], b"fine")


async def broken(_conversation: Conversation, _headers: Mapping[str, str]) -> None:
    raise ValueError("secret words of a prompt")


async def tail(conversation: Conversation, headers: Mapping[str, str], rest: str) -> None:
    await conversation.send_whole(200, [], f"{rest} {headers.get('anthropic-beta', '')}".encode())


async def nothing() -> None:
    pass


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(
        routes={("GET", "/"): fine, ("POST", "/v1/messages"): fine, ("POST", "/v1/chat/completions"): fine, ("GET", "/broken"): broken},
        tails={"/v1/models/": tail},
        door=Door(HERE, frozenset({"http://localhost:3000"})),
        speller_of=speller_of,
        keep_alive_s=10,
        start=nothing,
        stop=nothing,
        now_ms=lambda: 0,
        random_bytes=bytes,
        log=Log(LINES.append, now_ms=lambda: 0, form="json", level="info"),
    )  # fmt: skip


async def knock(
    gateway: Gateway, method: str, path: str, headers: list[tuple[str, str]]
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await gateway({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("host", ["localhost:8840", "LocalHost:8840", "127.0.0.1:8840", "[::1]:8840"])
async def test_our_own_names_may_come_in(gateway: Gateway, host: str) -> None:
    assert (await knock(gateway, "GET", "/", [("host", host)]))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8840", "localhost", "localhost:80", "localhost:8840.evil.example", "localhost.:8840",
     "127.0.0.1", "127.0.0.1:8841", "::1", "[::1]", "::1:8840", "localhost:8840@evil.example", "localhost:8840,evil.example", "ï:8840"],
)  # fmt: skip
async def test_no_other_name_may_come_in(gateway: Gateway, host: str) -> None:
    status, _, body = await knock(gateway, "GET", "/", [("host", host)])
    assert status == 403
    assert "allowed_hosts" in json.loads(body)["error"]["message"]


async def test_a_request_without_a_host_may_not_come_in(gateway: Gateway) -> None:
    assert (await knock(gateway, "GET", "/", []))[0] == 403


@pytest.mark.parametrize("name", ["host", "origin", "authorization", "x-api-key"])
@pytest.mark.parametrize("second", ["localhost:8840", "evil.example"])
async def test_what_says_who_asks_may_be_said_only_once(gateway: Gateway, name: str, second: str) -> None:
    headers = [("host", "localhost:8840"), ("origin", "http://localhost:3000"), ("authorization", "a"), ("x-api-key", "a")]
    assert (await knock(gateway, "GET", "/", headers))[0] == 200
    status, _, body = await knock(gateway, "GET", "/", [*headers, (name, second)])
    assert status == 400
    assert name in json.loads(body)["error"]["message"]
    assert (await knock(gateway, "GET", "/", [(name, second), *headers]))[0] == 400


async def test_other_headers_may_be_repeated(gateway: Gateway) -> None:
    headers = [("host", "localhost:8840"), ("anthropic-beta", "one"), ("anthropic-beta", "two")]
    assert (await knock(gateway, "GET", "/v1/models/a/b", headers))[2] == b"a/b one, two"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:3000", 200), ("HTTP://LOCALHOST:3000", 200), ("null", 403), ("http://localhost:8840", 403),
     ("https://localhost:3000", 403), ("http://evil.example", 403), ("", 403)],
)  # fmt: skip
async def test_only_known_origins_may_come_in(gateway: Gateway, origin: str, status: int) -> None:
    assert (await knock(gateway, "POST", "/v1/messages", [("host", "localhost:8840"), ("origin", origin)]))[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/", 200, None),
        ("HEAD", "/v1/models/x", 200, None),
        ("GET", "/v1/messages", 405, b"POST"),
        ("HEAD", "/v1/chat/completions", 405, b"POST"),
        ("POST", "/", 405, b"GET, HEAD"),
        ("DELETE", "/v1/models/x", 405, b"GET, HEAD"),
        ("OPTIONS", "/v1/messages", 405, b"POST"),
        ("GET", "/nothing", 404, None),
        ("GET", "//", 404, None),
        ("POST", "/v1/messages/", 404, None),
    ],
)
async def test_methods_and_paths(gateway: Gateway, method: str, path: str, status: int, allow: bytes | None) -> None:
    answered, headers, body = await knock(gateway, method, path, [("host", "localhost:8840")])
    assert (answered, headers.get(b"allow")) == (status, allow)
    if status != 200:
        told = json.loads(body)
        assert ("type" in told) == path.startswith("/v1/messages"), "each path spells faults in its own format"
        assert headers[b"content-type"] == b"application/json"


async def test_a_defect_is_told_without_its_insides(gateway: Gateway) -> None:
    LINES.clear()
    status, _, body = await knock(gateway, "GET", "/broken", [("host", "localhost:8840")])
    assert status == 500
    assert b"secret" not in body
    assert b"ValueError" not in body
    assert "broken" in LINES[0]


async def test_a_start_that_fails_is_told_to_the_server(gateway: Gateway) -> None:
    async def fail() -> None:
        raise OSError("no room")

    gateway._start = fail
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await gateway({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "no room"}]
