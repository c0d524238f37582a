"""The lines of a batch: what passes, what is told of what does not."""

import json
from collections.abc import Callable

import msgspec
import pytest

from freehold.fault import FaultError
from freehold.wire.batches import (
    LONGEST_LINE_BYTES,
    MOST_ERRORS,
    BatchState,
    Checker,
    LineError,
    read_batch_request,
    read_done,
    write_batch,
    write_expired,
    write_result,
)

URL = "/v1/embeddings"


def line(custom_id: str = "a", **more: object) -> bytes:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": URL, "body": {"model": "m"}, **more}).encode()


def test_good_lines_keep_their_body_bytes():
    checker = Checker(URL, 10)
    read = checker.read(b'{"body" : {"model":"m",  "input":[1.0]}, "custom_id":"x", "method":"POST", "url":"/v1/embeddings"}')
    assert read is not None
    assert (read.custom_id, read.body) == ("x", b'{"model":"m",  "input":[1.0]}')
    assert checker.read(b"  ") is None
    assert (checker.total, checker.errors) == (1, [])


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b'{"custom_id":"a","custom_id":"b","method":"POST","url":"/v1/embeddings","body":{}}', "invalid_json_line", None),
        (line(body=[1]), "invalid_json_line", None),
        (line(body={"stream": "yes"}), "invalid_json_line", "stream"),
        (line(body={"stream": True}), "invalid_request", "body.stream"),
        (line(""), "invalid_custom_id", "custom_id"),
        (line("x" * 257), "invalid_custom_id", "custom_id"),
        (line(method="GET"), "invalid_method", "method"),
        (line(url="/v1/files"), "mismatched_url", "url"),
        (b'{"a":"' + b"x" * LONGEST_LINE_BYTES + b'"}', "line_too_long", None),
    ],
)
def test_a_bad_line_is_told_with_its_number(data: bytes, code: str, param: str | None):
    checker = Checker(URL, 10)
    checker.read(line("first"))
    assert checker.read(data) is None
    [error] = checker.errors
    assert (error.code, error.line, error.param) == (code, 2, param)


def test_errors_and_lines_are_bounded():
    checker = Checker(URL, 3)
    for number in range(10):
        checker.read(line(str(number)))
    assert (checker.total, [error.code for error in checker.errors]) == (3, ["too_many_lines"])
    checker = Checker(URL, 3)
    for _ in range(1000):
        checker.read(b"{")
    assert len(checker.errors) == MOST_ERRORS


def test_results_are_lines_that_are_found_again():
    result = write_result("batch_req_1", 'odd "id"\n', 200, "req_1", b'{"ok": true}')
    assert json.loads(result)["response"] == {"status_code": 200, "request_id": "req_1", "body": {"ok": True}}
    assert result.count(b"\n") == 1
    assert read_done(result) == 'odd "id"\n'
    assert read_done(write_expired("batch_req_2", "b")) == "b"
    for data in (b"", b"{", b"[]", b'{"custom_id": 1}'):
        with pytest.raises(ValueError, match="not a line"):
            read_done(data)


def test_a_batch_is_written_as_openai_has_it(fits_openai: Callable[[str, object], None]):
    state = BatchState(status="failed", failed_ms=5000, errors=(LineError("x", "y", 3, "z"),))
    told = write_batch(
        "batch_1", endpoint=URL, input_file_id="file-1", created_ms=1000, expires_ms=2000, metadata={}, state=state
    )
    fits_openai("Batch", msgspec.json.decode(msgspec.json.encode(told)))
    assert (told["failed_at"], told["metadata"], "output_file_id" in told) == (5, None, False)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"endpoint":"/v1/embeddings","completion_window":"24h"}', "input_file_id"),
        (b'{"input_file_id":"f","endpoint":"/v1/images/generations","completion_window":"24h"}', "endpoint"),
        (b'{"input_file_id":"f","endpoint":"/v1/embeddings","completion_window":"7d"}', "completion_window"),
    ],
)
def test_what_no_batch_can_be_is_told_by_the_field(body: bytes, param: str):
    with pytest.raises(FaultError) as caught:
        read_batch_request(body)
    assert caught.value.fault.param == param
