import json
from typing import Any

import jsonschema
import msgspec
import pytest

from freehold.chat import (
    ChatRequest,
    Event,
    Finished,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    TextDelta,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    ToolChoice,
    ToolResultPart,
)
from freehold.dispatch.schema_tools import SchemaToolReader, offer_by_schema, offers_by_schema
from freehold.fault import FaultError

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
WEATHER, CLOCK = Tool("get_weather", "Weather of a city", CITY), Tool("get_time", None, None)
HI = Message("user", (TextPart("hi"),))


def ask(**more: Any) -> ChatRequest:
    return ChatRequest(**({"model": "m", "messages": (HI,), "tools": (WEATHER, CLOCK)} | more))


def schema(request: ChatRequest) -> dict[str, Any]:
    offered = offer_by_schema(request)
    assert offered.output is not None
    assert offered.output.schema is not None
    assert offered.tools == ()
    assert offered.tool_choice is None
    return offered.output.schema


def allows(request: ChatRequest, answer: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema(request)).is_valid(answer))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


TWO = {"calls": [call("get_weather", city="Rome"), call("get_time")]}
ONE = {"calls": [call("get_weather", city="Rome")]}
WORDS = {"reply": "hello"}


@pytest.mark.parametrize(
    ("more", "allowed", "not_allowed"),
    [
        ({}, [ONE, TWO, WORDS], [{"calls": []}, {"calls": [call("other")]}, {"calls": [call("get_weather")]}]),
        ({"tool_choice": ToolChoice("auto")}, [ONE, TWO, WORDS], []),
        ({"tool_choice": ToolChoice("required")}, [ONE, TWO], [WORDS]),
        ({"tool_choice": ToolChoice("named", "get_weather")}, [ONE], [WORDS, TWO, {"calls": [call("get_time")]}]),
        ({"parallel_tool_calls": False}, [ONE, WORDS], [TWO]),
        ({"parallel_tool_calls": True}, [ONE, TWO], []),
        ({"tools": (CLOCK,)}, [{"calls": [call("get_time")]}], [{"calls": [call("get_time", x=1)]}, ONE]),
        ({"output": OutputFormat("json_schema", CITY)}, [ONE, {"reply": {"city": "Rome"}}], [WORDS]),
        ({"output": OutputFormat("json_object")}, [ONE, {"reply": {"any": 1}}], [WORDS]),
    ],
)
def test_the_answer_is_held_to_what_the_choice_allows(more: dict[str, Any], allowed: list[Any], not_allowed: list[Any]) -> None:
    assert all(allows(ask(**more), answer) for answer in allowed)
    assert not any(allows(ask(**more), answer) for answer in not_allowed)


def test_tools_are_described_behind_the_clients_own_system_text() -> None:
    system = Message("system", (TextPart("Be brief."),))
    offered = offer_by_schema(ask(messages=(system, HI)))
    texts = [part.text for part in offered.messages[0].parts if isinstance(part, TextPart)]
    assert texts[0] == "Be brief."
    assert "get_weather: Weather of a city" in texts[1]
    assert offered.messages[1:] == (HI,)
    assert offer_by_schema(ask()).messages[0].role == "system"


@pytest.mark.parametrize("more", [{"tool_choice": ToolChoice("none")}, {"tools": ()}])
def test_without_tools_to_call_nothing_is_asked_for(more: dict[str, Any]) -> None:
    request = ask(**more)
    assert not offers_by_schema(request)
    offered = offer_by_schema(request)
    assert offered.output is None
    assert offered.tools == ()
    assert offered.messages == (HI,)


@pytest.mark.parametrize("more", [{"tool_choice": ToolChoice("none")}, {"tools": ()}])
def test_after_calls_only_a_reply_is_allowed_where_none_may_be_made(more: dict[str, Any]) -> None:
    called = Message("assistant", (ToolCallPart("1", "get_weather", '{"city": "Rome"}'),))
    request = ask(messages=(HI, called, Message("user", (ToolResultPart("1", (TextPart("sun"),)),))), **more)
    assert offers_by_schema(request)
    assert allows(request, WORDS)
    assert not allows(request, ONE)
    system = offer_by_schema(request).messages[0]
    assert system.role == "system"
    assert "get_weather" not in "".join(part.text for part in system.parts if isinstance(part, TextPart))
    shaped = msgspec.structs.replace(request, output=OutputFormat("json_schema", CITY))
    assert not offers_by_schema(shaped), "the client's own schema is enough"
    assert offer_by_schema(shaped).output == shaped.output


