"""What a Responses request means, what becomes of it elsewhere, and which bodies are refused, by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from freehold.chat import (
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
from freehold.wire import anthropic_messages, openai_chat, openai_responses
from freehold.wire.carry import carry_request
from freehold.wire.codec import Sent
from support.openai_schema import complaints
from support.responses import chat, read, write

SAMPLE = (Path(__file__).resolve().parents[3] / "wire_samples" / "openai_responses" / "agent_request.json").read_bytes()


ITEM_SCHEMAS = {
    None: "EasyInputMessage",
    "function_call": "FunctionToolCall",
    "function_call_output": "FunctionCallOutputItemParam",
    "custom_tool_call": "CustomToolCall",
    "custom_tool_call_output": "CustomToolCallOutput",
    "reasoning": "ReasoningItem",
    "web_search_call": "WebSearchToolCall",
}


def judge(sent: dict[str, Any]) -> None:
    """By the published schema, item by item: its `InputItem` takes messages in two overlapping ways, which `oneOf` forbids.

    It wants an id for thinking; the vendor does without one, and an id it does not know could only do harm.
    """
    for item in sent["input"]:
        known = {"id": "rs", **item} if item.get("type") == "reasoning" else item
        if item.get("role") != "assistant":
            assert complaints(ITEM_SCHEMAS[item.get("type")], known) == []
    assert complaints("CreateResponse", {**sent, "input": "judged"}) == []


def test_an_agents_request_is_read() -> None:
    request = openai_responses.read_request(openai_responses.peek(SAMPLE))
    assert request.messages == (
        Message("system", (TextPart("You work in a terminal."),)),
        Message("system", (TextPart("Ask before you delete."),)),
        Message("user", (TextPart("cwd: /srv/app"),)),
        Message("user", (TextPart("What does this screen say?"), ImagePart("image/png", "iVBORw==", None, "high"))),
        Message(
            "assistant",
            (
                ReasoningPart("Look first.", "openai_responses:gAAAAB0x"),
                TextPart("I look."),
                ToolCallPart("call_a", "exec_command", '{"cmd":"ls"}'),
                ToolCallPart("call_b", "mcp__files__read", '{"path":"a.txt"}'),
                ToolCallPart("call_c", "apply_patch", '{"input":"*** Begin Patch\\n*** End Patch"}'),
            ),
        ),
        Message(
            "user",
            (
                ToolResultPart("call_a", (TextPart("a.txt"),)),
                ToolResultPart("call_b", (TextPart("page"), ImagePart("image/png", "AAAA"))),
                ToolResultPart("call_c", (TextPart("Done!"),)),
            ),
        ),
        request.messages[6],
        Message("user", (TextPart("Go on."),)),
    )
    [search] = request.messages[6].parts
    assert isinstance(search, Opaque)
    assert (search.key, search.may_drop) == ("web_search_call", True)
    assert [tool.name if isinstance(tool, Tool) else tool.key for tool in request.tools] == [
        "exec_command",
        "mcp__files__read",
        "apply_patch",
        "web_search",
    ]
    assert request.tool_choice == ToolChoice("auto")
    assert request.reasoning == Reasoning(True, "medium")
    assert request.stream


def test_the_envelope_tells_what_a_decision_needs() -> None:
    envelope = openai_responses.peek(SAMPLE)
    assert (envelope.model, envelope.stream, envelope.tools, envelope.session_hint) == ("gpt-5-codex", True, 4, "0193-session")
    blocks = [openai_responses.describe(block) for block in envelope.blocks]
    assert [block.role for block in blocks] == (
        ["system"] * 2 + ["user"] * 2 + ["assistant"] * 5 + ["tool"] * 3 + ["assistant", "user", "tools"]
    )
    assert sum(block.images for block in blocks) == 2
    assert sum(block.tool_calls for block in blocks) == 3
    assert sum(block.tool_results for block in blocks) == 3
    texts = " ".join(text for block in blocks for text in block.texts)
    said = (
        "terminal",
        "cwd",
        "screen",
        "Look first",
        "I look",
        "exec_command",
        "a.txt",
        "Begin Patch",
        "page",
        "Done!",
        "Go on",
        "lark",
    )
    assert all(word in texts for word in said)


def test_instructions_and_a_plain_text_are_blocks_with_a_role() -> None:
    envelope = openai_responses.peek(b'{"model":"m","instructions":"be","input":"hi"}')
    assert [(block.role, block.texts) for block in map(openai_responses.describe, envelope.blocks)] == [
        ("system", ("be",)),
        ("user", ("hi",)),
    ]


def test_the_same_request_goes_back_as_the_client_sent_it() -> None:
    body = json.loads(SAMPLE)
    sent = write(openai_responses.read_request(openai_responses.peek(SAMPLE)))
    for key in (
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "store",
        "include",
        "prompt_cache_key",
        "text",
        "stream",
    ):
        assert sent[key] == body[key], key
    items = [(item.get("type", "message"), item.get("namespace"), item.get("encrypted_content")) for item in sent["input"]]
    assert items == [
        (item.get("type", "message"), item.get("namespace"), item.get("encrypted_content")) for item in body["input"]
    ]
    judge(sent)


@pytest.mark.parametrize("codec", [openai_chat, anthropic_messages])
def test_an_agents_request_reaches_runtimes_that_know_functions_only(codec: Any) -> None:
    request = carry_request(openai_responses.read_request(openai_responses.peek(SAMPLE)), codec.FORMAT)
    sent = codec.write_request(request, Sent(model="theirs", quirks=frozenset({"system_first"})))
    assert b"web_search" not in sent
    assert b"gAAAAB0x" not in sent, "thinking encrypted by one vendor is of no use to another"
    assert all(word in sent for word in (b"mcp__files__read", b"apply_patch", b"lark", b"Done!", b"iVBORw=="))


def test_thinking_another_vendor_signed_travels_through_the_client_and_back_to_that_vendor_only() -> None:
    signed = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]}
    request = read(input=[{**signed, "encrypted_content": "anthropic_messages:c2ln"}, {"role": "user", "content": "go"}])
    assert request.messages[0].parts == (ReasoningPart("t", "c2ln"),)
    assert [item["role"] for item in write(request)["input"]] == ["user"]
    thinking = json.loads(anthropic_messages.write_request(request, Sent(model="m")))["messages"][0]["content"][0]
    assert (thinking["type"], thinking["signature"]) == ("thinking", "c2ln")
    redacted = read(input=[{**signed, "summary": [], "encrypted_content": "anthropic_messages_redacted:xyz"}])
    assert redacted.messages[0].parts == (ReasoningPart("", None, "xyz"),)
    ours = read(input=[{**signed, "encrypted_content": "gAAA"}, {"role": "user", "content": "go"}])
    assert b"gAAA" not in anthropic_messages.write_request(ours, Sent(model="m"))


@pytest.mark.parametrize(
    ("choice", "meant", "left"),
    [
        ("required", ToolChoice("required"), ["a", "s__b", "c", "web_search"]),
        ({"type": "function", "name": "a"}, ToolChoice("named", "a"), ["a", "s__b", "c", "web_search"]),
        ({"type": "function", "name": "b", "namespace": "s"}, ToolChoice("named", "s__b"), ["a", "s__b", "c", "web_search"]),
        ({"type": "custom", "name": "c"}, ToolChoice("named", "c"), ["a", "s__b", "c", "web_search"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}, {"type": "web_search"}]},
            ToolChoice("required"),
            ["a", "web_search"],
        ),
    ],
)
def test_choices_of_tools(choice: Any, meant: ToolChoice, left: list[str]) -> None:
    function = {"type": "function", "parameters": {"type": "object"}}
    tools = [
        {**function, "name": "a"},
        {"type": "namespace", "name": "s", "tools": [{**function, "name": "b"}]},
        {"type": "custom", "name": "c"},
        {"type": "web_search"},
    ]
    request = read(input="hi", tools=tools, tool_choice=choice)
    assert request.tool_choice == meant
    assert [tool.name if isinstance(tool, Tool) else tool.key for tool in request.tools] == left
    if isinstance(choice, dict) and choice["type"] != "allowed_tools":
        assert write(request)["tool_choice"] == choice


def test_tools_an_item_adds_are_tools() -> None:
    more = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late", "parameters": None}]}
    request = read(input=[more, {"role": "user", "content": "hi"}])
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["late"]
    assert len(request.messages) == 1


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, OutputFormat("json_object")),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            OutputFormat("json_schema", {"type": "object"}, "n", True),
        ),
    ],
)
def test_forms_of_output(text: Any, output: OutputFormat | None) -> None:
    request = read(input="hi", text=text)
    assert request.output == output
    assert write(request).get("text") == (None if output is None else text)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({}, "input"),
    "an empty input": ({"input": []}, "input"),
    "input of a wrong type": ({"input": 5}, "input"),
    "a limit of nothing": ({"input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
    "a limit of a wrong type": ({"input": "hi", "max_output_tokens": "9"}, "max_output_tokens"),
    "an unknown role": ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    "no content": ({"input": [{"role": "user"}]}, "input[0].content"),
    "a call without a name": ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
    "a call without an id": ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    "a result without an id": ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
    "a result without output": ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
    "an item that is nothing": ({"input": [{}]}, "input[0]"),
    "a text part without text": ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    "an image without anything": (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].image_url",
    ),
    "a data URL that is no base64": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,abc"}]}]},
        "input[0].content[0].image_url",
    ),
    "a tool without a name": ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
    "a tool without a type": ({"input": "hi", "tools": [{"name": "f"}]}, "tools[0].type"),
    "two tools of one name": ({"input": "hi", "tools": [{"type": "custom", "name": "f"}] * 2}, "tools"),
    "a namespace in a namespace": (
        {"input": "hi", "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "namespace", "name": "m"}]}]},
        "tools[0].tools[0].type",
    ),
    "an unknown choice": ({"input": "hi", "tool_choice": "maybe"}, "tool_choice"),
    "a nameless choice": ({"input": "hi", "tool_choice": {"type": "function"}}, "tool_choice"),
    "a schema without a schema": ({"input": "hi", "text": {"format": {"type": "json_schema"}}}, "text.format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_refused_by_name(name: str) -> None:
    body, param = REFUSED[name]
    with pytest.raises(FaultError) as told:
        read(**body)
    assert told.value.fault.kind is Kind.INVALID_REQUEST
    assert told.value.fault.param == param
    assert param in told.value.fault.message


ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "a file": ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
    "an uploaded image": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0]",
    ),
    "a file in a result": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]}]},
        "input[0].output[0]",
    ),
    "a reference": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    "a reference without a type": ({"input": [{"id": "msg_1"}]}, "input[0]"),
    "compacted history": ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]"),
    "a shell call": ({"input": [{"type": "local_shell_call", "id": "i", "call_id": "c"}]}, "input[0]"),
    "a search in files": ({"input": "hi", "tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools[0]"),
    "a vendor's tool that must be used": ({"input": "hi", "tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_only_this_format_has_goes_to_it_and_is_refused_elsewhere(name: str) -> None:
    body, param = ELSEWHERE[name]
    request = read(**body)
    for wire_format in ("openai_chat", "anthropic_messages", "ollama"):
        with pytest.raises(FaultError) as told:
            carry_request(request, wire_format)  # type: ignore[arg-type]  # the three are formats
        assert (told.value.fault.kind, told.value.fault.param) == (Kind.UNSUPPORTED, param)
    assert carry_request(request, "openai_responses") is request
    write(request)


def test_hints_are_left_out_elsewhere() -> None:
    hints = {
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "truncation": "auto",
        "background": False,
        "new_field": 1,
    }
    request = carry_request(read(input="hi", **hints), "openai_chat")
    assert request.opaque == ()
    assert json.loads(openai_chat.write_request(request, Sent(model="m"))).keys() == {"model", "messages"}


def test_a_chat_request_is_stateless_here_and_keeps_what_the_two_share() -> None:
    sent = write(chat(max_tokens=4, verbosity="low", metadata={"a": "b"}, reasoning_effort="high", user="u"))
    judge(sent)
    assert sent["store"] is False
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["max_output_tokens"] == 16, "the format refuses less"
    assert (sent["text"], sent["metadata"], sent["user"]) == ({"verbosity": "low"}, {"a": "b"}, "u")
    assert write(chat(store=True))["store"] is True
    assert write(chat(max_tokens=900), ceiling=100)["max_output_tokens"] == 100
