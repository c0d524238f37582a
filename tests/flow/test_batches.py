"""Files and batches through the whole gateway, asked for by the official client."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from freehold.features import Caller
from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.script import Act
from freehold.identity.callers import KeyTable
from freehold.server.batches import desk, runner
from support.batches import ended, jsonl
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.openai_schema import fits


def config(fake: FakeRuntime, kind: str = "local", more: str = "") -> str:
    embeds = deployment_toml("box", "small-embed", "fake-embed", abilities="{ embeddings = true, chat = false }")
    return NO_ENGINE + runtime_toml("box", kind, base_url(fake)) + deployment_toml("box", "m", "fake-chat") + embeds + more


def line(custom_id: str, say: str = "hi", **more: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": f"[[fake: say={say}]]"}], **more.pop("body", {})}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **more}


async def begin(client: openai.AsyncOpenAI, data: bytes, endpoint: Any = "/v1/chat/completions") -> Any:
    file = await client.files.create(file=("work.jsonl", data), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"for": "test"}
    )


async def stood_back(served: Served) -> None:
    """Until a line waits for somebody else's answer."""
    async with asyncio.timeout(30):
        while True:
            if served.app.batches._in_flight._waiting:
                return
            await asyncio.sleep(0.01)


async def results(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    content = await client.files.content(file_id)
    return [json.loads(one) for one in content.content.splitlines()]


async def test_a_batch_from_its_file_to_its_results(serve: Serve, fake: FakeRuntime, tmp_path: Path):
    served = await serve(config(fake))
    client = served.openai()
    batch = await begin(client, jsonl(line("a", "one"), line("b", "two"), line("c", body={"model": "nobody-knows"})))
    assert (batch.status, batch.metadata) == ("validating", {"for": "test"})
    fits("Batch", msgspec.json.decode(batch.model_dump_json(exclude_unset=True)))
    batch = await ended(client, batch.id)
    fits("Batch", msgspec.json.decode(batch.model_dump_json(exclude_unset=True)))
    assert (batch.status, batch.request_counts.model_dump()) == ("completed", {"completed": 2, "failed": 1, "total": 3})
    said = {one["custom_id"]: one for one in await results(client, batch.output_file_id)}
    assert {key: one["response"]["body"]["choices"][0]["message"]["content"] for key, one in said.items()} == {
        "a": "one",
        "b": "two",
    }
    assert said["a"]["error"] is None
    [wrong] = await results(client, batch.error_file_id)
    assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("c", 404)
    assert wrong["response"]["body"]["error"]["code"] == "model_not_found"
    rows = served.rows()
    assert [(row.operation, row.session) for row in rows] == [("chat", batch.id)] * 3
    assert {one["response"]["request_id"] for one in [*said.values(), wrong]} == {row.request_id for row in rows}
    for path in (tmp_path / "batches").iterdir():
        assert path.stat().st_mode & 0o077 == 0


async def test_responses_run_as_batches_too_and_files_of_windows_are_read(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake))).openai()
    asked = {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "[[fake: say=four]]"}}
    data = b"\xef\xbb\xbf" + jsonl(asked).replace(b"\n", b"\r\n")
    batch = await ended(client, (await begin(client, data, "/v1/responses")).id)
    [one] = await results(client, batch.output_file_id)
    fits("Response", one["response"]["body"])
    assert one["response"]["body"]["output"][0]["content"][0]["text"] == "four"


async def test_embeddings_run_as_batches_too(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake))).openai()
    asked = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"model": "small-embed", "input": ["a", "b"]}}
    batch = await ended(client, (await begin(client, jsonl(asked), "/v1/embeddings")).id)
    [one] = await results(client, batch.output_file_id)
    assert len(one["response"]["body"]["data"]) == 2


async def test_files_are_listed_in_pages_and_deleted(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake))).openai()
    assert (await client.files.list()).data == []
    for name in ("one.jsonl", "../../two.jsonl"):
        await client.files.create(file=(name, io.BytesIO(jsonl(line("a")))), purpose="batch")
    page = await client.files.list(limit=1)
    assert ([one.filename for one in page.data], page.has_more) == (["two.jsonl"], True)
    everything = [one async for one in client.files.list(limit=1)]
    assert [one.filename for one in everything] == ["two.jsonl", "one.jsonl"]
    fits("OpenAIFile", msgspec.json.decode(everything[0].model_dump_json(exclude_unset=True)))
    deleted = await client.files.delete(everything[0].id)
    assert deleted.deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(everything[0].id)


