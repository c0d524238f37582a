"""The OpenAPI document: every route is described, the document is valid, and what the official clients send satisfies it."""

import json
from pathlib import Path
from typing import Any

import anthropic
import jsonschema
import openai
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from freehold.fault import FAULTS, Kind
from freehold.server.openapi import make_document
from freehold.server.openapi.operations import OPERATIONS
from freehold.server.routes import make_routes, make_tails
from freehold.wire.formats import CODECS

NOTHING: Any = None
ROUTES = make_routes(NOTHING, NOTHING, NOTHING, NOTHING)
TAILS = make_tails(NOTHING)


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(make_document(ROUTES, TAILS))


def validator(document: Any, path: str) -> jsonschema.Draft202012Validator:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def test_every_route_is_described() -> None:
    undescribed = [route for route in ROUTES if route not in OPERATIONS]
    undescribed += [("GET", prefix + "{id}") for prefix in TAILS if ("GET", prefix + "{id}") not in OPERATIONS]
    assert not undescribed, "add an entry to server/openapi/operations.py"


def test_the_document_is_valid_openapi(document: Any) -> None:
    OPENAPI_31_VALIDATOR.validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [one for inner in value.values() for one in references(inner)]
        return [one for inner in value for one in references(inner)] if isinstance(value, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names
    assert names <= set(document["components"]["schemas"])


def test_operation_ids_are_unique(document: Any) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_status_a_chat_may_end_with_is_there(document: Any) -> None:
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert {int(status) for status in responses} == {200} | {
        meaning.status for kind, meaning in FAULTS.items() if kind is not Kind.CLIENT_GONE
    }


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
IMAGE = "iVBORw0KGgo="


def sent_by(client: Any, call: Any) -> dict[str, Any]:
    """The body an official client would send."""
    seen: list[dict[str, Any]] = []

    def prepare(options: Any) -> None:
        seen.append(options.json_data)
        raise StopIteration

    client._prepare_options = prepare
    with pytest.raises(StopIteration):
        call(client)
    return json.loads(json.dumps(seen[0], default=list))


def openai_chat(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            },
            {
                "role": "assistant",
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        tools=[{"type": "function", "function": {"name": "look", "parameters": WEATHER, "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER, "strict": True}},
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=5,
        n=2,
        seed=7,
        stop=["a", "b"],
        logprobs=True,
        top_logprobs=3,
        reasoning_effort="low",
        user="u",
    )


def anthropic_messages(client: anthropic.Anthropic) -> None:
    client.messages.create(
        model="claude-x",
        max_tokens=2048,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                    {"type": "text", "text": "What is this?"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "is_error": False,
                        "content": [{"type": "text", "text": "sunny"}],
                    }
                ],
            },
        ],
        tools=[{"name": "look", "description": "Looks", "input_schema": WEATHER}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "u"},
        stop_sequences=["END"],
        stream=True,
    )


def openai_embeddings(client: openai.OpenAI) -> None:
    client.embeddings.create(model="e", input=["one", "two"], encoding_format="float", dimensions=3, user="u")


@pytest.mark.parametrize(
    ("path", "client", "call"),
    [
        ("/v1/chat/completions", openai.OpenAI, openai_chat),
        ("/v1/messages", anthropic.Anthropic, anthropic_messages),
        ("/v1/embeddings", openai.OpenAI, openai_embeddings),
    ],
)
def test_what_official_clients_send_satisfies_it(document: Any, path: str, client: Any, call: Any) -> None:
    body = sent_by(client(api_key="any", base_url="http://127.0.0.1:1"), call)
    validator(document, path).validate(body)
    if path != "/v1/embeddings":
        codec = CODECS["openai_chat" if "chat" in path else "anthropic_messages"]
        codec.peek(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/v1/chat/completions", {"model": "m"}),
        ("/v1/chat/completions", {"model": "m", "messages": []}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "king", "content": "x"}]}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
        ("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/messages", {"model": "m", "max_tokens": "5", "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/embeddings", {"model": "m", "input": [""]}),
        ("/v1/embeddings", {"model": "", "input": "x"}),
    ],
)
def test_it_says_no_to_bodies_that_are_wrong(document: Any, path: str, wrong: Any) -> None:
    assert not validator(document, path).is_valid(wrong)


SAMPLES = sorted((Path(__file__).parents[2] / "wire_samples").glob("*/*request*.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_recorded_requests_satisfy_it(document: Any, sample: Path) -> None:
    path = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/v1/messages"}.get(sample.parent.name)
    if path is not None:
        validator(document, path).validate(json.loads(sample.read_text()))
