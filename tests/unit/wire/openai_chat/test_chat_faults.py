import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from freehold.fault import FAULTS, LASTING, Fault, Kind
from freehold.wire.openai_chat import read_fault, write_fault


def error(message: str = "boom", **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None, **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(), Kind.UPSTREAM_REJECTED),
        (422, b'{"detail":[{"loc":["body","n"],"msg":"too big","input":"secret prompt"}]}', Kind.UPSTREAM_REJECTED),
        (400, error("maximum context length is 5 tokens"), Kind.CONTEXT_OVERFLOW),
        (400, error(code="context_length_exceeded"), Kind.CONTEXT_OVERFLOW),
        (413, error("prompt is too long"), Kind.CONTEXT_OVERFLOW),
        (500, error("the request exceeds the available context size"), Kind.CONTEXT_OVERFLOW),
        (400, error("The model `x` does not exist"), Kind.UPSTREAM_MODEL_MISSING),
        (404, error("model 'x' not found"), Kind.UPSTREAM_MODEL_MISSING),
        (404, error(code="model_not_found"), Kind.UPSTREAM_MODEL_MISSING),
        (404, b"404 page not found", Kind.UPSTREAM_ERROR),
        (401, error(), Kind.UPSTREAM_AUTH),
        (402, error(), Kind.UPSTREAM_AUTH),
        (403, error(), Kind.UPSTREAM_AUTH),
        (408, error(), Kind.UPSTREAM_ERROR),
        (409, error(), Kind.UPSTREAM_ERROR),
        (425, error(), Kind.OVERLOADED),
        (429, error(), Kind.RATE_LIMITED),
        (429, error("maximum context length", type="tokens"), Kind.RATE_LIMITED),
        (429, error(code="insufficient_quota"), Kind.RATE_LIMITED),
        (500, error(), Kind.UPSTREAM_ERROR),
        (502, b"<html><head><title>502 Bad Gateway</title></head></html>", Kind.UPSTREAM_ERROR),
        (503, error(), Kind.OVERLOADED),
        (503, error("Loading model", code=503, type="unavailable_error"), Kind.ENGINE_NOT_READY),
        (529, error(), Kind.OVERLOADED),
        (200, error(code=429), Kind.RATE_LIMITED),
        (200, error(type="authentication_error"), Kind.UPSTREAM_AUTH),
        (200, error(), Kind.UPSTREAM_ERROR),
        (500, b"", Kind.UPSTREAM_ERROR),
        (500, b"[" * 100_000, Kind.UPSTREAM_ERROR),
        (500, b"\xff\xfe", Kind.UPSTREAM_ERROR),
        (500, b'{"error":{"message":5,"code":[],"type":{}}}', Kind.UPSTREAM_ERROR),
        (
            500,
            error("audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
            Kind.UPSTREAM_REJECTED,
        ),
        (500, error("Failed to parse messages: Unsupported tool call type: {", code=500), Kind.UPSTREAM_REJECTED),
        (500, error("the image processor failed"), Kind.UPSTREAM_ERROR),
        # LM Studio says 400 for what went wrong with itself.
        (
            400,
            b'{"error":"The model has crashed without additional information. (Exit code: 18446744072635812000)"}',
            Kind.UPSTREAM_ERROR,
        ),
        (400, error('Failed to load model "qwen/qwen3-coder-30b". Error: Operation canceled.'), Kind.UPSTREAM_ERROR),
        # xAI and Gemini say 400 for a key that they refuse.
        (
            400,
            b'{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***ys."}',
            Kind.UPSTREAM_AUTH,
        ),
        (400, b'[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]', Kind.UPSTREAM_AUTH),
        (400, error("API key expired. Please renew the API key."), Kind.UPSTREAM_AUTH),
        (400, error("tools[0]: the description speaks of an invalid API key"), Kind.UPSTREAM_REJECTED),
        # Groq says 413 for more tokens than a minute has.
        (413, error("Request too large for model `m` on tokens per minute (TPM)", code="rate_limit_exceeded"), Kind.RATE_LIMITED),
        (413, error("Payload Too Large"), Kind.UPSTREAM_REJECTED),
        (400, b'[{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}]', Kind.UPSTREAM_REJECTED),
        (429, b'[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]', Kind.RATE_LIMITED),
        (200, b'[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]', Kind.OVERLOADED),
        (400, b"[[]]", Kind.UPSTREAM_REJECTED),
    ],
)
def test_status_and_words_of_an_upstream_give_the_kind(status: int, body: bytes, kind: Kind):
    fault = read_fault(status, {}, body)
    assert fault.kind is kind
    assert fault.message


