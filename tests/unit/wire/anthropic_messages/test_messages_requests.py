import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages as codec
from freehold.wire.codec import Sent

SENT = Sent(model="served")
HELLO = Message("user", (TextPart("hi"),))


def said(role: Role, *parts: Part) -> Message:
    return Message(role, parts)


def request(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="asked", messages=messages or (HELLO,), **fields)


def read(**fields: Any) -> ChatRequest:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], **fields}
    return codec.read_request(codec.peek(json.dumps(body).encode()))


def test_an_agent_request_is_read_whole(sample: Callable[[str], bytes]) -> None:
    got = codec.read_request(codec.peek(sample("agent_request.json")))
    assert [message.role for message in got.messages] == ["system", "user", "system", "assistant", "user"]
    assert got.messages[0].parts == (TextPart("client: agent"), TextPart("You edit code.", True))
    assert got.messages[3].parts == (
        ReasoningPart("Read first.", "c2ln"),
        ReasoningPart("A local model's thought."),
        ReasoningPart("", None, "ZW5j"),
        TextPart("Reading."),
        ToolCallPart("toolu_1", "Read", '{"path": "t.py", "limit": 10}'),
        ToolCallPart("toolu_2", "Shot", "{}"),
    )
    assert got.messages[4].parts == (
        ToolResultPart("toolu_1", (TextPart("no such file"),), True),
        ToolResultPart("toolu_2", (TextPart("the screen"), ImagePart("image/png", "iVBORw=="))),
        TextPart("Go on.", True),
    )
    read_tool, shot, search = got.tools
    assert isinstance(read_tool, Tool)
    assert read_tool.description == "Reads a file"
    assert shot == Tool("Shot", None, {"type": "object"}, True, True)
    assert isinstance(search, Opaque)
    assert search.key == "web_search_20250305"
    assert (got.tool_choice, got.parallel_tool_calls) == (ToolChoice("auto"), False)
    assert got.reasoning == Reasoning(True, "medium", None)
    assert got.output is not None
    assert got.output.kind == "json_schema"
    assert (got.stop, got.temperature, got.max_tokens, got.stream) == (("END",), 1.0, 128000, True)
    assert [field.key for field in got.opaque] == ["context_management"]


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "reasoning", Reasoning(True, None, 2000)),
        ({"thinking": {"type": "disabled"}}, "reasoning", Reasoning(False, None, None)),
        ({"output_config": {"effort": "low"}}, "reasoning", Reasoning(None, "low", None)),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "output", OutputFormat("json_schema", {}, None, True)),
        ({"tool_choice": {"type": "any"}}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice", ToolChoice("named", "f")),
        ({"tool_choice": {"type": "none"}}, "tool_choice", ToolChoice("none")),
        ({"metadata": {"user_id": "u"}}, "user", "u"),
        ({"top_k": 4}, "top_k", 4),
        ({"tools": []}, "tools", ()),
        ({"thread": None}, "opaque", ()),
        ({"system": "s"}, "messages", (said("system", TextPart("s")), HELLO)),
    ],
)
def test_fields_are_read(fields: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(read(**fields), attribute) == value


@pytest.mark.parametrize("kind", ["document", "search_result", "server_tool_use", "container_upload"])
def test_blocks_without_a_word_are_kept_byte_for_byte(kind: str) -> None:
    raw = f'{{"type":"{kind}", "x" : 1.50}}'
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[%b]}]}' % raw.encode()
    (part,) = codec.read_request(codec.peek(body)).messages[0].parts
    assert part == Opaque("anthropic_messages", kind, msgspec.Raw(raw.encode()))
    assert raw.encode() in codec.write_request(request(said("user", part)), SENT)


