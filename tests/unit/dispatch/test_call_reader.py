"""Calls in the events of a reply: numbered once, never said twice, passed on as they are where nothing can be done."""

import json

from freehold.chat import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStarted
from freehold.dispatch.call_reader import CallReader
from support.printed_calls import OFFER

ROME = '{"city": "Rome"}'
PRINTED = f'<tool_call>{{"name": "get_weather", "arguments": {ROME}}}</tool_call>'


class Wrote:
    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        del data
        return self._events

    def end(self) -> list[Event]:
        return []

    def whole(self, body: bytes) -> list[Event]:
        return self.feed(body)


def read(*events: Event, knows_all: bool = True) -> tuple[list[Event], CallReader]:
    reader = CallReader(Wrote(*events), OFFER, "req_01ab", knows_all=knows_all)
    return reader.feed(b""), reader


def calls(events: list[Event]) -> list[tuple[int, str, str]]:
    said = {event.index: event.arguments for event in events if isinstance(event, ToolCallDelta)}
    return [(event.index, event.name, said.get(event.index, "")) for event in events if isinstance(event, ToolCallStarted)]


def test_printed_and_sent_calls_are_numbered_together() -> None:
    events, _ = read(
        ToolCallStarted(0, "c", "mcp__clock__current_time"), TextDelta(PRINTED), ToolCallDelta(0, "{}"), Finished("stop")
    )  # fmt: skip
    assert [(at, name) for at, name, _ in calls(events)] == [(0, "get_weather"), (1, "mcp__clock__current_time")]
    assert events[-1] == Finished("tool_calls")


def test_a_call_that_comes_both_ways_is_made_once() -> None:
    events, _ = read(
        TextDelta(PRINTED), ToolCallStarted(0, "c", "get_weather"), ToolCallDelta(0, '{"city":"Rome"}'), Finished("tool_calls")
    )
    assert [(name, json.loads(said)) for _, name, said in calls(events)] == [("get_weather", {"city": "Rome"})]


def test_choices_do_not_mix() -> None:
    half = len(PRINTED) // 2
    events, _ = read(
        TextDelta(PRINTED[:half], 0), TextDelta("Hello ", 1), TextDelta(PRINTED[half:], 0), TextDelta("there.", 1), Finished("stop", None, 0), Finished("stop", None, 1)
    )  # fmt: skip
    assert [event for event in events if getattr(event, "choice", 0) == 1] == [
        TextDelta("Hello ", 1),
        TextDelta("there.", 1),
        Finished("stop", None, 1),
    ]
    assert events[-2] == Finished("tool_calls", None, 0)


def test_thinking_and_refusals_are_not_searched() -> None:
    events = [ReasoningDelta(PRINTED), TextDelta(PRINTED, 0, None, True), Finished("stop")]
    assert read(*events)[0] == events


def test_a_call_of_a_tool_that_only_the_client_knows_is_not_counted_as_wrong() -> None:
    sent = (ToolCallStarted(0, "c", "web_search"), ToolCallDelta(0, "{}"), Finished("tool_calls"))
    for knows_all in (True, False):
        events, reader = read(*sent, knows_all=knows_all)
        assert calls(events) == [(0, "web_search", "{}")]
        assert reader.left == int(knows_all)


def test_a_file_that_was_cut_off_is_not_written() -> None:
    text = '<tool_call>{"name": "write_file", "arguments": {"path": "a.py", "content": "def f('
    for reason in ("length", "stop"):
        events, reader = read(TextDelta(text), Finished(reason))
        assert events == [TextDelta(text), Finished(reason)]
        assert reader.left == 1


def test_held_words_count_as_a_sign_of_life() -> None:
    events, reader = read(TextDelta("<tool_call>{"))
    assert events == []
    assert reader.tap.content