async def test_a_cursor_that_is_no_place_in_a_list_is_refused(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake))).openai()
    for cursor in ("no-such-id", "file-abc123", "batch_abc123", "a" * 5000):  # also while there is nothing to list
        for asked in (client.files.list(after=cursor), client.batches.list(after=cursor)):
            with pytest.raises(openai.BadRequestError) as refused:
                await asked
            assert (refused.value.param, refused.value.code) == ("after", None)
    one, two = [await begin(client, jsonl(line("a"))) for _ in range(2)]
    assert [batch.id async for batch in client.batches.list(limit=1)] == [two.id, one.id]
    for asked in (client.files.list(after=one.id), client.batches.list(after=one.input_file_id), client.batches.list(limit=101)):
        with pytest.raises(openai.BadRequestError):
            await asked


async def test_files_can_be_deleted_while_they_are_paged_through(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake))).openai()
    for _ in range(5):
        await client.files.create(file=("work.jsonl", jsonl(line("a"))), purpose="batch")
    async for file in client.files.list(limit=2):  # each page is asked for behind a file that is gone by then
        await client.files.delete(file.id)
    assert (await client.files.list()).data == []


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (jsonl(line("a"), line("a")), "duplicate_custom_id"),
        (jsonl(line("a", url="/v1/embeddings")), "mismatched_url"),
        (jsonl(line("a", body={"stream": True})), "invalid_request"),
        (jsonl(line("a", method="GET")), "invalid_method"),
        (jsonl(line("")), "invalid_custom_id"),
        (b'{"custom_id": "a"}\n', "invalid_json_line"),
        (b"not json\n", "invalid_json_line"),
        (b"\n\n", "empty_file"),
    ],
)
async def test_a_file_with_a_bad_line_runs_nothing_and_says_which(serve: Serve, fake: FakeRuntime, lines: bytes, code: str):
    client = (await serve(config(fake))).openai()
    batch = await ended(client, (await begin(client, lines)).id)
    assert (batch.status, [error.code for error in batch.errors.data]) == ("failed", [code])
    assert not fake.journal


