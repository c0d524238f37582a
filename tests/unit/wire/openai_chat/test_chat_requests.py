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
    Reasoning,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import Fault, FaultError, Kind
from freehold.wire import openai_chat
from freehold.wire.codec import Sent

HELLO = [{"role": "user", "content": "hello"}]


def body_of(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": HELLO, **fields})


def read(**fields: Any) -> ChatRequest:
    return openai_chat.read_request(openai_chat.peek(body_of(**fields)))


def write(request: ChatRequest, *quirks: str, **sent: Any) -> dict[str, Any]:
    body = openai_chat.write_request(request, Sent(model="served", quirks=frozenset(quirks), **sent))
    decoded: dict[str, Any] = msgspec.json.decode(body)
    return decoded


def ask(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message("user", (TextPart("hello"),)),), **fields)


def fault_of(body: bytes) -> Fault:
    with pytest.raises(FaultError) as caught:
        openai_chat.read_request(openai_chat.peek(body))
    return caught.value.fault


# --- peek


def test_peek_shows_what_a_decision_needs(read_sample: Callable[[str], bytes]):
    body = read_sample("openai_chat/request_full.json")
    envelope = openai_chat.peek(body)
    assert (envelope.model, envelope.stream, envelope.stream_usage) == ("gpt-5.4", True, True)
    assert (envelope.max_tokens, envelope.choices, envelope.tools) == (2048, 2, 3)
    assert (envelope.schema, envelope.logprobs, envelope.session_hint) == (True, True, "s-42")
    assert list(envelope.top) == list(msgspec.json.decode(body))
    assert [openai_chat.describe(block).role for block in envelope.blocks] == [
        "system", "user", "assistant", "tool", "tool", "system", "user", "tools",
    ]  # fmt: skip