def content(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (content({"type": "text"}), "messages[1].content[0].text"),
        (content({"type": "text", "text": 3}), "messages[1].content[0].text"),
        (content({"type": "text", "text": "x"}, 3), "messages[1].content[1]"),
        (content({"type": "image"}), "messages[1].content[0].source"),
        (content({"type": "image", "source": {"type": "base64", "data": "x"}}), "messages[1].content[0].source.media_type"),
        (content({"type": "tool_use", "id": "a", "name": "f", "input": []}), "messages[1].content[0].input"),
        (content({"type": "tool_use", "id": "a", "input": {}}), "messages[1].content[0].name"),
        (content({"type": "tool_result", "content": "x"}), "messages[1].content[0].tool_use_id"),
        (content({"type": "tool_result", "tool_use_id": "a", "content": 3}), "messages[1].content[0].content"),
        (
            content({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "thinking", "thinking": ""}]}),
            "messages[1].content[0].content[0]",
        ),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "perhaps"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
    ],
)
def test_a_bad_request_is_refused_at_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(FaultError) as caught:
        read(**fields)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST
    assert caught.value.fault.param == param


def test_message_threads_are_refused_in_the_words_clients_act_on() -> None:
    with pytest.raises(FaultError) as caught:
        read(thread={"type": "create"})
    status, _, body = codec.write_fault(caught.value.fault, "req_1")
    error = json.loads(body)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def test_turns_follow_the_rules_of_the_format(check_request: Callable[[bytes], Any]) -> None:
    call = ToolCallPart("call_1", "f", "")
    body = check_request(
        codec.write_request(
            request(
                said("system", TextPart("A")),
                said("system", TextPart("B", True)),
                said("user", TextPart("one"), TextPart("  ")),
                said("assistant", ReasoningPart("mine, unsigned"), ReasoningPart("signed", "c2ln"), call),
                said("system", TextPart("now")),
                said("user", ToolResultPart("call_1", (), True)),
                said("user", TextPart("two")),
                said("assistant", TextPart("prefill \n")),
            ),
            SENT,
        )
    )
    assert body["system"] == [
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}},
    ]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "assistant"]
    assert body["messages"][0]["content"] == [{"type": "text", "text": "one"}]
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "signed", "signature": "c2ln"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
    ]
    result, now, two = body["messages"][2]["content"]
    assert (result["tool_use_id"], result["is_error"], bool(result["content"])) == ("call_1", True, True)
    assert (now["text"], two["text"]) == ("now", "two")
    assert body["messages"][3]["content"] == [{"type": "text", "text": "prefill"}]


def test_system_text_alone_becomes_the_users_turn(check_request: Callable[[bytes], Any]) -> None:
    body = check_request(codec.write_request(request(said("system", TextPart("A"))), SENT))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "A"}]}]
    assert "system" not in body


def test_a_refusal_of_another_format_is_sent_as_what_was_said(check_request: Callable[[bytes], Any]) -> None:
    refused = Opaque("openai_chat", "refusal", msgspec.Raw(b'{"type":"refusal","refusal":"I will not."}'))
    body = check_request(codec.write_request(request(HELLO, said("assistant", refused), HELLO), SENT))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "I will not."}]


def test_ids_of_calls_are_made_legal_and_unique(check_request: Callable[[bytes], Any]) -> None:
    turns = [
        message
        for _ in range(2)
        for message in (
            said("assistant", ToolCallPart("functions.f:0", "f", "{}"), ToolCallPart("1", "f", "{}")),
            said("user", ToolResultPart("functions.f:0", (TextPart("x"),)), ToolResultPart("1", (TextPart("y"),))),
        )
    ]
    messages = check_request(codec.write_request(request(HELLO, *turns), SENT))["messages"]
    calls = [block["id"] for turn in messages for block in turn["content"] if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for turn in messages for block in turn["content"] if block["type"] == "tool_result"]
    assert calls == results
    assert len(set(calls)) == 4
    assert all(call.replace("_", "").replace("-", "").isalnum() for call in calls)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (ImagePart("image/jpeg", "AAAA"), {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}),
        (ImagePart(url="https://example.org/a.png"), {"type": "url", "url": "https://example.org/a.png"}),
        (ImagePart(url="data:image/gif;base64,AAAA"), {"type": "base64", "media_type": "image/gif", "data": "AAAA"}),
    ],
)
def test_images(part: ImagePart, source: dict[str, str], check_request: Callable[[bytes], Any]) -> None:
    body = check_request(codec.write_request(request(said("user", part)), SENT))
    assert body["messages"][0]["content"] == [{"type": "image", "source": source}]


