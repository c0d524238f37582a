"""Who may ask what, generated from the table of routes: a new route fails here until it says whom it answers.

Every route is asked with no key, with bad, expired, revoked and rotated ones, and with headers that are no keys at all.
Every route is asked by a key that may do nothing, and by one that may do everything; and one caller asks for everything
that another one left.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.server import access
from freehold.server.access import ACCESS
from freehold.server.openapi.operations import OPERATIONS
from freehold.server.routes import make_routes, make_tails
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.rawclient import Answer

OWN = "the-servers-own-key"
NOTHING: Any = None
ROUTES: dict[tuple[str, str], Any] = make_routes(NOTHING, NOTHING, NOTHING, NOTHING)
TAILS: dict[str, Any] = make_tails(NOTHING)
EVERY = [
    *((method, path, ACCESS[path]) for method, path in ROUTES),
    *((method, f"{path}x", ACCESS[path]) for path, tail in TAILS.items() for method in getattr(tail, "methods", ("GET",))),
]
GUARDED = [(method, path, right) for method, path, right in EVERY if right != "open"]
MEDIA = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"


def config(fake: FakeRuntime, server: str = 'api_key = "env:KEY"') -> str:
    return "\n".join(
        [
            f"[server]\n{server}",
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(fake)),
            runtime_toml("team", "self_hosted", base_url(fake)),
            deployment_toml("cloud", "m", "fake-chat"),
            deployment_toml("team", "other", "fake-chat"),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }"),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA),
        ]
    )


async def admin(served: Served, method: str, path: str, body: Any = None, key: str = OWN) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": key}) as client:
        return await client.request(method, f"/admin/keys{path}", json=body)


async def key_of(served: Served, name: str, **wanted: Any) -> str:
    answer = await admin(served, "POST", "", {"name": name, **wanted})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["key"])


async def raw(served: Served, method: str, path: str, headers: list[bytes]) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(20):
            lines = [f"{method} {path} HTTP/1.1".encode(), f"host: {served.url[7:]}".encode(), b"connection: close", *headers]
            writer.write(b"\r\n".join([*lines, b"content-type: application/json", b"content-length: 2", b"", b"{}"]))
            return Answer(await reader.read(-1))
    finally:
        writer.close()


def is_spelled(method: str, path: str, headers: list[bytes], body: Any) -> bool:
    """Whether a fault is in the format of its path, or, where both clients ask there, of Anthropic's header."""
    operation = OPERATIONS.get((method, path)) or next(
        found for (_, known), found in OPERATIONS.items() if "{id}" in known and path.startswith(known.partition("{id}")[0])
    )
    by_header = "anthropic" if any(line.startswith(b"anthropic-version") for line in headers) else "openai"
    match by_header if operation.spelling == "by_header" else operation.spelling:
        case "ollama":
            return isinstance(body["error"], str)
        case "anthropic":
            return body.get("type") == "error" and isinstance(body["error"]["message"], str)
        case _:
            return isinstance(body["error"]["message"], str) and "code" in body["error"]


def bearer(key: str) -> bytes:
    return b"authorization: Bearer " + key.encode("latin-1")


def header_sets(good: str, other: str, bad: dict[str, str]) -> Iterator[tuple[str, list[bytes]]]:
    """Headers that say nobody, by what is wrong with them."""
    yield "no key", []
    for why, key in bad.items():
        yield f"{why}, as a bearer", [bearer(key)]
        yield f"{why}, as x-api-key", [b"x-api-key: " + key.encode()]
        yield f"{why}, beside a good one", [bearer(good), b"x-api-key: " + key.encode()]
    yield "two good keys", [bearer(good), b"x-api-key: " + other.encode()]
    yield "an empty bearer", [b"authorization: Bearer "]
    yield "an empty key", [b"x-api-key: "]
    yield "no scheme", [b"authorization: " + good.encode()]
    yield "basic", [b"authorization: Basic " + good.encode()]
    yield "a comma list", [bearer(f"{good}, {good}")]
    yield "a huge key", [bearer("x" * 40_000)]
    yield "a huge key of ours", [bearer("fh_" + "x" * 40_000)]
    yield "letters of no key", [bearer("schlüssel")]
    yield "letters behind a key", [bearer(f"{good}\xa0")]
    yield "another header", [b"api-key: " + good.encode()]
    yield "a cookie", [b"cookie: key=" + good.encode()]
    yield "Anthropic's client without a key", [b"anthropic-version: 2023-06-01"]


REFUSED_BEFORE = {
    "two headers": [bearer("a"), bearer("a")],
    "a null": [b"authorization: Bearer a\x00b"],
    "a line end": [b"x-api-key: a\rb"],
}
"""Headers that no request may have: refused before anybody looks for a key."""


def test_every_route_says_whom_it_answers():
    assert {path for _, path in ROUTES} | TAILS.keys() == ACCESS.keys()


