"""The door and the route table, over a real socket."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from freehold.server.delivery import Conversation
from freehold.server.door import Door, make_door
from freehold.server.gateway import Gateway
from freehold.server.listener import Listener
from support.houses import bare_house
from support.rawclient import Answer

HERE = frozenset({"localhost:8840", "127.0.0.1:8840", "[::1]:8840"})
LINES: list[str] = []


async def fine(conversation: Conversation, _headers: Mapping[str, str]) -> None:
    await conversation.send_whole(200, [], b"fine")


async def broken(_conversation: Conversation, _headers: Mapping[str, str]) -> None:
    raise ValueError("secret words of a prompt")


async def tail(conversation: Conversation, headers: Mapping[str, str], rest: str) -> None:
    await conversation.send_whole(200, [], f"{rest} {headers.get('anthropic-beta', '')}".encode())


@pytest.fixture
def gateway() -> Gateway:
    return bare_house(
        door=Door(HERE, frozenset({"http://localhost:3000"})),
        tell=LINES.append,
        routes={("GET", "/"): fine, ("POST", "/v1/messages"): fine, ("POST", "/v1/chat/completions"): fine, ("GET", "/broken"): broken},
        tails={"/v1/models/": tail},
    )  # fmt: skip


async def knock(gateway: Gateway, method: str, path: str, headers: list[tuple[str, str]]) -> tuple[int, dict[str, str], bytes]:
    listener = Listener(gateway, host="127.0.0.1", port=0, drain_s=1, takes_signals=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.start())
    try:
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "connection: close", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        answer = Answer(await asyncio.wait_for(reader.read(), 10))
        return answer.status, answer.headers, answer.rest
    finally:
        writer.close()
        await listener.stop()


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
        ("GET", "/v1/messages", 405, "POST"),
        ("HEAD", "/v1/chat/completions", 405, "POST"),
        ("POST", "/", 405, "GET, HEAD"),
        ("DELETE", "/v1/models/x", 405, "GET, HEAD"),
        ("OPTIONS", "/v1/messages", 405, "POST"),
        ("GET", "/nothing", 404, None),
        ("GET", "//", 404, None),
        ("POST", "/v1/messages/", 404, None),
    ],
)
async def test_methods_and_paths(gateway: Gateway, method: str, path: str, status: int, allow: str | None) -> None:
    answered, headers, body = await knock(gateway, method, path, [("host", "localhost:8840")])
    assert (answered, headers.get("allow")) == (status, allow)
    if status != 200 and method != "HEAD":
        told = json.loads(body)
        assert ("type" in told) == path.startswith("/v1/messages"), "each path spells faults in its own format"
        assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "meant"),
    [("/chat/completions", "/v1/chat/completions"), ("/v1/v1/messages", "/v1/messages"), ("/v1/messages/", "/v1/messages"),
     ("//v1//chat/completions", "/v1/chat/completions"), ("/v1/v1/models/a/b", "/v1/models/a/b"), ("/v1/nothing", None), ("/v1", None),
     ("/messages/batches", None)],
)  # fmt: skip
async def test_a_path_that_a_wrong_base_url_leads_to_is_told_with_the_right_one(
    gateway: Gateway, path: str, meant: str | None
) -> None:
    status, _, body = await knock(gateway, "POST", path, [("host", "localhost:8840")])
    message = json.loads(body)["error"]["message"]
    assert status == 404
    assert f"did you mean {meant}?" in message if meant else "did you mean" not in message


def names_let_in(door: Door, *hosts: str) -> list[str]:
    return [host for host in hosts if door.refusal({"host": host}) is None]


def test_what_is_reached_by_address_may_come_in_where_other_machines_may() -> None:
    asked = (
        "10.0.0.5:8840",
        "[fe80::1]:8840",
        "gw.lan:8840",
        "GW.lan",
        "box.lan:9000",
        "box.lan:8840",
        "evil.example:8840",
        "10.0.0.5",
        "",
    )
    here = make_door("127.0.0.1", 8840, ["gw.lan", "box.lan:9000"], [])
    assert names_let_in(here, *asked) == ["gw.lan:8840", "GW.lan", "box.lan:9000"]
    everywhere = make_door("0.0.0.0", 8840, ["gw.lan", "box.lan:9000"], [])
    assert names_let_in(everywhere, *asked) == ["10.0.0.5:8840", "[fe80::1]:8840", "gw.lan:8840", "GW.lan", "box.lan:9000"]
    assert names_let_in(make_door("::", 80, [], []), "10.0.0.5", "[fe80::1]", "localhost", "evil.example") == [
        "10.0.0.5", "[fe80::1]", "localhost",
    ]  # fmt: skip


async def test_a_defect_is_told_without_its_insides(gateway: Gateway) -> None:
    LINES.clear()
    status, _, body = await knock(gateway, "GET", "/broken", [("host", "localhost:8840")])
    assert status == 500
    assert b"secret" not in body
    assert b"ValueError" not in body
    assert "broken" in LINES[0]


async def test_a_start_that_fails_is_told_to_whoever_starts(gateway: Gateway) -> None:
    async def fail() -> None:
        raise OSError("no room")

    gateway.start = fail
    listener = Listener(gateway, host="127.0.0.1", port=0, drain_s=1, takes_signals=False)
    with pytest.raises(OSError, match="no room"):
        await listener.start()


async def test_an_allowed_page_is_told_so_and_may_ask_first(gateway: Gateway) -> None:
    page = [("host", "localhost:8840"), ("origin", "http://localhost:3000")]
    _, headers, _ = await knock(gateway, "POST", "/v1/messages", page)
    assert headers["access-control-allow-origin"] == "http://localhost:3000"
    assert headers["vary"] == "origin"
    asks = [*page, ("access-control-request-method", "POST"), ("access-control-request-headers", "x-api-key,content-type")]
    status, headers, body = await knock(gateway, "OPTIONS", "/v1/messages", asks)
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-allow-headers"] == "x-api-key,content-type"
    status, headers, _ = await knock(gateway, "OPTIONS", "/v1/messages", [asks[0], ("origin", "http://evil.example"), *asks[2:]])
    assert status == 403
    assert "access-control-allow-origin" not in headers


async def test_who_is_no_page_gets_no_cors_headers(gateway: Gateway) -> None:
    _, headers, _ = await knock(gateway, "GET", "/", [("host", "localhost:8840")])
    assert not [name for name in headers if name.startswith("access-control")]
