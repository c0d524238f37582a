"""Requests of Ollama's: what is read, what is written to a runtime, and what is refused with its place."""

import json
from typing import Any

import msgspec
import pytest

from freehold.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import FaultError, Kind
from freehold.wire import ollama
from freehold.wire.codec import Sent
from freehold.wire.ollama import generate
from support.ollama_schema import fits

PNG = "iVBORw0KGgoAAAA="


def read(body: dict[str, Any]) -> ChatRequest:
    return ollama.read_request(ollama.peek(json.dumps({"model": "m", **body}).encode()))


def written(request: ChatRequest, **sent: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(ollama.write_request(request, Sent(model="served", **sent)))
    return body


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message("user", (TextPart("hi"),)),), **more)


def test_it_streams_unless_told_not_to_and_numbers_may_be_floats() -> None:
    for said, streams in ((None, True), (True, True), (False, False)):
        envelope = ollama.peek(
            json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": said}).encode()
        )
        assert (envelope.stream, envelope.stream_usage) == (streams, True)
    assert read({"messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 7.0, "top_k": 3.0}}).max_tokens == 7
    for endless in (-1, -2, 0):
        assert read({"messages": [{"role": "user", "content": "x"}], "options": {"num_predict": endless}}).max_tokens is None


def test_results_find_their_calls_by_name_by_id_and_in_order() -> None:
    calls: list[Any] = [{"function": {"name": name, "arguments": {}}} for name in ("a", "b", "a")]
    results = [
        {"role": "tool", "tool_name": "a", "content": "1"},
        {"role": "tool", "tool_name": "a", "content": "3"},
        {"role": "tool", "content": "2"},
    ]
    request = read({"messages": [{"role": "assistant", "tool_calls": calls}, *results]})
    assert [part.id for part in request.messages[0].parts if isinstance(part, ToolCallPart)] == [
        "call_0_0",
        "call_0_1",
        "call_0_2",
    ]
    assert [part.call_id for part in request.messages[1].parts if isinstance(part, ToolResultPart)] == [
        "call_0_0",
        "call_0_2",
        "call_0_1",
    ]
    named = [{"id": "x", "function": {"name": "a", "arguments": {}}}, {"id": "y", "function": {"name": "a", "arguments": {}}}]
    swapped = [{"role": "tool", "tool_call_id": one, "content": one} for one in ("y", "x")]
    request = read({"messages": [{"role": "assistant", "tool_calls": named}, *swapped]})
    assert [part.call_id for part in request.messages[1].parts if isinstance(part, ToolResultPart)] == ["y", "x"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "tool", "tool_name": "a", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "odd", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "images": ["AAAA"]}]}, "messages[0].images[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": ""}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"messages": [{"role": "user", "content": "x"}], "format": "xml"}, "format"),
        ({"messages": [{"role": "user", "content": "x"}], "options": {"stop": 5}}, "options.stop"),
        ({"messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(FaultError) as caught:
        read(body)
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.INVALID_REQUEST, param)


def test_a_request_to_a_runtime_says_all_that_was_asked_and_fits_the_schema() -> None:
    image, schema = ImagePart("image/png", PNG), {"type": "object", "properties": {}}
    request = ask(
        Message("system", (TextPart("be"), TextPart("kind"))),
        Message("user", (TextPart("look"), image)),
        Message(
            "assistant",
            (ReasoningPart("hm"), TextPart("so"), ToolCallPart("c1", "see", '{"a":1}'), ToolCallPart("c2", "hear", "")),
        ),
        Message(
            "user", (ToolResultPart("c1", (TextPart("seen"), image)), ToolResultPart("c2", (), is_error=True), TextPart("go on"))
        ),
        tools=(Tool("see", "Looks", None), Tool("hear", None, schema)),
        max_tokens=500,
        temperature=0.5,
        stop=("end",),
        seed=7,
        output=OutputFormat("json_schema", schema),
        reasoning=Reasoning(enabled=True, effort="minimal"),
        logprobs=True,
        top_logprobs=2,
    )
    body = written(request, window=4096, max_tokens_ceiling=300, quirks=frozenset({"think"}))
    fits("ChatRequest", body)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert body["messages"][0]["content"] == "be\n\nkind"
    assert body["messages"][1]["images"] == [PNG]
    assert body["messages"][2]["thinking"] == "hm"
    assert [call["function"]["arguments"] for call in body["messages"][2]["tool_calls"]] == [{"a": 1}, {}]
    assert [message.get("tool_name") for message in body["messages"][3:5]] == ["see", "hear"]
    assert body["messages"][4]["content"] == "Error: the tool failed"
    assert body["messages"][5] == {
        "role": "user",
        "content": "Image returned by the tool call c1:\n\ngo on",
        "images": [PNG],
    }
    assert body["options"] == {"num_predict": 300, "temperature": 0.5, "seed": 7, "stop": ["end"], "num_ctx": 4096}
    assert (body["truncate"], body["shift"], body["stream"], body["think"]) == (False, False, False, "low")
    assert (body["format"], body["logprobs"], body["top_logprobs"]) == (schema, True, 2)


@pytest.mark.parametrize(
    ("reasoning", "quirks", "think"),
    [
        (None, {"think"}, None),
        (Reasoning(enabled=False), set(), False),
        (Reasoning(effort="none"), set(), False),
        (Reasoning(enabled=True), set(), None),
        (Reasoning(enabled=True), {"think"}, True),
        (Reasoning(enabled=True, effort="xhigh"), {"think"}, "max"),
        (Reasoning(enabled=True, budget_tokens=1024), {"think"}, "low"),
        (Reasoning(enabled=True, budget_tokens=8192), {"think"}, "medium"),
        (Reasoning(enabled=True, budget_tokens=32000), {"think"}, "high"),
    ],
)
def test_thinking_is_asked_for_where_a_model_can(reasoning: Reasoning | None, quirks: set[str], think: object) -> None:
    assert written(ask(reasoning=reasoning), quirks=frozenset(quirks)).get("think") == think


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ask(n=2), "n"),
        (ask(Message("user", (ImagePart(url="https://example.org/a.png"),))), "messages[0].content"),
        (ask(tools=(Tool("a", None, None),), tool_choice=ToolChoice("required")), "tool_choice"),
        (ask(tools=(Opaque("anthropic_messages", "web_search_20250305", msgspec.Raw(b"{}")),)), "tools"),
        (ask(opaque=(Opaque("openai_chat", "logit_bias", msgspec.Raw(b'{"5":1}')),)), "logit_bias"),
        (ask(opaque=(Opaque("openai_responses", "x", msgspec.Raw(b"1"), may_drop=False),)), "x"),
        (ask(Message("user", (Opaque("openai_chat", "input_audio", msgspec.Raw(b"{}")),))), "messages[0].content"),
    ],
)
def test_what_ollama_cannot_be_told_is_refused(request_: ChatRequest, param: str) -> None:
    with pytest.raises(FaultError) as caught:
        written(request_)
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.UNSUPPORTED, param)


