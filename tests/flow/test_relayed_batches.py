"""Batches whose lines a vendor's own Batch API does, through the whole gateway, asked for by the official client."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.config import read_config
from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.batches import BatchAct
from freehold.gateways.fake.script import Act
from freehold.runtime import Egress
from freehold.server.batches import following, gathering, runner
from freehold.server.batches.gathering import Gatherer
from freehold.server.batches.vendor_calls import VendorCalls
from support.gateway import Serve, Served, base_url, deployment_toml, runtime_toml
from support.openai_schema import fits
from support.relayed_batches import PRICE, begin, budget_toml, calls, cost_of, ended, line, relay_config, results

KEY = {"VENDOR_KEY": "the-vendors-own-secret-key"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(runner, "FIRST_WAIT_S", 0.01)


@pytest.fixture
async def vendor() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(api_key=KEY["VENDOR_KEY"])
    await runtime.start()
    yield runtime
    await runtime.stop()


async def test_all_lines_go_as_one_batch_of_the_vendor_and_cost_its_price(serve: Serve, vendor: FakeRuntime, tmp_path: Path):
    vendor.batches.act = BatchAct(looks=3, backwards=True)
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await begin(client, *[line(f"l{number}") for number in range(5)], metadata={"for": "test"})
    batch = await ended(client, batch.id)
    fits("Batch", msgspec.json.decode(batch.model_dump_json(exclude_unset=True)))
    assert (batch.status, batch.request_counts.model_dump()) == ("completed", {"completed": 5, "failed": 0, "total": 5})
    said = await results(client, batch.output_file_id)
    assert {key: one["response"]["body"]["model"] for key, one in said.items()} == {f"l{number}": "m" for number in range(5)}
    assert all(f"this is line {key}" in json.dumps(one["response"]["body"]["choices"]) for key, one in said.items())
    assert calls(vendor) == [
        *("POST /files", "POST /batches", "GET /files/file-fake8/content"),
        *("DELETE /files/file-fake1", "DELETE /files/file-fake8"),
    ]
    assert vendor.batches.files == {}, "nothing of it is left there"
    assert {one.body["model"] for one in vendor.batches.done} == {"fake-echo"}
    assert not {one.custom_id for one in vendor.batches.done} & set(said), "the client's own ids stay here"
    assert [path.name for path in (tmp_path / "batches").iterdir() if path.name.startswith("relay")] == []
    rows = served.rows()
    assert {(row.session, row.outcome, row.runtime, row.cost_basis) for row in rows} == {(batch.id, "served", "acme", "metered")}
    paid = cost_of([one.usage for one in vendor.batches.done])
    assert sum(row.cost_nano_usd for row in rows) == paid > 0
    await served.app.budgets.idle()
    [account] = (await served.app.budgets.standings(("",))).values()
    assert (account.spent, account.reserved) == (paid, 0)
    assert {one["response"]["request_id"] for one in said.values()} == {row.request_id for row in rows}
    detail = served.last()
    assert (detail.attempts[0].mode, detail.attempts[0].end, detail.attempts[0].status) == ("relay", "served", 200)
    assert "Batch API" in detail.request.reason


async def test_lines_for_elsewhere_are_asked_one_by_one_beside_them(serve: Serve, vendor: FakeRuntime, fake: FakeRuntime):
    box = runtime_toml("box", "local", base_url(fake)) + deployment_toml("box", "here", "fake-chat")
    plain = runtime_toml("other", "vendor", base_url(vendor), api_key='"env:VENDOR_KEY"') + deployment_toml(
        "other", "alone", "fake-chat"
    )
    served = await serve(relay_config(vendor, box + plain), environ=KEY)
    client = served.openai()
    lines = [line("away"), line("here", model="here"), line("alone", model="alone"), line("dear", service_tier="priority")]
    batch = await ended(client, (await begin(client, *lines, line("none", model="nobody"))).id)
    assert batch.request_counts.model_dump() == {"completed": 4, "failed": 1, "total": 5}
    assert set(await results(client, batch.output_file_id)) == {"away", "here", "alone", "dear"}
    assert [one.body["messages"][0]["content"] for one in vendor.batches.done] == ["this is line away"]
    assert calls(vendor).count("POST /chat/completions") == 2
    assert len(fake.journal) == 1
    assert len(served.rows()) == 5, "a line that is only looked at leaves no row"


async def test_responses_are_handed_on_too(serve: Serve, vendor: FakeRuntime):
    client = (await serve(relay_config(vendor), environ=KEY)).openai()
    asked = {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "[[fake: say=four]]"}}
    batch = await ended(client, (await begin(client, asked, endpoint="/v1/responses")).id)
    said = await results(client, batch.output_file_id)
    fits("Response", said["r"]["response"]["body"])
    assert (said["r"]["response"]["body"]["model"], len(vendor.batches.done)) == ("m", 1)


async def test_embeddings_are_handed_on_too_and_several_batches_are_made_of_many(
    serve: Serve, vendor: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gathering, "MOST_SENT_INPUTS", 3)
    embeds = deployment_toml(
        "acme", "e", "fake-embed", abilities="{ embeddings = true, chat = false, context = 8000 }", price=PRICE
    )
    rules = '[[rules]]\nname = "ours"\ntry = ["vendor"]\n'  # those that stand there by themselves keep embeddings here
    served = await serve(relay_config(vendor, embeds + rules + budget_toml(1.0)), environ=KEY)
    client = served.openai()
    asked = {"method": "POST", "url": "/v1/embeddings", "body": {"model": "e", "input": ["a text", "another one"]}}
    lines = [{"custom_id": f"e{number}", **asked} for number in range(5)]
    batch = await ended(client, (await begin(client, *lines, endpoint="/v1/embeddings")).id)
    said = await results(client, batch.output_file_id)
    assert {(one["response"]["body"]["model"], len(one["response"]["body"]["data"])) for one in said.values()} == {("e", 2)}
    assert (len(said), len(vendor.batches.done), len(vendor.batches.batches)) == (5, 5, 3)
    assert {row.operation for row in served.rows()} == {"embeddings"}
    await settled(served, sum(one.usage["prompt_tokens"] * 1000 for one in vendor.batches.done))


async def test_a_line_that_the_vendor_refuses_has_its_error_and_costs_nothing(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(errors={1: 400})
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await ended(client, (await begin(client, line("a"), line("b"))).id)
    assert batch.request_counts.model_dump() == {"completed": 1, "failed": 1, "total": 2}
    wrong = (await results(client, batch.error_file_id))["b"]
    assert wrong["response"]["status_code"] == 400
    assert wrong["response"]["body"]["error"]["type"] == "invalid_request_error"
    await settled(served, cost_of([vendor.batches.done[0].usage]))
    assert "POST /chat/completions" not in calls(vendor)


@pytest.mark.parametrize("act", [BatchAct(errors={1: 500}), BatchAct(left_out=frozenset({1})), BatchAct(ends="expired", done=1)])
async def test_a_line_without_an_answer_is_asked_by_itself(serve: Serve, vendor: FakeRuntime, act: BatchAct):
    vendor.batches.act = act
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await ended(client, (await begin(client, line("a"), line("b"))).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 2)
    assert calls(vendor).count("POST /chat/completions") == 1
    rows = {row.outcome: row for row in served.rows()[:2]}
    lost = next(row for row in served.rows() if row.outcome == "failed")
    assert rows["served"].session == batch.id
    if act.left_out:
        assert (lost.cost_basis, lost.cost_nano_usd > 0) == ("estimated", True), "nobody can say, so it is what was reserved"
    else:
        assert lost.cost_nano_usd == 0, "vendors do not charge for it"
    await settled(served, sum(row.cost_nano_usd for row in served.rows()))


async def test_a_batch_that_the_vendor_will_not_have_is_done_line_by_line(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(ends="failed")
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await ended(client, (await begin(client, line("a"), line("b"))).id)
    assert (batch.status, batch.request_counts.completed, len(vendor.batches.done)) == ("completed", 2, 0)
    assert vendor.batches.files == {}
    await settled(served, sum(row.cost_nano_usd for row in served.rows() if row.outcome == "served"))


async def test_what_a_vendor_lost_is_charged_as_reserved_and_asked_by_itself(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(looks=10_000)
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await begin(client, line("a"))
    await handed_on(vendor)
    vendor.batches.batches.clear()
    batch = await ended(client, batch.id)
    assert (batch.request_counts.completed, calls(vendor).count("POST /chat/completions")) == (1, 1)
    lost = next(row for row in served.rows() if row.outcome == "failed")
    assert (lost.cost_basis, "lost there" in lost.reason, vendor.batches.files) == ("estimated", True, {})
    await settled(served, sum(row.cost_nano_usd for row in served.rows()))


async def test_a_vendor_that_says_when_to_ask_again_is_asked_then(serve: Serve):
    def script(received: Any) -> Act | None:
        asks = [one.path for one in runtime.journal].count(received.path)
        return Act(status=429, retry_after="1") if "/batches/" in received.path and asks == 1 else None

    runtime = FakeRuntime(script)
    await runtime.start()
    try:
        client = (await serve(relay_config(runtime), environ=KEY)).openai()
        assert (await ended(client, (await begin(client, line("a"))).id)).request_counts.completed == 1
        first, second = [one.at_s for one in runtime.journal if "/batches/" in one.path]
        assert second - first >= 0.99
    finally:
        await runtime.stop()


async def test_a_vendor_without_that_api_is_asked_line_by_line(serve: Serve):
    def script(received: Any) -> Act | None:
        return Act(status=404) if "/files" in received.path else None

    runtime = FakeRuntime(script)
    await runtime.start()
    try:
        client = (await serve(relay_config(runtime), environ=KEY)).openai()
        batch = await ended(client, (await begin(client, line("a"), line("b"))).id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 2)
    finally:
        await runtime.stop()


async def test_a_cancelled_batch_is_cancelled_there_and_keeps_what_was_done(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(looks=10_000, done=2)
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await begin(client, *[line(f"l{number}") for number in range(4)])
    await handed_on(vendor)
    running = await client.batches.retrieve(batch.id)
    assert (running.status, running.request_counts.total) == ("in_progress", 4)
    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    batch = await ended(client, batch.id)
    assert (batch.status, batch.request_counts.model_dump()) == ("cancelled", {"completed": 2, "failed": 0, "total": 4})
    assert next(iter(vendor.batches.batches.values())).status == "cancelled"
    assert set(await results(client, batch.output_file_id)) == {"l0", "l1"}
    assert "POST /chat/completions" not in calls(vendor)
    await settled(served, cost_of([one.usage for one in vendor.batches.done]))


async def test_a_late_batch_ends_with_what_the_vendor_did_by_then(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(looks=10_000, done=1)
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await begin(client, line("a"), line("b"))
    await handed_on(vendor)
    now_ms = served.app.desk.now_ms
    served.app.desk.now_ms = lambda: now_ms() + 24 * 3600 * 1000 + 60_000
    batch = await ended(client, batch.id)
    assert (batch.status, batch.request_counts.completed) == ("expired", 1)
    late = (await results(client, batch.error_file_id))["b"]
    assert (late["error"]["code"], late["response"]) == ("batch_expired", None)
    await settled(served, cost_of([one.usage for one in vendor.batches.done]))


async def test_a_line_that_no_budget_pays_for_is_told_so(serve: Serve, vendor: FakeRuntime):
    # Each line may cost some 200 + 50 x 2 micro-USD at most; a call of its own ten times that.
    served = await serve(relay_config(vendor, budget_toml(0.0005, over='"refuse"', wait_s="0.0")), environ=KEY)
    client = served.openai()
    batch = await ended(client, (await begin(client, *[line(f"l{number}") for number in range(6)])).id)
    done = {one.custom_id for one in vendor.batches.done}
    assert 1 <= len(done) < 6
    wrong = await results(client, batch.error_file_id)
    assert {one["response"]["status_code"] for one in wrong.values()} == {402}
    assert (batch.status, batch.request_counts.completed, len(wrong)) == ("completed", len(done), 6 - len(done))
    await settled(served, cost_of([one.usage for one in vendor.batches.done]))


async def test_nothing_is_handed_on_above_the_ceiling_of_the_batch(serve: Serve, vendor: FakeRuntime):
    client = (await serve(relay_config(vendor), environ=KEY)).openai(default_headers={"x-freehold-ceiling": "local"})
    batch = await ended(client, (await begin(client, line("a"))).id)
    assert (await results(client, batch.error_file_id))["a"]["response"]["status_code"] == 403
    assert not vendor.journal


async def test_while_nothing_may_leave_the_batch_waits(serve: Serve, vendor: FakeRuntime, monkeypatch: pytest.MonkeyPatch):
    vendor.batches.act = BatchAct(looks=10_000)
    served = await serve(relay_config(vendor), environ=KEY)
    client = served.openai()
    batch = await begin(client, line("a"))
    await handed_on(vendor)
    tried: list[Egress] = []
    monkeypatch.setattr(following, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(served.app._connector, "server_ceiling", Egress.LOCAL)
    ask = VendorCalls.state

    async def asked(calls: VendorCalls, batch_id: str) -> Any:
        tried.append(served.app._connector.server_ceiling)
        return await ask(calls, batch_id)

    monkeypatch.setattr(VendorCalls, "state", asked)
    await until(lambda: bool(tried))
    before, count = await still(vendor), len(tried)
    await until(lambda: len(tried) > count + 3)
    assert len(vendor.journal) == before, "it was tried, and nothing left"
    vendor.batches.act = BatchAct()
    monkeypatch.setattr(served.app._connector, "server_ceiling", Egress.VENDOR)
    assert (await ended(client, batch.id)).request_counts.completed == 1


async def test_what_was_gathered_and_may_not_leave_any_more_is_done_by_what_is_allowed(
    serve: Serve, vendor: FakeRuntime, fake: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    box = runtime_toml("box", "local", base_url(fake)) + deployment_toml("box", "m", "fake-chat")
    prefers = '[[rules]]\nname = "far"\nwhen = { hints = { batch = "*" } }\ntry = ["vendor", "local"]\n'
    text = "[discovery]\nlocal = false\n" + relay_config(vendor, box + prefers + budget_toml(1.0))
    served = await serve(text, environ=KEY)
    gather = Gatherer.gather

    async def gathered(gatherer: Gatherer, work: Any) -> Any:
        found = await gather(gatherer, work)
        assert len(found) == 1
        home = {"HOME": str(tmp_path), "FREEHOLD_HOME": str(tmp_path)}
        served.app.rebase(read_config('[egress]\nceiling = "local"\n' + text, {**home, **KEY}, None))
        return found

    monkeypatch.setattr(Gatherer, "gather", gathered)
    client = served.openai()
    batch = await ended(client, (await begin(client, line("a"), line("b"))).id)
    assert (batch.request_counts.completed, len(fake.journal), vendor.journal) == (2, 2, [])
    await settled(served, 0)
    unsent = [row for row in served.rows() if row.outcome == "failed"]
    assert [(row.cost_nano_usd, "not made" in row.reason) for row in unsent] == [(0, True)] * 2


async def test_a_vendor_that_keeps_its_files_holds_no_batch_up(serve: Serve, capfd: pytest.CaptureFixture[str]):
    runtime = FakeRuntime(lambda received: Act(status=500) if received.method == "DELETE" else None)
    await runtime.start()
    try:
        client = (await serve(relay_config(runtime), environ=KEY)).openai()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(following, "GROWTH", 1.0)
            batch = await ended(client, (await begin(client, line("a"))).id)
        assert batch.request_counts.completed == 1
        written = "".join(capfd.readouterr())
        assert "batch.files_left" in written
        assert "file-fake1" in written
    finally:
        await runtime.stop()


async def test_a_key_or_a_line_is_in_no_log(serve: Serve, vendor: FakeRuntime, capfd: pytest.CaptureFixture[str]):
    def script(received: Any) -> Act | None:
        return Act(status=500) if received.path.startswith("/v1/batches") and len(vendor_like.journal) < 6 else None

    vendor_like = FakeRuntime(script)
    await vendor_like.start()
    try:
        client = (await serve(relay_config(vendor_like), environ=KEY)).openai()
        batch = await ended(client, (await begin(client, line("a"))).id)
        assert batch.request_counts.completed == 1
        written = "".join(capfd.readouterr())
        assert "batch.vendor_waits" in written
        assert "this is line" not in written
        assert KEY["VENDOR_KEY"] not in written
    finally:
        await vendor_like.stop()


async def test_a_stopped_server_goes_on_with_the_same_batch_of_the_vendor(serve: Serve, vendor: FakeRuntime):
    vendor.batches.act = BatchAct(looks=10_000)
    served = await serve(relay_config(vendor, budget_toml(1.0)), environ=KEY)
    client = served.openai()
    batch = await begin(client, line("a"), line("b"))
    await handed_on(vendor)
    await served.app.batches.stop()
    vendor.batches.act = BatchAct()
    served.app.batches.start()
    batch = await ended(client, batch.id)
    assert (batch.request_counts.completed, len(vendor.batches.done), len(vendor.batches.batches)) == (2, 2, 1)
    await settled(served, cost_of([one.usage for one in vendor.batches.done]))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - there is no event for it, only what the test looks at
            await asyncio.sleep(0.005)


async def handed_on(vendor: FakeRuntime) -> None:
    """Until a batch of the vendor was looked at."""
    await until(lambda: any(one.looks for one in vendor.batches.batches.values()))


async def still(vendor: FakeRuntime) -> int:
    """How many calls there were, once no answer is under way."""
    await until(lambda: all(one.answered_s is not None for one in vendor.journal))
    return len(vendor.journal)


async def settled(served: Served, nano_usd: int) -> None:
    """The account holds exactly that, and nothing is reserved."""
    await served.app.budgets.idle()
    [account] = (await served.app.budgets.standings(("",))).values()
    assert (account.spent, account.reserved) == (nano_usd, 0)
