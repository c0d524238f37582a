"""Virtual keys on a running gateway: what a key may do, and when it ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from freehold.cli import app as cli
from freehold.config import read_config
from freehold.gateways.fake import FakeRuntime
from freehold.identity.issuing import KeyWanted, issue
from freehold.routing.detectors.own_keys import is_own_key
from freehold.server import key_watch
from freehold.server.clock import wall_ms
from freehold.storage.keys import KeyStore
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

OWN = "the-servers-own-key"
ASKED = {"model": "cheap", "messages": [{"role": "user", "content": "hello"}]}


def config(fake: FakeRuntime, server: str = 'api_key = "env:KEY"', more: str = "") -> str:
    return "\n".join(
        [
            f"[server]\n{server}",
            NO_ENGINE,
            runtime_toml("team", "self_hosted", base_url(fake)),
            runtime_toml("cloud", "vendor", base_url(fake)),
            deployment_toml("team", "cheap", "fake-chat"),
            deployment_toml("cloud", "dear", "fake-chat"),
            '[aliases]\nauto = ["dear", "cheap"]',
            '[[rules]]\nname = "far first"\ntry = ["vendor", "self_hosted"]',
            more,
        ]
    )


async def call(served: Served, method: str, path: str, key: str | None, body: Any = None, **headers: str) -> httpx.Response:
    said = {**({"x-api-key": key} if key else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, headers=said, timeout=30) as client:
        return await client.request(method, path, json=body)


async def chat(served: Served, key: str | None, model: str = "cheap", **headers: str) -> httpx.Response:
    return await call(served, "POST", "/v1/chat/completions", key, {**ASKED, "model": model}, **headers)


async def key_of(served: Served, name: str, **wanted: Any) -> str:
    answer = await call(served, "POST", "/admin/keys", OWN, {"name": name, **wanted})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])


@pytest.fixture
async def served(serve: Serve, fake: FakeRuntime) -> Served:
    datasets = '[datasets.tickets]\nlabel = "confidential"\nceiling = "self_hosted"\n[datasets.docs]\nlabel = "public"\n'
    return await serve(config(fake, more=datasets), environ={"KEY": OWN})


async def names(served: Served, key: str) -> set[str]:
    return {one["id"] for one in (await call(served, "GET", "/v1/models", key)).json()["data"]}


async def test_who_asks_is_on_every_row(served: Served):
    key = await key_of(served, "ci", user="ann", team="core", project="site")
    assert is_own_key(key)
    assert (await chat(served, key)).status_code == 200
    found = served.last()
    assert (found.request.caller_key, found.request.caller_user, found.request.caller_team) == ("ci", "ann", "core")
    assert found.decision.features.caller.project == "site"
    assert key not in repr(found)


async def test_a_key_reaches_only_its_models_by_whatever_name(served: Served, fake: FakeRuntime):
    key = await key_of(served, "cheap-only", models=["ch?ap"])
    assert (await chat(served, key)).status_code == 200
    assert (await chat(served, key, "auto")).headers["x-freehold-deployment"] == "team/cheap"
    sent = len(fake.journal)
    refused = await chat(served, key, "dear")
    assert (refused.status_code, len(fake.journal)) == (403, sent)
    assert "the key 'cheap-only' may not use it" in refused.text
    assert await names(served, key) == {"auto", "cheap", "team/cheap"}
    assert await names(served, OWN) == {"auto", "cheap", "team/cheap", "dear", "cloud/dear"}
    for path, status in (("/v1/models/dear", 404), ("/v1/models/cheap", 200)):
        assert (await call(served, "GET", path, key)).status_code == status
    tags = (await call(served, "GET", "/api/tags", key)).json()["models"]
    assert "dear" not in json.dumps(tags)
    assert (await call(served, "POST", "/api/show", key, {"model": "dear"})).status_code == 404


async def test_a_key_for_an_alias_gets_all_that_it_stands_for_and_nothing_else(served: Served):
    key = await key_of(served, "auto-only", models=["auto"])
    assert (await chat(served, key, "auto")).headers["x-freehold-deployment"] == "cloud/dear"
    assert (await chat(served, key, "dear")).status_code == 403


async def test_ceiling_and_label_of_a_key_hold_whatever_the_request_says(served: Served):
    key = await key_of(served, "near", ceiling="self_hosted", label="confidential")
    answer = await chat(served, key, "auto", x_freehold_ceiling="vendor", x_freehold_label="public")
    assert answer.headers["x-freehold-deployment"] == "team/cheap"
    features = served.last().decision.features
    assert (features.ceiling, features.label, features.label_reason) == ("self_hosted", "confidential", "key")
    assert (await chat(served, key, "dear")).status_code == 403
    assert "dear" not in await names(served, key)


async def test_a_dataset_is_tagged_by_key_or_header_and_its_ceiling_holds(served: Served):
    key = await key_of(served, "support", datasets=["tickets", "docs"])
    assert (await chat(served, key, "auto")).headers["x-freehold-deployment"] == "team/cheap"
    features = served.last().decision.features
    assert (features.caller.dataset, features.label, features.label_reason) == ("tickets", "confidential", "dataset tickets")
    assert (await chat(served, key, "auto", x_freehold_dataset="docs")).headers["x-freehold-deployment"] == "cloud/dear"
    assert served.last().decision.features.caller.dataset == "docs"
    both = await chat(served, key, "auto", x_freehold_dataset="docs, tickets")
    assert both.headers["x-freehold-deployment"] == "team/cheap"
    only = await key_of(served, "docs-only", datasets=["docs"])
    for path in ("/v1/chat/completions", "/v1/messages"):
        refused = await call(served, "POST", path, only, {**ASKED, "max_tokens": 9}, x_freehold_dataset="tickets")
        assert refused.status_code == 403, refused.text
    unknown = await key_of(served, "lost", datasets=["removed"])
    assert (await chat(served, unknown)).status_code == 400, "its label is not known, so nothing is served"
    free = await key_of(served, "free")
    assert (await chat(served, free, x_freehold_dataset="tickets", x_freehold_project="p1")).status_code == 200
    assert served.last().decision.features.caller.project == "p1"
    bound = await key_of(served, "bound", project="p2")
    assert (await chat(served, bound, x_freehold_project="p1")).status_code == 403


async def test_a_revoked_key_opens_nothing_once_the_answer_says_so(served: Served):
    key = await key_of(served, "short")
    assert (await chat(served, key)).status_code == 200
    told = await call(served, "DELETE", "/admin/keys/short", OWN)
    assert (told.json()["state"], told.json()["secrets"]) == ("revoked", [])
    assert (await chat(served, key)).status_code == 401
    again = await call(served, "POST", "/admin/keys", OWN, {"name": "short"})
    assert (again.status_code, "never used again" in again.text) == (400, True)


async def test_a_change_made_elsewhere_is_followed(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key_watch, "LOOK_EACH_S", 0.01)
    store = KeyStore(served.app._store, now_ms=wall_ms)
    row, secret = issue(KeyWanted(name="outside"), by="cli", now_ms=wall_ms())
    store.add(row)
    await until(served, secret.reveal(), 200)
    store.revoke(user="outside")
    await until(served, secret.reveal(), 401)
    store.close()


async def until(served: Served, key: str, status: int) -> None:
    async with asyncio.timeout(20):
        while (await call(served, "GET", "/v1/models", key)).status_code != status:
            await served.app.keys.look()


async def test_a_queued_line_of_a_revoked_key_is_not_asked(served: Served, fake: FakeRuntime):
    key = await key_of(served, "batcher")
    await served.app.batches.stop()
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASKED}
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": key}) as client:
        upload = {"file": ("w.jsonl", json.dumps(line).encode())}
        file = (await client.post("/v1/files", data={"purpose": "batch"}, files=upload)).json()["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = (await client.post("/v1/batches", json=asked)).json()["id"]
    assert (await call(served, "DELETE", "/admin/keys/batcher", OWN)).status_code == 200
    served.app.batches.start()
    async with asyncio.timeout(30):
        while True:
            rows = await served.app.desk.ask(lambda store: store.unfinished())
            if batch not in {row.batch_id for row in rows}:
                break
            await asyncio.sleep(0.02)
    assert not fake.journal
    assert {row.fault for row in served.rows()} == {"unauthenticated"}


async def test_a_key_gives_nothing_that_it_has_not(served: Served):
    chief = await key_of(served, "chief", operations=["chat", "admin"], ceiling="self_hosted", models=["cheap"], label="internal")
    limits = {"operations": ["chat"], "ceiling": "self_hosted", "models": ["cheap"], "label": "internal"}
    for more, said in (
        ({"operations": None}, "operations beyond"),
        ({"operations": ["chat", "images"]}, "operations beyond"),
        ({"ceiling": "vendor"}, "ceiling vendor"),
        ({"models": None}, "models beyond"),
        ({"models": ["*"]}, "models beyond"),
        ({"label": None}, "a label below internal"),
        ({"label": "public"}, "a label below internal"),
    ):
        answer = await call(served, "POST", "/admin/keys", chief, {"name": "more", **limits, **more})
        assert (answer.status_code, said in answer.text) == (403, True), answer.text
    made = await call(served, "POST", "/admin/keys", chief, {"name": "less", **limits})
    assert made.status_code == 200
    assert (await call(served, "POST", "/admin/keys/less/rotate", chief, {"overlap_s": 0})).status_code == 200
    assert (await chat(served, made.json()["key"])).status_code == 401, "its first secret is rotated away"
    await key_of(served, "stranger", **limits)
    taken = await call(served, "POST", "/admin/keys/stranger/rotate", chief, {})
    assert (taken.status_code, "did not make it" in taken.text) == (403, True)
    await key_of(served, "mighty")
    assert (await call(served, "DELETE", "/admin/keys/mighty", chief)).status_code == 403


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "name"),
        ({"name": "server"}, "taken"),
        ({"name": "a b"}, "name: 1 to 64"),
        ({"name": "a", "user": "\n"}, "user: 1 to 100"),
        ({"name": "a", "expires_ms": 1}, "still to come"),
        ({"name": "a", "operations": ["everything"]}, "operations"),
        ({"name": "a", "datasets": ["x,y"]}, "no commas"),
        ({"name": "a", "ceilings": "local"}, "ceilings"),
        ([], "object"),
    ],
)
async def test_what_is_no_key_is_refused_by_its_field(served: Served, body: Any, said: str):
    answer = await call(served, "POST", "/admin/keys", OWN, body)
    assert (answer.status_code, said in answer.text) == (400, True), answer.text


async def test_without_keys_asked_for_a_key_still_says_who_and_nobody_administers(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake, "port = 0"))
    store = KeyStore(served.app._store, now_ms=wall_ms)
    row, secret = issue(KeyWanted(name="me", operations=("chat",)), by="cli", now_ms=wall_ms())
    store.add(row)
    store.close()
    await served.app.keys.look()
    assert (await chat(served, None)).status_code == 200
    assert served.last().request.caller_key == "local"
    assert (await chat(served, secret.reveal())).status_code == 200
    assert served.last().request.caller_key == "me"
    assert (await call(served, "GET", "/v1/files", secret.reveal())).status_code == 403
    assert (await chat(served, secret.reveal()[:-1])).status_code == 401
    for key in (None, "placeholder", secret.reveal()):
        assert (await call(served, "GET", "/admin/keys", key)).status_code in {401, 403}


async def test_keys_that_cannot_be_read_open_nothing(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    key = await key_of(served, "waits")
    watch = served.app.keys
    monkeypatch.setattr(watch, "_store_url", f"sqlite:///{tmp_path}")
    monkeypatch.setattr(key_watch, "TRUSTED_S", -1.0)
    await watch.look()
    assert (await chat(served, key)).status_code == 503
    assert (await chat(served, OWN)).status_code == 200
    monkeypatch.setattr(watch, "_store_url", served.app._store)
    await watch.look()
    assert (await chat(served, key)).status_code == 200


async def test_a_reload_never_opens_an_address_that_others_reach(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake), environ={"KEY": OWN})
    served.app.open_door("192.0.2.7", 8840)
    keyless = read_config(config(fake, "port = 0"), {"HOME": "/nowhere"}, None)
    with pytest.raises(ValueError, match="keys must be asked for"):
        served.app.rebase(keyless)
    served.app.open_door("127.0.0.1", int(served.url.rpartition(":")[2]))
    assert (await chat(served, None)).status_code == 401


def test_the_command_line_makes_shows_rotates_and_revokes_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "FREEHOLD_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("FREEHOLD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def freehold(*words: str) -> Any:
        return CliRunner().invoke(cli, ["key", *words])

    made = freehold("create", "ci", "--user", "ann", "--operation", "chat", "--model", "gpt-*", "--expires", "90d")
    key = made.stdout.strip()
    assert is_own_key(key), made.output
    listed = json.loads(freehold("list", "--json").stdout)
    assert [(one["name"], one["user"], one["state"], one["models"]) for one in listed] == [("ci", "ann", "active", ["gpt-*"])]
    assert key not in freehold("list").stdout + freehold("show", "ci").stdout
    rotated = json.loads(freehold("rotate", "ci", "--overlap", "1h", "--json").stdout)
    assert rotated["key"] != key
    assert [one["ends_ms"] is None for one in rotated["secrets"]] == [True, False]
    assert json.loads(freehold("revoke", "--user", "ann", "--json").stdout) == {"revoked": ["ci"]}
    assert json.loads(freehold("show", "ci", "--json").stdout)["state"] == "revoked"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes()
            assert rotated["key"].encode() not in path.read_bytes()
    for words in (["create", "ci"], ["create", "local"], ["create", "x", "--expires", "soon"], ["rotate", "ci"], ["revoke"]):
        assert freehold(*words).exit_code != 0, words