def test_a_vendors_own_tool_is_left_to_the_wire_format() -> None:
    search = Opaque("anthropic_messages", "web_search", msgspec.Raw(b"{}"))
    assert offer_by_schema(ask(tools=(search,))).tools == (search,)
    assert offer_by_schema(ask(tools=(WEATHER, search))).tools == (search,)


def test_a_named_tool_that_is_not_there_is_the_callers_fault() -> None:
    with pytest.raises(FaultError, match="'nope'") as told:
        offer_by_schema(ask(tool_choice=ToolChoice("named", "nope")))
    assert told.value.fault.param == "tool_choice"


def test_earlier_calls_and_results_are_told_as_text() -> None:
    image = ImagePart(media_type="image/png", data="AAAA")
    history = (
        HI,
        Message(
            "assistant",
            (TextPart("Let me look."), ToolCallPart("1", "get_weather", '{"city": "Rome"}'), ToolCallPart("2", "get_time", "")),
        ),
        Message(
            "user",
            (
                ToolResultPart("1", (TextPart("sun"), image)),
                ToolResultPart("2", (TextPart("no"),), is_error=True),
                TextPart("go on"),
            ),
        ),
    )
    for tools in ((WEATHER,), ()):
        told = offer_by_schema(ask(messages=history, tools=tools)).messages[-2:]
        said, calls = told[0].parts
        assert said == TextPart("Let me look.")
        assert isinstance(calls, TextPart)
        assert json.loads(calls.text) == {"calls": [call("get_weather", city="Rome"), call("get_time")]}
        assert told[1].parts == (
            TextPart("Result of get_weather: sun\n"),
            image,
            TextPart("Result of get_time (it failed): no\n"),
            TextPart("go on"),
        )


class Written:
    """A reader whose model wrote these events."""

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        del data
        return self._events

    def end(self) -> list[Event]:
        return []

    def whole(self, body: bytes) -> list[Event]:
        return self.feed(body)


def read(*events: Event) -> list[Event]:
    return SchemaToolReader(Written(*events), "req_01ab").feed(b"")


def test_calls_become_tool_calls() -> None:
    assert read(TextDelta(json.dumps(TWO)), Finished("stop")) == [
        ToolCallStarted(0, "call_01ab_0", "get_weather"),
        ToolCallDelta(0, '{"city": "Rome"}'),
        ToolCallStarted(1, "call_01ab_1", "get_time"),
        ToolCallDelta(1, "{}"),
        Finished("tool_calls"),
    ]


def test_a_reply_keeps_the_finish_of_the_model() -> None:
    assert read(TextDelta(json.dumps(WORDS)), Finished("length")) == [TextDelta("hello"), Finished("length")]


@pytest.mark.parametrize("reason", ["stop", "length", "stop_sequence", "content_filter"])
def test_text_that_is_cut_short_is_shown_whatever_ended_it(reason: Any) -> None:
    assert read(TextDelta('{"calls": [{'), Finished(reason)) == [TextDelta('{"calls": [{'), Finished(reason)]


def test_calls_that_were_whole_when_a_limit_cut_the_answer_go_out_and_the_limit_is_told() -> None:
    written = json.dumps({"calls": [{"name": "look", "arguments": {"x": 1}}] * 2})
    begun, called, ended = read(TextDelta(written[:-12]), Finished("length"))
    assert (begun.name, called.arguments, ended) == ("look", '{"x": 1}', Finished("length"))
    assert read(TextDelta(written), Finished("length"))[-1] == Finished("tool_calls")
    assert read(TextDelta(written[:20]), Finished("length")) == [TextDelta(written[:20]), Finished("length")]


def test_choices_do_not_mix() -> None:
    events = read(
        TextDelta('{"reply": "a', 0), TextDelta('{"calls": [', 1), TextDelta('b"}', 0),
        TextDelta('{"name": "get_time", "arguments": {}}]}', 1), Finished("stop", None, 0), Finished("stop", None, 1),
    )  # fmt: skip
    assert events == [
        TextDelta("a", 0), TextDelta("b", 0), Finished("stop", None, 0),
        ToolCallStarted(0, "call_01ab_1_0", "get_time", 1), ToolCallDelta(0, "{}", 1), Finished("tool_calls", None, 1),
    ]  # fmt: skip


def test_a_refusal_passes() -> None:
    assert read(TextDelta("No.", 0, None, True), Finished("stop"))[0] == TextDelta("No.", 0, None, True)
