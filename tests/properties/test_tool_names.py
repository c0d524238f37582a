"""Any names of tools become legal ones, each another, and come back as they were."""

import re

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import ChatRequest, Message, TextPart, Tool, ToolCallPart, ToolCallStarted, ToolChoice, WireFormat
from freehold.wire.tool_names import NameReader, legal_names, with_legal_names

QUICK = settings(max_examples=200, deadline=None)
LONGEST: dict[WireFormat, int] = {"openai_chat": 64, "openai_responses": 64, "anthropic_messages": 128}
LEGAL = re.compile(r"[A-Za-z0-9_-]+")
formats = st.sampled_from(sorted(LONGEST))
pieces = st.sampled_from(["mcp__files__", "read", "_", ".", "/", ":", "ü", "読む", " ", "a" * 60, "a" * 130, "b", "1", "-"])
names = st.one_of(
    st.lists(pieces, min_size=1, max_size=6).map("".join), st.text(min_size=1, max_size=150), st.just("\ud800 lone"), st.just("")
)
many = st.lists(names, min_size=1, max_size=12)


class Replay:
    """A reader that has read some calls."""

    def __init__(self, called: list[str]) -> None:
        self._called = called

    def feed(self, data: bytes) -> list[object]:
        del data
        return [ToolCallStarted(at, f"c{at}", name) for at, name in enumerate(self._called)]

    def end(self) -> list[object]:
        return self.feed(b"")

    def whole(self, body: bytes) -> list[object]:
        return self.feed(body)


def asking(offered: list[str], called: list[str]) -> ChatRequest:
    calls = tuple(ToolCallPart(f"c{at}", name, "{}") for at, name in enumerate(called))
    return ChatRequest(
        model="m",
        messages=(Message("user", (TextPart("hi"),)), Message("assistant", calls or (TextPart("so"),))),
        tools=tuple(Tool(name, None, None) for name in dict.fromkeys(offered)),
        tool_choice=ToolChoice("named", offered[0]),
    )


@QUICK
@given(many, formats)
def test_names_are_legal_each_another_and_legal_ones_stay(told: list[str], wire_format: WireFormat) -> None:
    legal = legal_names(told, wire_format)
    assert set(legal) == set(told)
    assert len(set(legal.values())) == len(legal)
    for name, made in legal.items():
        assert LEGAL.fullmatch(made)
        assert len(made) <= LONGEST[wire_format]
        if LEGAL.fullmatch(name) and len(name) <= LONGEST[wire_format]:
            assert made == name


@QUICK
@given(many, many, formats)
def test_a_request_goes_out_legal_and_its_answer_has_the_client_s_names(
    offered: list[str], called: list[str], wire_format: WireFormat
) -> None:
    request = asking(offered, called)
    sent, own = with_legal_names(request, wire_format)
    went = [tool.name for tool in sent.tools if isinstance(tool, Tool)]
    went += [part.name for part in sent.messages[1].parts if isinstance(part, ToolCallPart)]
    assert all(LEGAL.fullmatch(name) and len(name) <= LONGEST[wire_format] for name in went)
    assert sent.tool_choice is not None
    assert sent.tool_choice.name == went[0]
    reader = NameReader(Replay(went), own)  # type: ignore[arg-type]  # its events are those of a reader
    for events in (reader.feed(b""), reader.end(), reader.whole(b"")):
        back = [event.name for event in events if isinstance(event, ToolCallStarted)]
        assert back == [*dict.fromkeys(offered), *called]


@QUICK
@given(many, many, formats)
def test_a_longer_conversation_leaves_the_names_before_it_as_they_were(
    offered: list[str], called: list[str], wire_format: WireFormat
) -> None:
    before, _ = with_legal_names(asking(offered, []), wire_format)
    after, _ = with_legal_names(asking(offered, called), wire_format)
    assert after.tools == before.tools


def test_what_is_legal_is_not_even_copied() -> None:
    request = asking(["mcp__files__read", "Read"], ["Read"])
    for wire_format in LONGEST:
        assert with_legal_names(request, wire_format) == (request, {})
        assert with_legal_names(request, wire_format)[0] is request
    odd = asking(["files.read"], [])
    assert with_legal_names(odd, "ollama")[0] is odd


def test_a_name_that_looks_like_another_s_legal_one_is_no_collision() -> None:
    own = "mcp.files.read"
    (made,) = legal_names([own], "openai_chat").values()
    assert made.startswith("mcp_files_read_")
    both = legal_names([own, made], "openai_chat")
    assert both[made] == made
    assert both[own] != made
    assert msgspec.json.encode(both)