def test_llama_cpps_overflow_brings_its_numbers():
    body = error("request exceeds", type="exceed_context_size_error", code=400, n_prompt_tokens=9001, n_ctx=4096)
    fault = read_fault(400, {}, body)
    assert fault.kind is Kind.CONTEXT_OVERFLOW
    assert (fault.details["prompt_tokens"], fault.details["limit_tokens"]) == (9001, 4096)


def test_the_upstreams_words_and_place_are_passed_on():
    fault = read_fault(400, {"retry-after": "3"}, error("bad n", param="n", code="invalid_value"))
    assert (fault.message, fault.param, fault.status, fault.retry_after_s) == ("bad n", "n", 400, 3.0)
    assert fault.details == {"error_code": "invalid_value"}
    assert read_fault(400, {}, error("unsupported content[].type", code=400)).details == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><html><title> Down </title>" + b"x" * 9999, "the runtime answered 500: an HTML page, 'Down'"),
        (b"<html><body>no title</body></html>", "the runtime answered 500: an HTML page"),
        (b"", "the runtime answered 500 without saying why"),
        (b'{"error":"plain"}', "the runtime answered 500: plain"),
        (b'{"detail":"Not ready"}', "the runtime answered 500: Not ready"),
        (b"line one\n   line two", "the runtime answered 500: line one line two"),
    ],
)
def test_messages_are_short_and_without_markup(body: bytes, said: str):
    assert read_fault(500, {}, body).message == said


def test_long_words_are_cut_and_prompts_are_not_repeated():
    assert len(read_fault(400, {}, error("x" * 5000)).message) == 500
    assert "PROMPT" not in read_fault(400, {}, error("[{'type': 'missing', 'input': {'content': 'PROMPT'}}]")).message
    assert "PROMPT" not in read_fault(422, {}, b'{"detail":[{"loc":["n"],"msg":"bad","input":"PROMPT"}]}').message


def test_a_key_quoted_by_a_vendor_is_never_repeated():
    for status in (400, 401):
        assert "sk-" not in read_fault(status, {}, error("Incorrect API key provided: sk-abcdef")).message


def test_what_gemini_says_in_a_list_is_passed_on_with_its_wait():
    said = {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaValue": "15"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"},
        ],
    }
    fault = read_fault(429, {}, json.dumps([{"error": said}]).encode())
    assert (fault.message, fault.retry_after_s) == ("the runtime answered 429: You exceeded your current quota.", 17.5)
    assert read_fault(429, {"retry-after": "3"}, json.dumps({"error": said}).encode()).retry_after_s == 3.0
    for odd in ("", "17", "-1s", "9e9s", "1" * 400 + "s", 5, None):
        body = json.dumps({"error": {"message": "m", "details": [{"retryDelay": odd}, 5]}}).encode()
        assert read_fault(429, {}, body).retry_after_s is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_spelled_as_an_openai_error(kind: Kind, fits_openai: Callable[[str, object], None]):
    status, headers, body = write_fault(Fault(kind=kind, message="why"), "req-1")
    assert status == (400 if kind in LASTING and FAULTS[kind].status >= 500 else FAULTS[kind].status)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "req-1"
    fits_openai("ErrorResponse", json.loads(body))
    assert json.loads(body)["error"]["message"].startswith("why")


