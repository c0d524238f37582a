"""The fake's Batch API refuses what OpenAI's does; else no test through it would prove anything."""

import json
from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.fake.batches import BatchAct, FakeBatches
from freehold.gateways.fake.stage import Send
from freehold.wire.batch_client import write_batch_request, write_line, write_upload

URL = "/v1/chat/completions"
ANSWER = b'{"model":"m","usage":{"prompt_tokens":1}}'


def made() -> FakeBatches:
    return FakeBatches(lambda _url, _body: (200, ANSWER))


def ask(fake: FakeBatches, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> Any:
    [sent] = fake.answer(method, f"/v1{path}", content_type, body)
    assert isinstance(sent, Send)
    said = sent.data.partition(b"\r\n\r\n")[2]
    return said if path.endswith("/content") else msgspec.json.decode(said)


def begun(fake: FakeBatches, data: bytes) -> str:
    content_type, body = write_upload("relay.jsonl", data)
    file_id = ask(fake, "POST", "/files", body, content_type)["id"]
    batch_id: str = ask(fake, "POST", "/batches", write_batch_request(file_id, URL, "own"))["id"]
    return batch_id


def line(custom_id: str, model: str = "m", url: str = URL) -> bytes:
    return write_line(custom_id, url, json.dumps({"model": model}).encode())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (line("a") + line("a"), "duplicate_custom_id"),
        (line("a") + line("b", "n"), "mismatched_model"),
        (line("a", url="/v1/embeddings"), "invalid_url"),
        (b"{}\n", "invalid_json_line"),
        (b"", "empty_file"),
    ],
)
def test_a_wrong_file_fails_the_batch_and_does_none_of_it(data: bytes, code: str):
    fake = made()
    told = ask(fake, "GET", f"/batches/{begun(fake, data)}")
    assert (told["status"], told["errors"]["data"][0]["code"], fake.done) == ("failed", code, [])


def test_a_batch_goes_on_each_time_it_is_looked_at():
    fake = made()
    fake.act = BatchAct(looks=2, errors={0: 400}, left_out=frozenset({1}), backwards=True)
    batch_id = begun(fake, b"".join(map(line, "abcd")))
    assert ask(fake, "GET", f"/batches/{batch_id}")["status"] == "in_progress"
    told = ask(fake, "GET", f"/batches/{batch_id}")
    assert (told["status"], told["request_counts"]) == ("completed", {"total": 4, "completed": 2, "failed": 1})
    output = ask(fake, "GET", f"/files/{told['output_file_id']}/content").splitlines()
    assert [json.loads(one)["custom_id"] for one in output] == ["d", "c"]
    assert [one.custom_id for one in fake.done] == ["a", "b", "c", "d"]
    assert ask(fake, "GET", "/batches?limit=1")["data"][0]["metadata"] == {"freehold_batch": "own"}


def test_a_cancelled_batch_keeps_what_was_done():
    fake = made()
    fake.act = BatchAct(looks=9, done=1)
    batch_id = begun(fake, line("a") + line("b"))
    assert ask(fake, "POST", f"/batches/{batch_id}/cancel")["status"] == "cancelling"
    assert ask(fake, "GET", f"/batches/{batch_id}")["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    with pytest.raises(FaultError, match="Cannot cancel"):
        ask(fake, "POST", f"/batches/{batch_id}/cancel")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/files/no"), ("DELETE", "/files/no"), ("GET", "/files/no/content"), ("GET", "/batches/no"), ("PUT", "/batches")],
)
def test_what_is_not_there_is_not_found(method: str, path: str):
    with pytest.raises(FaultError) as caught:
        ask(made(), method, path)
    assert caught.value.fault.kind is Kind.NOT_FOUND