OFF = {"enable_thinking": False, "thinking": False}
ON = {"enable_thinking": True, "thinking": True}


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": -1}, None),
        ({"max_tokens": None}, None),
    ],
)
def test_the_answers_limit_is_read_from_either_field(fields: dict[str, Any], limit: int | None):
    assert openai_chat.peek(body_of(**fields)).max_tokens == limit


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b'{"messages":[{}]}', "model", "is missing"),
        (b'{"model":"m"}', "messages", "is missing"),
        (b'{"model":"","messages":[{}]}', "model", "which model"),
        (b'{"model":"m","messages":[]}', "messages", "at least one"),
        (b'{"model":"m","messages":{}}', "messages", "expected `array`"),
        (body_of(stream="yes"), "stream", "expected `bool"),
        (body_of(max_tokens=0), "max_tokens", "at least 1"),
        (body_of(max_completion_tokens=-2), "max_completion_tokens", "at least 1"),
        (body_of(max_tokens="9"), "max_tokens", "expected `integer | null`, got `string`"),
        (body_of(n=0), "n", "between 1 and 128"),
        (body_of(n=1000), "n", "between 1 and 128"),
        (body_of(stream_options=[]), "stream_options", "expected `object"),
        (body_of(messages=["hi"]), "messages[0]", "expected `object`"),
        (body_of(messages=[*HELLO, {"content": "x"}]), "messages[1].role", "is missing"),
        (body_of(messages=[*HELLO, {"role": "robot", "content": "x"}]), "messages[1].role", "must be one of"),
        (body_of(messages=[{"role": "user"}]), "messages[0].content", "is missing"),
        (body_of(messages=[{"role": "user", "content": 5}]), "messages[0].content", "expected `string | array"),
        (body_of(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0].type", "is missing"),
        (body_of(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text", "is missing"),
        (body_of(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id", "is missing"),
        (
            body_of(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]),
            "messages[0].content[0].image_url.url",
            "media type",
        ),
        (
            body_of(messages=[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]),
            "messages[0].tool_calls[0].id",
            "is missing",
        ),
        (
            body_of(messages=[{"role": "assistant", "tool_calls": [{"id": "1", "function": {"arguments": "{}"}}]}]),
            "messages[0].tool_calls[0].function.name",
            "is missing",
        ),
        (body_of(tools=[{"type": "function"}]), "tools[0].function", "is missing"),
        (body_of(tools=[{"type": "function", "function": {"name": 1}}]), "tools[0].function.name", "expected `string`"),
        (body_of(tool_choice="maybe"), "tool_choice", "must be auto"),
        (body_of(response_format={"type": "xml"}), "response_format", "must be text"),
        (body_of(temperature="hot"), "temperature", "expected `number"),
    ],
)
def test_a_refusal_names_the_field(body: bytes, param: str, said: str):
    fault = fault_of(body)
    assert (fault.kind, fault.param) == (Kind.INVALID_REQUEST, param)
    assert said in fault.message
    assert param in fault.message


def test_deep_nesting_is_carried_or_refused_at_any_depth():
    head = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f","parameters":{"a":'
    refused = []
    for depth in range(100, 1500, 50):
        body = head + b"[" * depth + b"]" * depth + b"}}}]}"
        try:
            openai_chat.write_request(openai_chat.read_request(openai_chat.peek(body)), Sent(model="m"))
        except FaultError as error:
            refused.append(error.fault.kind)
    assert set(refused) == {Kind.INVALID_REQUEST}


@pytest.mark.parametrize("field", ["functions", "function_call"])
def test_retired_function_fields_relay_but_do_not_translate(field: str):
    body = body_of(**{field: [{"name": "f"}] if field == "functions" else {"name": "f"}})
    assert fault_of(body).kind is Kind.UNSUPPORTED
    assert openai_chat.relay_request(openai_chat.peek(body), Sent(model="m")) == (body, ())


# --- read


def test_a_full_request_reads_into_the_middle(read_sample: Callable[[str], bytes]):
    request = openai_chat.read_request(openai_chat.peek(read_sample("openai_chat/request_full.json")))
    system, user, assistant, results, late, last = request.messages
    assert system == Message("system", (TextPart("You are terse."),))
    assert user.name == "ada"
    assert user.parts[1:] == (
        ImagePart("image/png", "iVBORw0KGgo=", None, "low"),
        ImagePart(None, None, "https://example.com/cat.jpg"),
    )
    assert assistant.parts[1:] == (
        ToolCallPart("call_1", "read_file", '{"path": "a.py"}'),
        ToolCallPart("call_2", "list_dir", "{}"),
    )
    assert results == Message(
        "user",
        (
            ToolResultPart("call_1", (TextPart("print(1)"),)),
            ToolResultPart("call_2", (TextPart("a.py"), TextPart("b.py"))),
        ),
    )
    assert late == Message("system", (TextPart("Be quick now."),))
    assert isinstance(last.parts[0], Opaque)
    assert last.parts[0].key == "input_audio"
    assert isinstance(request.tools[0], Tool)
    assert (request.tools[0].name, request.tools[0].strict) == ("read_file", True)
    assert request.tools[1] == Tool("list_dir", None, None)
    assert isinstance(request.tools[2], Opaque)
    assert request.tool_choice == ToolChoice("named", "read_file")
    assert request.stop == ("END", "\n\n")
    assert request.reasoning == Reasoning(enabled=True, effort="high")
    assert request.output is not None
    assert (request.output.kind, request.output.name, request.output.strict) == ("json_schema", "answer", True)
    assert [opaque.key for opaque in request.opaque] == ["store", "metadata", "prompt_cache_key", "verbosity", "logit_bias"]


def test_a_user_message_behind_results_stays_its_own():
    tool = {"role": "tool", "tool_call_id": "1", "content": "r"}
    request = read(messages=[*HELLO, tool, {**tool, "tool_call_id": "2"}, *HELLO, tool])
    assert [len(message.parts) for message in request.messages] == [1, 2, 1, 1]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_in_the_history_is_read_in_both_spellings(field: str):
    request = read(messages=[{"role": "assistant", field: "hm", "content": "x"}])
    assert request.messages[0].parts == (ReasoningPart("hm"), TextPart("x"))


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"stop": "END"}, "stop", ("END",)),
        ({"stop": None}, "stop", ()),
        ({"response_format": {"type": "text"}}, "output", None),
        ({"response_format": {"type": "json_object"}}, "output", OutputFormat("json_object")),
        ({"reasoning_effort": "none"}, "reasoning", Reasoning(enabled=False, effort="none")),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": None}, "tool_choice", None),
        ({"top_k": 40}, "top_k", 40),
        ({"unknown": None}, "opaque", ()),
    ],
)
def test_single_fields_are_read(fields: dict[str, Any], attribute: str, value: object):
    assert getattr(read(**fields), attribute) == value