def test_arguments_that_are_no_object_are_refused_and_no_tools_are_offered_where_none_may_be_called() -> None:
    with pytest.raises(FaultError, match=r"messages\[0\].tool_calls\[0\]") as caught:
        written(ask(Message("assistant", (ToolCallPart("c", "a", "[1]"),))))
    assert caught.value.fault.kind is Kind.INVALID_REQUEST
    assert "tools" not in written(ask(tools=(Tool("a", None, None),), tool_choice=ToolChoice("none")))


def test_options_without_a_word_come_back_to_ollama_and_to_nobody_else() -> None:
    request = read(
        {"messages": [{"role": "user", "content": "x"}], "options": {"min_p": 0.1, "seed": 3, "num_ctx": 99}, "keep_alive": "5m"}
    )
    body = written(request)
    assert body["options"] == {"min_p": 0.1, "seed": 3}
    assert body["keep_alive"] == "5m"


def test_generate_is_read_and_written_as_what_it_is() -> None:
    body = {"model": "m", "prompt": "go", "system": "be", "images": [PNG], "suffix": "}", "raw": True, "options": {"top_k": 1}}
    envelope = generate.peek(json.dumps(body).encode())
    assert [generate.describe(block).texts for block in envelope.blocks] == [("be",), ("go",), ("}",)]
    request = generate.read_request(envelope)
    back = json.loads(generate.write_request(request, Sent(model="served", window=64)))
    fits("GenerateRequest", back)
    assert back == {
        **body,
        "model": "served",
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {"top_k": 1, "num_ctx": 64},
    }
    with pytest.raises(FaultError, match="a conversation"):
        generate.write_request(ask(Message("assistant", (TextPart("x"),))), Sent(model="m"))
    assert generate.peek(b'{"model":"m"}').blocks == ()
