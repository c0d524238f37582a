"""`Idempotency-Key` through the whole gateway: a repeat is answered again and paid once, on every route that can cost something."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from freehold.server.access import ACCESS, PAID
from support.budget_servers import Servers
from support.every_route import DECIDED, ask
from support.gateway import Serve
from support.idempotent import KEY, chat, chats, config, is_again, numbered, post, scripted

OWN = "the-servers-own-key"
SPEECH = {"model": "media", "input": "x" * 200, "voice": "alloy"}
STREAMED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True},
    "/v1/messages": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], "stream": True},
    "/v1/responses": {"model": "m", "input": "hi", "stream": True},
    "/v1/completions": {"model": "m", "prompt": "hi", "stream": True},
    "/api/chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/api/generate": {"model": "m", "prompt": "hi"},
}


def test_every_paid_route_of_the_table_is_covered_here() -> None:
    asked = {path for path, access in ACCESS.items() if access in PAID and not path.endswith("/")}
    assert asked - set(DECIDED) == {"/v1/messages/count_tokens", "/v1/batches"}


@pytest.mark.parametrize("path", DECIDED)
async def test_a_repeat_is_answered_again_and_paid_once_on_every_route(path: str, serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, '[[budgets]]\nname = "all"\nwindow = "total"\nusd = 100.0\nalerts = []\n'))
    first, again = [await ask(served, path, "a plain text", KEY) for _ in range(2)]
    assert first.status_code == 200, first.text
    assert is_again(again, first)
    assert len(fake.journal) == 1
    other = await ask(served, path, "another text", KEY)
    assert other.status_code == 422, other.text
    assert first.headers["x-freehold-request-id"] in other.text
    assert len(fake.journal) == 1
    fresh = await ask(served, path, "a plain text", {"idempotency-key": "another"})
    assert (fresh.status_code, "idempotent-replayed" in fresh.headers, len(fake.journal)) == (200, False, 2)
    bad = await ask(served, path, "a plain text", {"idempotency-key": "two words"})
    assert (bad.status_code, len(fake.journal)) == (400, 2)
    await served.app.budgets.idle()
    rows = {row.request_id: row for row in served.rows()}
    [paid, repeat] = [rows[answer.headers["x-freehold-request-id"]] for answer in (first, again)]
    assert (paid.attempts, repeat.attempts, repeat.cost_nano_usd, repeat.outcome) == (1, 0, 0, "served")
    assert repeat.reason == f"given again under its idempotency key, as answered to {paid.request_id}"


@pytest.mark.parametrize("path", STREAMED)
async def test_a_stream_is_given_again_as_the_same_stream(path: str, serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(config(fake))
    first, again = [await post(served, path, STREAMED[path]) for _ in range(2)]
    assert first.status_code == 200, first.text
    assert is_again(again, first)
    assert "content-length" not in again.headers
    whole = await post(served, path, {**STREAMED[path], "stream": False})
    assert whole.status_code == 422, "how it is sent is part of what was asked"
    assert len(fake.journal) == 1


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("/v1/chat/completions", lambda told: (told["error"]["type"], told["error"]["code"])),
        ("/v1/messages", lambda told: (told["type"], told["error"]["type"])),
        ("/api/chat", lambda told: ("error", type(told["error"]).__name__)),
    ],
)
async def test_a_mismatch_is_told_in_the_callers_own_format(path: str, spelled: Any, serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    await post(served, path, {**STREAMED[path], "stream": False})
    refused = await post(served, path, {**STREAMED[path], "stream": False, "temperature": 0.5})
    assert refused.status_code == 422
    assert (
        spelled(json.loads(refused.content))
        == {
            "/v1/chat/completions": ("invalid_request_error", "idempotency_mismatch"),
            "/v1/messages": ("error", "invalid_request_error"),
            "/api/chat": ("error", "str"),
        }[path]
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_repeats_while_the_first_is_under_way_wait_for_its_answer(serve: Serve, fake: FakeRuntime, *, stream: bool) -> None:
    scripted(fake, Act(say="one two three four", slow_s=0.05))
    served = await serve(config(fake))
    answers = await asyncio.gather(*(post(served, "/v1/chat/completions", chat(stream=stream)) for _ in range(8)))
    [first] = [answer for answer in answers if "idempotent-replayed" not in answer.headers]
    assert all(is_again(answer, first) for answer in answers if answer is not first)
    assert len(fake.journal) == 1


async def test_who_does_not_wait_for_so_long_is_told_409_and_when_to_ask_again(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(stall="before-content"))
    served = await serve(config(fake, "[idempotency]\nwait_s = 0.05\n"))
    first = asyncio.ensure_future(chats(served))
    await fake.received(1)
    busy = await chats(served)
    assert (busy.status_code, busy.headers["retry-after"]) == (409, "1")
    assert busy.json()["error"]["code"] == "idempotency_under_way"
    assert (await chats(served, "other")).status_code == 422, "that it is another request is told at once"
    first.cancel()
    await asyncio.wait([first])


@pytest.mark.parametrize(
    ("act", "status"),
    [(Act(status=503), 503), (Act(status=400), 400), (Act(status=500), 502)],
    ids=["full", "rejected", "failed"],
)
async def test_a_failure_that_cost_nothing_is_not_kept(act: Act, status: int, serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, act, Act(say="at last"))
    served = await serve(config(fake))
    assert (await chats(served)).status_code == status
    better = await chats(served)
    assert (better.status_code, "idempotent-replayed" in better.headers, len(fake.journal)) == (200, False, 2)
    assert is_again(await chats(served), better)


async def test_a_limit_of_the_vendors_is_not_kept(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(status=429, retry_after="30"))
    served = await serve(config(fake))
    first, again = await chats(served), await chats(served)
    assert (first.status_code, "idempotent-replayed" in again.headers) == (429, False)


async def test_what_policy_or_a_budget_refuses_is_not_kept(serve: Serve, fake: FakeRuntime, tmp_path: Any) -> None:
    refusing = '[[rules]]\nname = "closed"\ndeny = { egress = "vendor" }\n'
    poor = '[[budgets]]\nname = "all"\nwindow = "total"\nusd = 0.0000001\nalerts = []\n'
    for more, status in ((refusing, 403), (poor, 402)):
        served = await serve(
            config(fake, more).replace("rules = false\n", "") if more is refusing else config(fake, more), home=tmp_path
        )
        assert (await chats(served)).status_code == status
        await served.listener.stop()
    assert not fake.journal
    served = await serve(config(fake), home=tmp_path)
    assert (await chats(served)).status_code == 200


async def test_a_failure_that_may_have_been_paid_is_kept_and_clients_are_told_not_to_repeat_it(
    serve: Serve, fake: FakeRuntime
) -> None:
    scripted(fake, Act(cut="after-headers"), Act(say="a second payment"))
    served = await serve(config(fake))
    first = await chats(served)
    assert first.status_code == 502
    again = await chats(served)
    assert is_again(again, first)
    assert again.headers["x-should-retry"] == "false"
    assert len(fake.journal) == 1
    row = served.last().request
    assert (row.outcome, row.status, row.fault, row.cost_nano_usd) == ("failed", 502, "broken_stream", 0)


async def test_a_local_runtime_that_fails_was_not_paid_and_may_be_asked_again(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(cut="after-headers"), Act(say="better"))
    served = await serve(config(fake, kind="local"))
    assert (await chats(served)).status_code == 502
    assert (await chats(served)).status_code == 200


async def test_a_stream_that_broke_after_its_first_content_is_given_again_as_broken(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(say="one two three four five six", cut="mid"), Act(say="a second payment"))
    served = await serve(config(fake))
    first, again = [await post(served, "/v1/chat/completions", chat(stream=True)) for _ in range(2)]
    assert '"error"' in first.text
    assert is_again(again, first)
    assert len(fake.journal) == 1
    assert [row.outcome for row in served.rows()] == ["cut", "cut"]


async def test_audio_that_broke_off_breaks_off_again(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(cut="mid"))
    served = await serve(config(fake))
    got: list[bytes] = []
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            async with (
                httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client,
                client.stream("POST", "/v1/audio/speech", json=SPEECH, headers=KEY) as answer,
            ):
                got.append(b"")
                async for piece in answer.aiter_raw():
                    got[-1] += piece
    assert got[0] == got[1] != b""
    assert len(fake.journal) == 1


async def test_other_callers_do_not_find_it(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(f'[server]\napi_key = "env:KEY"\n{config(fake)}', environ={"KEY": OWN})
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": OWN}) as admin:
        keys = [(await admin.post("/admin/keys", json={"name": name})).json()["key"] for name in ("ann", "bob")]
    answers = [await chats(served, x_api_key=key) for key in (*keys, OWN, keys[0])]
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == [
        "answer 1",
        "answer 2",
        "answer 3",
        "answer 1",
    ]
    other = await chats(served, "what did she ask?", x_api_key=keys[1])
    assert answers[0].headers["x-freehold-request-id"] not in other.text
    nobody = await chats(served, x_api_key="sk-nobody")
    assert nobody.status_code == 401


async def test_a_key_that_lost_its_right_is_not_answered_again(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(f'[server]\napi_key = "env:KEY"\n{config(fake)}', environ={"KEY": OWN})
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": OWN}) as admin:
        key = (await admin.post("/admin/keys", json={"name": "ann"})).json()["key"]
        assert (await chats(served, x_api_key=key)).status_code == 200
        await admin.delete("/admin/keys/ann")
    assert (await chats(served, x_api_key=key)).status_code == 401


async def test_another_label_or_ceiling_is_another_request(serve: Serve, fake: FakeRuntime) -> None:
    numbered(fake)
    served = await serve(config(fake))
    told = [{}, {"x_freehold_label": "confidential"}, {"x_freehold_ceiling": "vendor"}]
    answers = [await chats(served, **headers) for headers in told]
    assert len({answer.content for answer in answers}) == 3
    for headers, first in zip(told, answers, strict=True):
        assert is_again(await chats(served, **headers), first)


async def test_the_clients_key_reaches_no_upstream_and_no_store(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(say="a secret plan that is nobody else's business"))
    served = await serve(config(fake))
    assert (await chats(served)).status_code == 200
    assert "idempotency-key" not in fake.journal[0].headers
    await served.listener.stop()
    kept = b"".join(path.read_bytes() for path in served.app.config.data_dir.rglob("*") if path.is_file())
    assert b"idempotency_keys" in kept
    for word in (KEY["idempotency-key"].encode(), b"secret plan", b"nobody else"):
        assert word not in kept


async def test_answers_outlive_a_restart_and_end_with_their_time(serve: Serve, fake: FakeRuntime, tmp_path: Any) -> None:
    numbered(fake)
    first_server = await serve(config(fake), home=tmp_path)
    first = await chats(first_server)
    await first_server.listener.stop()
    second_server = await serve(config(fake), home=tmp_path)
    assert is_again(await chats(second_server), first)
    assert len(fake.journal) == 1


async def test_gateways_that_share_a_postgresql_share_their_keys(
    serve: Serve, fake: FakeRuntime, servers: Servers, tmp_path: Path
) -> None:
    numbered(fake)
    postgres = servers.postgres().fresh()
    places = [tmp_path / name for name in ("one", "other")]
    one, other = [await serve(config(fake, f'[storage]\nurl = "{postgres}"\n'), home=place) for place in places]
    first = await chats(one)
    assert first.status_code == 200, first.text
    while one.app.idempotency._work:  # both are this one process, which knows what it serves by itself
        await asyncio.wait(one.app.idempotency._work)
    assert is_again(await chats(other), first)
    assert (await chats(other, "something else")).status_code == 422
    assert len(fake.journal) == 1


async def test_an_answer_that_is_too_large_is_not_kept_and_not_paid_again(serve: Serve, fake: FakeRuntime) -> None:
    scripted(fake, Act(say="word " * 3000))
    served = await serve(config(fake, "[idempotency]\nmax_answer_mib = 0.005\n"))
    first, again = [await chats(served) for _ in range(2)]
    assert first.status_code == 200
    assert (again.status_code, again.headers["x-should-retry"]) == (409, "false")
    assert again.json()["error"]["code"] == "idempotency_unknown"
    assert first.headers["x-freehold-request-id"] in again.text
    assert len(fake.journal) == 1


async def test_a_batch_is_made_once(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat()}
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        kept = await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("b.jsonl", json.dumps(line).encode())})
        asked = {"input_file_id": kept.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        first, again = [await client.post("/v1/batches", json=asked, headers=KEY) for _ in range(2)]
        assert first.status_code == 200, first.text
        assert is_again(again, first)
        assert (await client.post("/v1/batches", json={**asked, "metadata": {"a": "b"}}, headers=KEY)).status_code == 422
        bad = {**asked, "input_file_id": "file-none"}
        assert [(await client.post("/v1/batches", json=bad, headers={"idempotency-key": "k"})).status_code for _ in range(2)] == [
            404,
            404,
        ], "what was refused is not kept"
        assert len((await client.get("/v1/batches")).json()["data"]) == 1


async def test_counting_tokens_costs_nothing_and_takes_no_key(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for text in ("hi", "ho"):
        body["messages"] = [{"role": "user", "content": text}]
        assert (await post(served, "/v1/messages/count_tokens", body)).status_code == 200