async def test_what_others_left_is_not_there(serve: Serve, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    served = await serve(config(fake))
    client = served.openai()
    batch = await begin(client, jsonl(line("a")))
    await ended(client, batch.id)
    monkeypatch.setattr(served.app.intake, "identify", lambda *_: Caller(key="other", user="other"))
    with pytest.raises(openai.BadRequestError):
        await client.batches.list(after=batch.id)
    for ask in (
        client.files.retrieve(batch.input_file_id),
        client.files.content(batch.input_file_id),
        client.files.delete(batch.input_file_id),
        client.batches.retrieve(batch.id),
        client.batches.cancel(batch.id),
        client.batches.create(input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            await ask
    assert (await client.files.list()).data == (await client.batches.list()).data == []


async def test_a_line_stays_below_the_ceiling_its_batch_was_made_with(serve: Serve, fake: FakeRuntime):
    client = (await serve(config(fake, "vendor"))).openai(default_headers={"x-freehold-ceiling": "local"})
    batch = await ended(client, (await begin(client, jsonl(line("a")))).id)
    [one] = await results(client, batch.error_file_id)
    assert one["response"]["status_code"] == 403
    assert not fake.journal


async def test_a_batch_stands_back_while_somebody_waits_for_its_runtime(serve: Serve):
    def script(received: Any) -> Act | None:
        return Act(stall="mid") if b"hold the line" in received.body else None

    runtime = FakeRuntime(script)
    await runtime.start()
    try:
        served = await serve(config(runtime))
        client = served.openai()
        waiting = asyncio.get_running_loop().create_task(
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hold the line"}], stream=True)
        )
        await runtime.received(1)
        batch = await begin(client, jsonl(line("a")))
        await stood_back(served)
        assert len(runtime.journal) == 1, "no line begins while somebody waits"
        stream = await waiting
        await stream.close()
        assert (await ended(client, batch.id)).status == "completed"
    finally:
        await runtime.stop()


async def test_a_line_that_cannot_be_served_now_is_tried_again(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "FIRST_WAIT_S", 0.01)
    runtime = FakeRuntime([Act(status=503), Act()])
    await runtime.start()
    try:
        client = (await serve(config(runtime))).openai()
        batch = await ended(client, (await begin(client, jsonl(line("a")))).id)
        assert batch.request_counts.completed == 1
        assert len(runtime.journal) == 2
    finally:
        await runtime.stop()


async def test_a_cancelled_batch_keeps_what_it_has(serve: Serve):
    runtime = FakeRuntime([Act(), Act(), Act(stall="before-headers"), Act(stall="before-headers")])
    await runtime.start()
    try:
        client = (await serve(config(runtime))).openai()
        batch = await begin(client, jsonl(*[line(f"l{number}") for number in range(6)]))
        await runtime.received(4)
        running = await client.batches.retrieve(batch.id)
        assert (running.status, running.output_file_id, running.error_file_id) == ("in_progress", None, None), "not whole yet"
        cancelling = await client.batches.cancel(batch.id)
        assert cancelling.status == "cancelling"
        with pytest.raises(openai.BadRequestError, match="cancel the batch first"):
            await client.files.delete(batch.input_file_id)
        for connection in list(runtime.connections):
            connection.abort()
        batch = await ended(client, batch.id)
        said = await results(client, batch.output_file_id)
        assert (batch.status, batch.request_counts.completed) == ("cancelled", len(said))
        assert 2 <= len(said) <= 4, "what was done is kept, what was under way may end, nothing begins"
        with pytest.raises(openai.BadRequestError, match="cancelled already"):
            await client.batches.cancel(batch.id)
        assert (await client.files.delete(batch.input_file_id)).deleted
    finally:
        await runtime.stop()


async def test_a_batch_that_is_late_ends_with_what_it_has(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    client = served.openai()
    now_ms = served.app.desk.now_ms
    served.app.desk.now_ms = lambda: now_ms() - 25 * 3600 * 1000
    file = await client.files.create(file=("w.jsonl", jsonl(line("a"), line("b"))), purpose="batch")
    await served.app.batches.stop()
    batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    served.app.desk.now_ms = now_ms
    served.app.batches.start()
    batch = await ended(client, batch.id)
    assert (batch.status, batch.output_file_id) == ("expired", None)
    assert [one["error"]["code"] for one in await results(client, batch.error_file_id)] == ["batch_expired"] * 2
    assert not fake.journal


async def test_a_line_that_was_under_way_at_a_stop_is_asked_again(serve: Serve):
    runtime = FakeRuntime([Act(stall="mid"), Act(), Act()])
    await runtime.start()
    try:
        served = await serve(config(runtime))
        client = served.openai()
        batch = await begin(client, jsonl(line("a"), line("b")))
        await runtime.received(2)
        await served.app.batches.stop()
        assert (await client.batches.retrieve(batch.id)).status == "in_progress"
        served.app.batches.start()
        batch = await ended(client, batch.id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 2)
        assert sorted(one["custom_id"] for one in await results(client, batch.output_file_id)) == ["a", "b"]
    finally:
        await runtime.stop()


async def test_a_batch_ends_with_the_key_it_was_made_with(serve: Serve, fake: FakeRuntime):
    keyed = config(fake).replace(NO_ENGINE, f'[server]\napi_key = "env:KEY"\n{NO_ENGINE}')
    served = await serve(keyed, environ={"KEY": "the-first-key-of-all"})
    client = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="the-first-key-of-all", max_retries=0)
    served.clients.append(client)
    file = await client.files.create(file=("w.jsonl", jsonl(line("a"))), purpose="batch")
    await served.app.batches.stop()
    batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    served.app.intake.snapshot = msgspec.structs.replace(served.app.intake.snapshot, keys=KeyTable())
    served.app.batches.start()
    async with asyncio.timeout(30):
        while True:
            row = await served.app.desk.ask(lambda store: store.batch(batch.id, Caller(key="server")))
            if row.is_over:
                break
            await asyncio.sleep(0.02)
    assert not fake.journal
    assert {(row.outcome, row.fault) for row in served.rows()} == {("failed", "unauthenticated")}


async def test_what_one_caller_may_keep_is_bounded(serve: Serve, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    client = (await serve(config(fake))).openai()
    monkeypatch.setattr(desk, "MOST_FILES", 2)
    for _ in range(2):
        await client.files.create(file=("w.jsonl", b"{}"), purpose="batch")
    with pytest.raises(openai.APIStatusError, match="delete some") as caught:
        await client.files.create(file=("w.jsonl", b"{}"), purpose="batch")
    assert caught.value.status_code == 413


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3600}}, "output_expires_after"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused_by_the_field(serve: Serve, fake: FakeRuntime, asked: dict[str, Any], param: str):
    client = (await serve(config(fake))).openai()
    said: dict[str, Any] = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h", **asked}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.batches.create(**said)
    assert caught.value.param == param


@pytest.mark.parametrize("purpose", ["assistants", "fine-tune"])
async def test_files_are_kept_for_batches_only(serve: Serve, fake: FakeRuntime, purpose: Any):
    client = (await serve(config(fake))).openai()
    with pytest.raises(openai.BadRequestError):
        await client.files.create(file=("x.jsonl", b"{}"), purpose=purpose)


@pytest.mark.engine
async def test_a_batch_on_the_embedded_engine(serve: Serve, home_with_weights: Path):
    served: Served = await serve("", home=home_with_weights)
    await served.app.engines.ready()
    client = served.openai(timeout=120)
    lines: Sequence[dict[str, Any]] = [
        {
            "custom_id": f"l{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "auto",
                "max_tokens": 8,
                "temperature": 0,
                "messages": [{"role": "user", "content": f"Say {number}"}],
            },
        }
        for number in range(3)
    ]
    batch = await ended(client, (await begin(client, jsonl(*lines))).id)
    assert batch.request_counts.completed == 3
    said = await results(client, batch.output_file_id)
    assert all(one["response"]["body"]["usage"]["completion_tokens"] > 0 for one in said)
    assert {row.egress for row in served.rows()} == {"local"}
