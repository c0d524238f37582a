"""What a vendor's Batch API is sent, and what of its answers is taken for one."""

import json

import pytest

from freehold.fault import FaultError, Kind
from freehold.wire import batch_client
from freehold.wire.batch_client import Answered
from freehold.wire.multipart import read_form


@pytest.mark.parametrize("data", [b'{"a": 1}\n', b"", b"x\r\n--freehold-relay_1\r\ny", b"freehold-relay_1 freehold-relay_1-1"])
def test_an_upload_is_a_form_that_can_be_read_in_one_way(data: bytes):
    content_type, body = batch_client.write_upload("relay_1.jsonl", data)
    form = read_form(body, content_type)
    part = form.find("file")
    assert part is not None
    assert (form.text("purpose"), part.filename, body[part.start : part.end]) == ("batch", "relay_1.jsonl", data)


def test_a_line_keeps_the_bytes_of_its_body():
    body = b'{"model":"m",  "n": 1.50, "x":"\\u00e4"}'
    line = batch_client.write_line("req_1", "/v1/chat/completions", body)
    assert (body in line, line.count(b"\n")) == (True, 1)
    assert json.loads(line)["custom_id"] == "req_1"


def test_what_makes_a_batch_names_it_so_that_it_is_found_again():
    made = json.loads(batch_client.write_batch_request("file-1", "/v1/responses", "relay_1"))
    assert made == {
        "input_file_id": "file-1",
        "endpoint": "/v1/responses",
        "completion_window": "24h",
        "metadata": {"freehold_batch": "relay_1"},
    }


@pytest.mark.parametrize(
    ("status", "is_over"),
    [("validating", False), ("finalizing", False), ("cancelling", False), ("SOMETHING", False)]
    + [(one, True) for one in ("completed", "failed", "expired", "cancelled")],
)
def test_only_a_state_that_is_documented_as_the_last_one_ends_a_batch(status: str, is_over: bool):
    state = batch_client.read_state(json.dumps({"id": "batch_1", "status": status, "metadata": {"freehold_batch": 3}}).encode())
    assert (state.is_over, state.own_id) == (is_over, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"{}", b'{"id": 3, "status": "completed"}', b'{"data": {}}'])
def test_what_is_no_answer_of_that_api_is_a_fault_that_repeats_nothing_of_it(body: bytes):
    for read in (batch_client.read_file, batch_client.read_files, batch_client.read_state, batch_client.read_states):
        with pytest.raises(FaultError) as caught:
            read(body)
        assert (caught.value.fault.kind, "html" in caught.value.fault.message) == (Kind.INVALID_REPLY, False)


@pytest.mark.parametrize(
    ("line", "answered"),
    [
        (b'{"custom_id":"a","response":{"status_code":200,"body":{"x": 1.0}},"error":null}', Answered("a", 200, b'{"x": 1.0}')),
        (b'{"custom_id":"a","response":{"status_code":429,"body":null}}', Answered("a", 429, b"null")),
        (b'{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}', Answered("a", None)),
        (b'{"custom_id":"a","response":{"status_code":0}}', Answered("a", None)),
        (b'{"custom_id":"a","response":{"status_code":20', None),
        (b'{"response":null}', None),
        (b"[]", None),
    ],
)
def test_lines_of_results(line: bytes, answered: Answered | None):
    assert batch_client.read_answered(line) == answered
