import json
from typing import Any

import pytest
from anthropic.types.beta_error_response import BetaErrorResponse

from freehold.fault import FAULTS, LASTING, Fault, Kind
from freehold.wire import anthropic_messages as codec


def error(kind: str, message: str, **more: Any) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "details"),
    [
        (400, error("invalid_request_error", "messages: bad"), Kind.UPSTREAM_REJECTED, {}),
        (
            400,
            error("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
            Kind.CONTEXT_OVERFLOW,
            {"prompt_tokens": 250000, "limit_tokens": 200000},
        ),
        (
            400,
            b'{"error":{"message":"too big","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}',
            Kind.CONTEXT_OVERFLOW,
            {"prompt_tokens": 9000, "limit_tokens": 8192},
        ),
        (400, error("invalid_request_error", "Your credit balance is too low to access the API"), Kind.UPSTREAM_AUTH, {}),
        (401, error("authentication_error", "invalid x-api-key"), Kind.UPSTREAM_AUTH, {}),
        (402, error("billing_error", "billing"), Kind.UPSTREAM_AUTH, {}),
        (403, error("permission_error", "no"), Kind.UPSTREAM_AUTH, {}),
        (404, error("not_found_error", "model: claude-x"), Kind.UPSTREAM_MODEL_MISSING, {}),
        (
            404,
            error("not_found_error", "no thread", details={"error_code": "thread_not_found"}),
            Kind.NOT_FOUND,
            {"error_code": "thread_not_found"},
        ),
        (413, error("request_too_large", "too large"), Kind.TOO_LARGE, {}),
        (429, error("rate_limit_error", "slow down"), Kind.RATE_LIMITED, {}),
        (500, error("api_error", "oops"), Kind.UPSTREAM_ERROR, {}),
        (504, error("timeout_error", "late"), Kind.UPSTREAM_ERROR, {}),
        (529, error("overloaded_error", "Overloaded"), Kind.OVERLOADED, {}),
        (200, error("overloaded_error", "Overloaded"), Kind.OVERLOADED, {}),
        (200, error("of_next_year", "?"), Kind.UPSTREAM_ERROR, {}),
        (502, b"<html><body>bad gateway</body></html>", Kind.UPSTREAM_ERROR, {}),
        (422, b'{"detail":"missing"}', Kind.UPSTREAM_REJECTED, {}),
        (500, b"\xff\x00", Kind.UPSTREAM_ERROR, {}),
        (400, b"", Kind.UPSTREAM_REJECTED, {}),
        (400, b"[" * 100_000, Kind.UPSTREAM_REJECTED, {}),
        (400, b'{"error":{"type":3,"message":[],"details":{"a":{},"b":[1],"c":["x"]}}}', Kind.UPSTREAM_REJECTED, {"c": ["x"]}),
    ],
)
def test_what_an_error_answer_means(status: int, body: bytes, kind: Kind, details: dict[str, Any]) -> None:
    fault = codec.read_fault(status, {"retry-after": "7"}, body)
    assert (fault.kind, fault.details, fault.retry_after_s) == (kind, details, 7.0)
    assert fault.message
    assert "<" not in fault.message
    assert len(fault.message) < 700


@pytest.mark.parametrize("kind", Kind)
def test_every_fault_is_spelled_as_the_sdk_reads_it(kind: Kind) -> None:
    fault = Fault(kind=kind, message="why", param="messages[0]", retry_after_s=1.2, details={"rule": "r"})
    status, headers, body = codec.write_fault(fault, "req_9")
    assert status == FAULTS[kind].status
    assert (headers["request-id"], headers["retry-after"], headers["retry-after-ms"]) == ("req_9", "2", "1200")
    assert (headers.get("x-should-retry") == "false") == (kind in LASTING)
    said = json.loads(body)
    assert (said["type"], said["request_id"], said["error"]["details"]) == ("error", "req_9", {"rule": "r"})
    if said["error"]["type"] != "request_too_large":  # a type of the API's guide that the SDK has no class for
        BetaErrorResponse.model_validate(said)
    assert "why" in said["error"]["message"]


def test_credentials_refused_upstream_are_not_the_clients() -> None:
    status, _, body = codec.write_fault(codec.read_fault(401, {}, error("authentication_error", "invalid x-api-key")), "r")
    assert (status, json.loads(body)["error"]["type"]) == (502, "api_error")


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"prompt_tokens": 9, "limit_tokens": 8}, "prompt is too long: 9 tokens > 8 maximum"),
        ({}, "prompt is too long: it does not fit"),
    ],
)
def test_an_overflow_is_said_in_the_words_clients_compact_on(details: dict[str, Any], message: str) -> None:
    status, _, body = codec.write_fault(Fault(kind=Kind.CONTEXT_OVERFLOW, message="it does not fit", details=details), "r")
    error_object = json.loads(body)["error"]
    assert (status, error_object["type"], error_object["message"]) == (400, "invalid_request_error", message)


def test_a_place_is_named_once() -> None:
    def message(said: str) -> str:
        return str(
            json.loads(codec.write_fault(Fault(kind=Kind.INVALID_REQUEST, message=said, param="top_p"), "r")[2])["error"][
                "message"
            ]
        )

    assert (message("must be a number"), message("top_p: must be a number")) == ("top_p: must be a number",) * 2