def test_cache_marks_of_openrouters_spelling_are_read():
    marked = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    assert read(messages=[{"role": "system", "content": [marked]}]).messages[0].parts == (TextPart("long", True),)


# --- write


def test_a_full_request_survives_the_round_trip(read_sample: Callable[[str], bytes], fits_openai: Callable[[str, object], None]):
    body = read_sample("openai_chat/request_full.json")
    request = openai_chat.read_request(openai_chat.peek(body))
    written = openai_chat.write_request(request, Sent(model="gpt-5.4", quirks=frozenset({"max_completion_tokens"})))
    assert msgspec.json.decode(written) == msgspec.json.decode(body)
    fits_openai("CreateChatCompletionRequest", msgspec.json.decode(written))


def test_results_come_first_and_their_images_behind_them(fits_openai: Callable[[str, object], None]):
    image = ImagePart("image/png", "AAAA")
    calls = tuple(ToolCallPart(name, "shoot", "") for name in ("a", "b"))
    written = write(
        ask(
            Message("user", (TextPart("go"),)),
            Message("assistant", calls),
            Message("user", (ToolResultPart("a", (TextPart("done"), image)),)),
            Message("user", (ToolResultPart("b", (), is_error=True), TextPart("next?"))),
        )
    )
    fits_openai("CreateChatCompletionRequest", written)
    assert [message["role"] for message in written["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert [call["function"]["arguments"] for call in written["messages"][1]["tool_calls"]] == ["{}", "{}"]
    assert written["messages"][1]["content"] is None
    assert written["messages"][2] == {"role": "tool", "tool_call_id": "a", "content": "done"}
    assert written["messages"][3]["content"] == "Error: the tool failed"
    assert [part["type"] for part in written["messages"][4]["content"]] == ["text", "image_url", "text"]
    assert "tool call a" in written["messages"][4]["content"][0]["text"]


def test_an_image_of_the_last_result_still_gets_its_message():
    written = write(ask(Message("user", (ToolResultPart("a", (ImagePart(url="https://x/y.png"),)),))))
    assert [message["role"] for message in written["messages"]] == ["tool", "user"]


@pytest.mark.parametrize(
    ("text", "shown"), [("boom", "Error: boom"), ("error: boom", "error: boom"), ("errors.log", "Error: errors.log")]
)
def test_a_failed_tool_says_so_in_its_text(text: str, shown: str):
    result = ToolResultPart("a", (TextPart(text),), is_error=True)
    assert write(ask(Message("user", (result,))))["messages"][0]["content"] == shown


def test_system_text_stays_in_place_unless_it_must_lead():
    messages = (
        Message("user", (TextPart("hi"),)),
        Message("system", (TextPart("a"), TextPart("b"))),
        Message("assistant", (TextPart("yo"),)),
        Message("system", (TextPart("c"),)),
    )
    assert [message["role"] for message in write(ask(*messages))["messages"]] == ["user", "system", "assistant", "system"]
    merged = write(ask(*messages), "system_first")["messages"]
    assert [message["role"] for message in merged] == ["system", "user", "assistant"]
    assert merged[0]["content"] == "a\n\nb\n\nc"


@pytest.mark.parametrize(
    ("fields", "quirks", "present"),
    [
        ({"max_tokens": 9}, (), {"max_tokens": 9}),
        ({"max_tokens": 9}, ("max_completion_tokens",), {"max_completion_tokens": 9}),
        ({"top_k": 4}, ("top_k",), {"top_k": 4}),
        ({"reasoning": Reasoning(effort="high")}, (), {"reasoning_effort": "high"}),
        ({"reasoning": Reasoning(budget_tokens=1024)}, (), {"reasoning_effort": "low"}),
        ({"reasoning": Reasoning(budget_tokens=31999)}, (), {"reasoning_effort": "high"}),
        ({"reasoning": Reasoning(enabled=False)}, ("thinking_switch",), {"chat_template_kwargs": OFF}),
        ({"reasoning": Reasoning(enabled=True)}, ("thinking_switch",), {"chat_template_kwargs": ON}),
        ({"reasoning": Reasoning(effort="none")}, ("thinking_switch", "no_reasoning_effort"), {"chat_template_kwargs": OFF}),
        ({"reasoning": Reasoning(effort="low")}, ("thinking_switch",), {"chat_template_kwargs": ON, "reasoning_effort": "low"}),
        ({}, ("thinking_switch",), {}),
        ({"stream": True}, (), {"stream": True, "stream_options": {"include_usage": True}}),
        ({"output": OutputFormat("json_object")}, (), {"response_format": {"type": "json_object"}}),
        ({"opaque": (Opaque("openai_chat", "store", msgspec.Raw(b"false")),)}, (), {"store": False}),
    ],
)
def test_fields_are_written_under_the_name_the_runtime_knows(
    fields: dict[str, Any], quirks: tuple[str, ...], present: dict[str, Any]
):
    plain = {"model": "served", "messages": [{"role": "user", "content": "hello"}]}
    assert write(ask(**fields), *quirks) == {**plain, **present}


@pytest.mark.parametrize(
    ("fields", "quirks"),
    [
        ({"top_k": 4}, ()),
        ({"reasoning": Reasoning(effort="high")}, ("no_reasoning_effort",)),
        ({"reasoning": Reasoning(enabled=False)}, ()),
        ({"tool_choice": ToolChoice("auto"), "parallel_tool_calls": True}, ()),
        ({"opaque": (Opaque("anthropic_messages", "metadata", msgspec.Raw(b"{}")),)}, ()),
    ],
)
def test_what_the_runtime_cannot_take_is_left_out(fields: dict[str, Any], quirks: tuple[str, ...]):
    assert sorted(write(ask(**fields), *quirks)) == ["messages", "model"]


@pytest.mark.parametrize(("limit", "written"), [(None, 100), (50, 50), (500, 100)])
def test_the_answers_limit_is_clamped_to_the_ceiling(limit: int | None, written: int):
    assert write(ask(max_tokens=limit), max_tokens_ceiling=100)["max_tokens"] == written


def test_engine_options_stand_at_the_top_level():
    assert write(ask(), extra={"cache_prompt": msgspec.Raw(b"true")})["cache_prompt"] is True


@pytest.mark.parametrize(("quirks", "shown"), [((), None), (("reasoning_content_in",), "hm")])
def test_thinking_goes_back_only_where_the_runtime_wants_it(quirks: tuple[str, ...], shown: str | None):
    message = Message("assistant", (ReasoningPart("hm", "signed"), TextPart("x")))
    assert write(ask(message), *quirks)["messages"][0].get("reasoning_content") == shown


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (ask(tools=(Opaque("anthropic_messages", "web_search_20250305", msgspec.Raw(b"{}")),)), "web_search_20250305"),
        (ask(tools=(Tool("a.b", None, None),)), "a.b"),
        (ask(tools=(Tool("x" * 65, None, None),)), "x" * 65),
        (ask(Message("user", (Opaque("anthropic_messages", "document", msgspec.Raw(b"{}")),))), "document"),
        (ask(Message("assistant", (ImagePart(url="https://x"),))), "image"),
        (ask(opaque=(Opaque("anthropic_messages", "mcp_servers", msgspec.Raw(b"[]")),)), "mcp_servers"),
    ],
)
def test_what_the_format_cannot_say_is_refused_by_name(request_: ChatRequest, named: str):
    with pytest.raises(FaultError) as caught:
        write(request_)
    assert caught.value.fault.kind is Kind.UNSUPPORTED
    assert named in caught.value.fault.message


def test_text_blocks_are_joined_where_the_runtime_takes_strings_only():
    message = Message("user", (TextPart("a"), TextPart("b")))
    assert write(ask(message))["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert write(ask(message), "string_content")["messages"][0]["content"] == "a\n\nb"