@pytest.mark.parametrize(
    ("fault", "spelled"),
    [
        (Fault(kind=Kind.UNKNOWN_MODEL, message="m"), ("invalid_request_error", None, "model_not_found")),
        (Fault(kind=Kind.UNAUTHENTICATED, message="m"), ("invalid_request_error", None, "invalid_api_key")),
        (Fault(kind=Kind.RATE_LIMITED, message="m"), ("rate_limit_error", None, "rate_limit_exceeded")),
        (Fault(kind=Kind.INVALID_REQUEST, message="m", param="n"), ("invalid_request_error", "n", None)),
        (Fault(kind=Kind.UPSTREAM_REJECTED, message="m", details={"error_code": "c"}), ("invalid_request_error", None, "c")),
        (Fault(kind=Kind.INTERNAL, message="m"), ("server_error", None, "internal")),
    ],
)
def test_types_and_codes_are_those_clients_look_for(fault: Fault, spelled: tuple[str, str | None, str | None]):
    told = json.loads(write_fault(fault, "r")[2])["error"]
    assert (told["type"], told["param"], told["code"]) == spelled


def test_an_overflow_says_the_words_clients_compact_on():
    fault = Fault(kind=Kind.CONTEXT_OVERFLOW, message="too long", details={"prompt_tokens": 9, "limit_tokens": 5})
    status, _, body = write_fault(fault, "r")
    told = json.loads(body)["error"]
    assert (status, told["code"]) == (400, "context_length_exceeded")
    assert "maximum context length is 5 tokens" in told["message"]


@pytest.mark.parametrize(("seconds", "header", "milliseconds"), [(2.0, "2", "2000"), (1.2, "2", "1200"), (0.0, "0", "0")])
def test_a_wait_is_passed_on_in_both_headers(seconds: float, header: str, milliseconds: str):
    _, headers, _ = write_fault(Fault(kind=Kind.RATE_LIMITED, message="m", retry_after_s=seconds), "r")
    assert (headers["retry-after"], headers["retry-after-ms"]) == (header, milliseconds)


@pytest.mark.parametrize("kind", Kind)
def test_a_fault_that_lasts_tells_clients_not_to_repeat(kind: Kind):
    _, headers, _ = write_fault(Fault(kind=kind, message="m"), "r")
    assert headers.get("x-should-retry") == ("false" if kind in LASTING else None)


@pytest.mark.parametrize("kind", [Kind.UPSTREAM_AUTH, Kind.UPSTREAM_MODEL_MISSING, Kind.WEIGHTS_MISSING])
def test_what_only_an_operator_mends_is_repeated_by_no_client_and_falls_back_at_a_gateway_behind_which_we_are(kind: Kind):
    status, headers, body = write_fault(Fault(kind=kind, message="m"), "r")
    assert (status, json.loads(body)["error"]["type"]) == (400, "configuration_error")
    assert b"server_error" not in body
    again = read_fault(status, headers, body)
    assert again.kind is Kind.UPSTREAM_ERROR
    assert again.meaning.falls_back


def test_a_fault_survives_being_written_and_read_again():
    fault = Fault(kind=Kind.CONTEXT_OVERFLOW, message="too long", details={"prompt_tokens": 9, "limit_tokens": 5})
    status, headers, body = write_fault(fault, "r")
    again = read_fault(status, headers, body)
    assert again.kind is Kind.CONTEXT_OVERFLOW
    assert (again.details["prompt_tokens"], again.details["limit_tokens"]) == (9, 5)


def test_the_official_client_raises_its_own_class_for_our_errors():
    raised = openai.APIError(
        "x", request=None, body=json.loads(write_fault(Fault(kind=Kind.UNKNOWN_MODEL, message="no m"), "r")[2])["error"]
    )
    assert (raised.code, raised.type) == ("model_not_found", "invalid_request_error")
