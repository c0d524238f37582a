import pytest

from freehold.chat import ChatRequest, Message, OutputFormat, TextPart, Tool, ToolCallPart
from freehold.dispatch.mend import GO_ON, NEUTRAL_SYSTEM, end_with_a_question, mend

HI = Message("user", (TextPart("hi"),))
SYSTEM = Message("system", (TextPart("Be brief."),))
TOOL = Tool("f", None, None)


def ask(*messages: Message, tools: tuple[Tool, ...] = (), output: OutputFormat | None = None) -> ChatRequest:
    return ChatRequest(model="m", messages=messages, tools=tools, output=output)


@pytest.mark.parametrize("quirks", [(), ("always_stream",), ("system_first",), ("tools_by_schema",)])
def test_without_a_quirk_that_applies_the_request_is_the_same(quirks: tuple[str, ...]) -> None:
    request = ask(HI)
    assert mend(request, frozenset(quirks)) is request


def test_a_system_prompt_is_added_only_where_there_is_none() -> None:
    quirks = frozenset({"neutral_system"})
    assert mend(ask(HI), quirks).messages == (Message("system", (TextPart(NEUTRAL_SYSTEM),)), HI)
    assert mend(ask(HI, SYSTEM), quirks).messages == (HI, SYSTEM)


def test_tools_and_earlier_calls_leave_as_text_for_a_model_that_cannot_call() -> None:
    quirks = frozenset({"tools_by_schema"})
    assert mend(ask(HI, tools=(TOOL,)), quirks).tools == ()
    called = Message("assistant", (ToolCallPart("1", "f", "{}"),))
    told = mend(ask(HI, called, HI), quirks).messages[-2].parts
    assert told == (TextPart('{"calls": [{"name": "f", "arguments": {}}]}'),)
    assert mend(ask(HI, called, tools=(TOOL,)), frozenset()).messages[1] == called


def test_a_schema_that_would_end_the_engine_is_made_plain() -> None:
    output = OutputFormat("json_schema", {"type": "string", "minLength": 5, "maxLength": 2}, "x", True)
    mended = mend(ask(HI, output=output), frozenset({"tools_by_schema"})).output
    assert mended is not None
    assert mended.schema is not None
    assert "minLength" not in mended.schema
    assert (mended.kind, mended.name, mended.strict) == ("json_schema", "x", True)


def test_a_responses_client_that_ends_with_the_models_words_has_it_go_on() -> None:
    said = Message("assistant", (TextPart("I read it."),))
    asked = end_with_a_question(ask(HI, said), "openai_responses")
    assert asked.messages == (HI, said, Message("user", (TextPart(GO_ON),)))
    for request in (ask(HI), ask(HI, said, HI), ask(HI, Message("assistant", (ToolCallPart("1", "f", "{}"),)))):
        assert end_with_a_question(request, "openai_responses") is request
    prefilled = ask(HI, said)
    assert end_with_a_question(prefilled, "anthropic_messages") is prefilled
    assert end_with_a_question(prefilled, "openai_chat") is prefilled