F = Tool("f", "does f", {"type": "object", "properties": {}}, True, True)
SCHEMA = OutputFormat("json_schema", {"type": "object"}, "answer", True)


@pytest.mark.parametrize(
    ("fields", "sent", "key", "value"),
    [
        ({}, SENT, "max_tokens", 4096),
        ({}, Sent(model="s", max_tokens_ceiling=77), "max_tokens", 77),
        ({"max_tokens": 99}, Sent(model="s", max_tokens_ceiling=77), "max_tokens", 77),
        ({"max_tokens": 9}, Sent(model="s", max_tokens_ceiling=77), "max_tokens", 9),
        ({"stop": ("a", "")}, SENT, "stop_sequences", ["a"]),
        ({"temperature": 1.7}, SENT, "temperature", 1.0),
        ({"temperature": 0.5}, Sent(model="s", quirks=frozenset({"no_sampling"})), "temperature", None),
        ({"temperature": 0.5, "top_p": 0.9}, SENT, "top_p", 0.9),
        ({"temperature": 0.5, "top_p": 0.9}, Sent(model="s", quirks=frozenset({"one_sampler"})), "top_p", None),
        ({"top_p": 0.9}, Sent(model="s", quirks=frozenset({"one_sampler"})), "top_p", 0.9),
        ({"user": "u"}, SENT, "metadata", {"user_id": "u"}),
        ({"stream": True}, SENT, "stream", True),
        ({}, SENT, "stream", None),
        ({"seed": 3, "presence_penalty": 1.0}, SENT, "seed", None),
        ({"parallel_tool_calls": False}, SENT, "tool_choice", None),
        ({"tools": (F,), "parallel_tool_calls": False}, SENT, "tool_choice", {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tools": (F,), "tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, SENT, "tool_choice", {"type": "none"}),
        ({"tools": (F,), "tool_choice": ToolChoice("required")}, SENT, "tool_choice", {"type": "any"}),
        ({"tools": (F,), "tool_choice": ToolChoice("named", "f")}, SENT, "tool_choice", {"type": "tool", "name": "f"}),
        (
            {"tools": (Tool("g", None, None),)},
            SENT,
            "tools",
            [{"name": "g", "input_schema": {"type": "object", "properties": {}}}],
        ),
        (
            {"tools": (F,)},
            Sent(model="s", quirks=frozenset({"structured_output"})),
            "tools",
            [
                {
                    "name": "f",
                    "description": "does f",
                    "input_schema": {"type": "object", "properties": {}},
                    "strict": True,
                    "cache_control": {"type": "ephemeral"},
                }
            ],
        ),
        ({"reasoning": Reasoning(None, "high")}, SENT, "output_config", None),
        (
            {"reasoning": Reasoning(None, "high")},
            Sent(model="s", quirks=frozenset({"effort"})),
            "output_config",
            {"effort": "high"},
        ),
        (
            {"reasoning": Reasoning(None, "minimal")},
            Sent(model="s", quirks=frozenset({"effort"})),
            "output_config",
            {"effort": "low"},
        ),
        ({"reasoning": Reasoning(False)}, SENT, "thinking", {"type": "disabled"}),
        ({"reasoning": Reasoning(True)}, SENT, "thinking", None),
        (
            {"reasoning": Reasoning(True)},
            Sent(model="s", quirks=frozenset({"adaptive_thinking"})),
            "thinking",
            {"type": "adaptive"},
        ),
        (
            {"reasoning": Reasoning(True, None, 9000), "max_tokens": 5000},
            SENT,
            "thinking",
            {"type": "enabled", "budget_tokens": 4999},
        ),
        ({"reasoning": Reasoning(True, None, 9000), "max_tokens": 500}, SENT, "thinking", None),
        (
            {"reasoning": Reasoning(True, None, 2000), "tools": (F,), "tool_choice": ToolChoice("required")},
            SENT,
            "thinking",
            None,
        ),
        ({"reasoning": Reasoning(True, None, 2000), "temperature": 0.2}, SENT, "temperature", None),
        (
            {"output": SCHEMA},
            Sent(model="s", quirks=frozenset({"structured_output"})),
            "output_config",
            {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        ),
        (
            {"opaque": (Opaque("anthropic_messages", "service_tier", msgspec.Raw(b'"auto"')),)},
            SENT,
            "service_tier",
            "auto",
        ),
        ({"opaque": (Opaque("openai_chat", "store", msgspec.Raw(b"true")),)}, SENT, "store", None),
        ({"opaque": (Opaque("openai_chat", "modalities", msgspec.Raw(b'["text"]')),)}, SENT, "modalities", None),
        ({}, Sent(model="s", extra={"cache_prompt": msgspec.Raw(b"true")}), "cache_prompt", True),
    ],
)
def test_fields_are_written(
    fields: dict[str, Any], sent: Sent, key: str, value: object, check_request: Callable[[bytes], Any]
) -> None:
    assert check_request(codec.write_request(request(**fields), sent)).get(key) == value


def test_a_tool_turn_without_its_thinking_is_not_asked_to_think() -> None:
    history = (HELLO, said("assistant", ToolCallPart("a", "f", "{}")), said("user", ToolResultPart("a", (TextPart("x"),))))
    asks = Reasoning(True, None, 2000)
    assert "thinking" not in json.loads(codec.write_request(request(*history, reasoning=asks), SENT))
    signed = said("assistant", ReasoningPart("t", "c2ln"), ToolCallPart("a", "f", "{}"))
    assert "thinking" in json.loads(codec.write_request(request(HELLO, signed, history[2], reasoning=asks), SENT))


@pytest.mark.parametrize(
    ("asks", "kind", "param"),
    [
        (request(n=2), Kind.UNSUPPORTED, "n"),
        (request(logprobs=True), Kind.UNSUPPORTED, "logprobs"),
        (request(output=OutputFormat("json_object")), Kind.UNSUPPORTED, "response_format"),
        (request(output=SCHEMA), Kind.UNSUPPORTED, "response_format"),
        (request(stop=("\n",)), Kind.UNSUPPORTED, "stop"),
        (request(tools=(Opaque("openai_chat", "custom", msgspec.Raw(b"{}")),)), Kind.UNSUPPORTED, "tools[0]"),
        (request(opaque=(Opaque("openai_chat", "logit_bias", msgspec.Raw(b'{"1":2}')),)), Kind.UNSUPPORTED, "logit_bias"),
        (
            request(HELLO, said("user", Opaque("openai_chat", "input_audio", msgspec.Raw(b"{}")))),
            Kind.UNSUPPORTED,
            "messages[1].content[0]",
        ),
        (request(tools=(Tool("a b", None, None),)), Kind.INVALID_REQUEST, "tools[0].name"),
        (request(HELLO, said("assistant", ToolCallPart("a", "f", "[1]"))), Kind.INVALID_REQUEST, "messages[1].content[0]"),
        (request(HELLO, said("assistant", ToolCallPart("a", "f", "{"))), Kind.INVALID_REQUEST, "messages[1].content[0]"),
        (request(said("user", TextPart(" "))), Kind.INVALID_REQUEST, "messages"),
        (request(said("user", ImagePart(url="data:image/png,abc"))), Kind.INVALID_REQUEST, "messages[0].content[0]"),
    ],
)
def test_what_cannot_be_said_is_refused_at_its_place(asks: ChatRequest, kind: Kind, param: str) -> None:
    with pytest.raises(FaultError) as caught:
        codec.write_request(asks, SENT)
    assert (caught.value.fault.kind, caught.value.fault.param) == (kind, param)
