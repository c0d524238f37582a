import pytest

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from freehold.dispatch.held import HeldPipe
from freehold.fault import Fault
from freehold.routing.plan import Hold


class Script:
    """A reader that gives one event per byte fed."""

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        return [self._events.pop(0) for _ in data]

    def end(self) -> list[Event]:
        return self._events

    def whole(self, body: bytes) -> list[Event]:
        return self.feed(body)


class Names:
    """A writer that names each event."""

    def write(self, event: Event) -> bytes:
        return f"{type(event).__name__} ".encode()

    def close(self) -> bytes:
        return b"end"

    def fault(self, fault: Fault) -> bytes:
        return fault.message.encode()


EVENTS = (
    Started(),
    TextDelta(""),
    ReasoningDelta("hm"),
    TextDelta("a"),
    ToolCallStarted(0, "1", "f"),
    ToolCallDelta(0, "{}"),
    TextDelta("b"),
    UsageReported(Usage(input_tokens=1, output_tokens=2)),
    Finished("tool_calls"),
)
ALL = b"Started TextDelta ReasoningDelta TextDelta ToolCallStarted ToolCallDelta TextDelta UsageReported Finished end"


@pytest.mark.parametrize(("hold", "free"), [("whole", 0), ("tools", 4)])
def test_what_is_held_comes_out_in_order_at_the_release(hold: Hold, free: int) -> None:
    pipe = HeldPipe(Script(*EVENTS), Names(), hold)
    out = [pipe.feed(b"x") for _ in EVENTS]
    assert [bool(piece) for piece in out] == [index < free for index in range(len(EVENTS))]
    assert pipe.end() == b""
    assert b"".join(out) + pipe.release() == ALL
    assert pipe.reply().choices[0].finish == "tool_calls"
    assert pipe.tap.usage == Usage(input_tokens=1, output_tokens=2)
    assert pipe.tap.content


def test_only_content_that_went_out_ends_the_chance_of_a_fallback() -> None:
    pipe = HeldPipe(Script(*EVENTS), Names(), "tools")
    seen = []
    for _ in EVENTS:
        pipe.feed(b"x")
        seen.append(pipe.has_let_out)
    assert seen == [False, False, True, True, True, True, True, True, True]
    held = HeldPipe(Script(*EVENTS), Names(), "whole")
    held.feed(b"x" * len(EVENTS))
    assert not held.has_let_out