def test_a_route_without_a_rule_keeps_the_server_from_starting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access, "ACCESS", {path: right for path, right in ACCESS.items() if path != "/v1/files/"})
    with pytest.raises(ValueError, match="who may ask /v1/files/"):
        make_routes(NOTHING, NOTHING, NOTHING, NOTHING)


async def bad_keys(served: Served) -> dict[str, str]:
    revoked, rotated, brief = [await key_of(served, name) for name in ("revoked", "rotated", "brief")]
    assert (await admin(served, "DELETE", "/revoked")).json()["state"] == "revoked"
    assert (await admin(served, "POST", "/rotated/rotate", {"overlap_s": 0})).status_code == 200
    expire(served, "brief")
    return {
        "revoked": revoked,
        "rotated": rotated,
        "expired": brief,
        "unknown": "fh_" + "a" * 38,
        "no key of ours": "sk-abcdefgh",
    }


def expire(served: Served, name: str) -> None:
    """As if its time had come."""
    register = served.app.keys.register
    caller = register.virtual.by_name[name].caller
    for table in (register.virtual.by_digest, register.virtual.by_name):
        for key, opening in list(table.items()):
            if opening.caller == caller:
                table[key] = type(opening)(caller, 1)


async def test_nobody_gets_through_any_route_without_a_key_that_stands(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake), environ={"KEY": OWN})
    good, other = await key_of(served, "good"), await key_of(served, "other")
    sets = list(header_sets(good, other, await bad_keys(served)))
    wrong: list[Any] = []
    for method, path, _ in GUARDED:
        for why, headers in sets:
            if "beside a good one" in why and why.startswith("no key of ours"):
                continue  # clients send a placeholder in the header they do not use
            answer = await raw(served, method, path, headers)
            if (
                answer.status != 401
                or not is_spelled(method, path, headers, json.loads(answer.body))
                or good in answer.body.decode()
            ):
                wrong.append((method, path, why, answer.status, answer.body[:200]))
        for why, headers in REFUSED_BEFORE.items():
            answer = await raw(served, method, path, headers)
            if answer.status != 400 or not is_spelled(method, path, headers, json.loads(answer.body)):
                wrong.append((method, path, why, answer.status, answer.body[:200]))
    assert wrong == []
    assert not fake.journal
    assert {(row.caller_key, row.caller_user) for row in served.rows()} == {("nobody", "nobody")}


async def test_a_key_does_nothing_that_is_not_among_its_operations(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake), environ={"KEY": OWN})
    nothing = await key_of(served, "nothing", operations=[])
    plain = await key_of(served, "plain")
    wrong: list[Any] = []
    for method, path, right in GUARDED:
        limited = await raw(served, method, path, [bearer(nothing)])
        if (limited.status == 403) != (right is not None):
            wrong.append((method, path, "nothing", limited.status))
        free = await raw(served, method, path, [bearer(plain)])
        if (free.status == 403) != (right == "admin") or free.status == 401:
            wrong.append((method, path, "plain", free.status))
    assert wrong == []
    assert not fake.journal


async def test_open_routes_tell_nothing_of_callers(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake), environ={"KEY": OWN})
    await key_of(served, "ann")
    for method, path, right in EVERY:
        if right == "open":
            answer = await raw(served, method, path, [])
            assert answer.status == 200
            assert b'"ann"' not in answer.body


async def test_what_one_user_left_no_other_finds(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake), environ={"KEY": OWN})
    ann, bob = await key_of(served, "ann"), await key_of(served, "bob", operations=["chat", "files", "batches", "admin"])
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": ann}) as client:
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "none", "messages": []}}
        upload = {"file": ("w.jsonl", json.dumps(line).encode())}
        file = (await client.post("/v1/files", data={"purpose": "batch"}, files=upload)).json()["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = (await client.post("/v1/batches", json=asked)).json()["id"]
        own = await client.get(f"/v1/files/{file}/content")
        assert own.status_code == 200
    ids = {
        "/v1/files/": [file, f"{file}/content"],
        "/v1/batches/": [batch, f"{batch}/cancel"],
        "/v1/responses/": [file, batch],
        "/v1/models/": [file, batch],
        "/admin/keys/": ["ann", "ann/rotate"],
    }
    assert ids.keys() == TAILS.keys(), "every kind of id is asked for"
    for path, tail in TAILS.items():
        for one in ids[path]:
            for method in getattr(tail, "methods", ("GET",)):
                answer = await raw(served, method, f"{path}{one}", [bearer(bob)])
                if (method, path, one) == ("GET", "/admin/keys/", "ann"):
                    continue  # who administers sees whose keys there are, never what they open
                assert answer.status in {403, 404}, (method, path, one, answer.body)
    for path in ("/v1/files", "/v1/batches"):
        assert json.loads((await raw(served, "GET", path, [bearer(bob)])).body)["data"] == []
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": bob}) as client:
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        assert (await client.post("/v1/batches", json=asked)).status_code == 404
    assert (await raw(served, "GET", f"/v1/files/{file}", [bearer(ann)])).status == 200
