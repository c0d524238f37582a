"""Ollama's format: bytes cut anywhere say the same, relays keep what they may not touch, requests survive other formats."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import (
    ChatRequest,
    Choice,
    Event,
    ImagePart,
    ReasoningPart,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    fold,
)
from freehold.fault import FaultError, Kind
from freehold.wire import anthropic_messages, ollama, openai_chat
from freehold.wire.codec import Asked, Codec, Sent
from freehold.wire.ndjson import LineSplitter
from freehold.wire.ollama import generate
from support.drawn import arguments, cut, names, schemas, streamed, words

QUICK = settings(max_examples=60, deadline=None)
ASKED = Asked(model="asked", stream_usage=True, reply_id="r", now_s=1)
QUIRKS = frozenset({"structured_output", "effort", "think"})

images = st.sampled_from(["iVBORw0KGgoAAAA=", "/9j/4AAQ", "R0lGODlh", "UklGRgAA"])


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    parts: list[TextPart | ReasoningPart | ToolCallPart] = [ReasoningPart(text) for text in draw(st.lists(words, max_size=1))]
    parts += [TextPart(text) for text in draw(st.lists(words, max_size=1))]
    calls = draw(st.lists(st.tuples(names, arguments), max_size=2))
    parts += [ToolCallPart(f"call_{at}", name, json.dumps(given)) for at, (name, given) in enumerate(calls)]
    usage = Usage(input_tokens=draw(st.integers(0, 900)), output_tokens=draw(st.integers(0, 900)))
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    return Reply(id="reply_1", model="up", choices=(Choice(tuple(parts), finish),), usage=usage)  # type: ignore[arg-type]  # one of three words


@QUICK
@given(
    st.lists(st.sampled_from([b"{}", b'{"a":1}', b"", b"\r", b" x "]), max_size=6), st.booleans(), st.lists(st.integers(0, 99))
)
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], ends: bool, marks: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    data = data if ends or not data else data[:-1]
    whole = LineSplitter()
    expected = whole.feed(data) + whole.end()
    splitter = LineSplitter()
    got = [line for part in cut(data, marks) for line in splitter.feed(part)] + splitter.end()
    assert got == expected
    assert b"".join(line.raw for line in got) == data
    assert [line.data for line in got] == [line.strip() for line in (data.split(b"\n") if data else [])][: len(got)]


@QUICK
@given(replies(), st.sampled_from([ollama, generate]), st.booleans())
def test_a_stream_cut_at_every_byte_reads_and_relays_the_same(reply: Reply, codec: Codec, renames: bool) -> None:
    stream = streamed(reply, codec, Asked(model="their/name" if renames else "asked", stream_usage=True, reply_id="r", now_s=1))
    reader = codec.reader()
    expected = reader.feed(stream) + reader.end()
    by_byte = codec.reader()
    events: list[Event] = [event for at in range(len(stream)) for event in by_byte.feed(stream[at : at + 1])]
    assert events + by_byte.end() == expected
    pipe = codec.relay_pipe(ASKED)
    relayed = b"".join([pipe.feed(stream[at : at + 1]) for at in range(len(stream))]) + pipe.end()
    assert relayed == stream.replace(b'"model":"their/name"', b'"model":"asked"')
    assert pipe.tap.edits == ({"reply_model"} if renames else set())


@QUICK
@given(replies(), st.sampled_from([ollama, generate]), st.data())
def test_a_stream_cut_short_is_broken(reply: Reply, codec: Codec, data: st.DataObject) -> None:
    stream = streamed(reply, codec, ASKED)
    last = stream.rstrip(b"\n").rfind(b"\n") + 1
    short = stream[: data.draw(st.integers(0, max(len(stream) - 3, last)))]
    for feed, end in (endings(codec.reader()), endings(codec.relay_pipe(ASKED))):
        feed(short)
        with pytest.raises(FaultError) as caught:
            end()
        assert caught.value.fault.kind is Kind.BROKEN_STREAM


def endings(one: Any) -> tuple[Callable[[bytes], object], Callable[[], object]]:
    return one.feed, one.end


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """A chat with up to two rounds of parallel calls of tools with different names."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    messages.append({"role": "user", "content": draw(words), "images": draw(st.lists(images, max_size=2))})
    for _ in range(draw(st.integers(0, 2))):
        called = draw(st.lists(names, min_size=1, max_size=3))
        calls = [{"function": {"name": name, "arguments": draw(arguments)}} for name in called]
        messages.append({"role": "assistant", "content": draw(st.sampled_from(["", "let me see"])), "tool_calls": calls})
        messages += [{"role": "tool", "tool_name": name, "content": draw(words)} for name in called]
        messages.append({"role": "user", "content": draw(words)})
    body: dict[str, Any] = {"model": "m", "messages": messages, "stream": draw(st.booleans())}
    body["options"] = {
        "num_predict": draw(st.integers(1, 9000)),
        "temperature": draw(st.sampled_from([0.0, 0.5])),
        "stop": ["end"],
    }
    tools = draw(st.lists(names, max_size=2, unique=True))
    if tools:
        body["tools"] = [
            {"type": "function", "function": {"name": name, "description": draw(words), "parameters": draw(schemas)}}
            for name in tools
        ]
    if draw(st.booleans()):
        body["format"] = draw(schemas)
    if draw(st.booleans()):
        body["think"] = draw(st.sampled_from(["low", "high"]))
    return body


def gist(request: ChatRequest) -> tuple[Any, ...]:
    """What was said and asked, without what other formats move: a system text's place among texts, ids' spelling."""
    said: list[tuple[Any, ...]] = []
    for message in request.messages:
        for part in message.parts:
            match part:
                case TextPart(text):
                    said.append((message.role, text))
                case ImagePart(media_type, data):
                    said.append((message.role, media_type, data))
                case ToolCallPart(call_id, name, given):
                    said.append((call_id, name, json.loads(given or "{}")))
                case ToolResultPart(call_id, content):
                    said.append((call_id, [inner.text for inner in content if isinstance(inner, TextPart)]))
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]  # type: ignore[union-attr]
    output = None if request.output is None else request.output.schema
    effort = None if request.reasoning is None else request.reasoning.effort
    return said, tools, output, effort, request.max_tokens, request.temperature, request.stop, request.stream


def through(request: ChatRequest, codec: Codec) -> ChatRequest:
    return codec.read_request(codec.peek(codec.write_request(request, Sent(model="m", quirks=QUIRKS))))


@QUICK
@given(chats(), st.sampled_from([openai_chat, anthropic_messages]))
def test_a_chat_survives_other_formats_and_back(body: dict[str, Any], other: Codec) -> None:
    request = ollama.read_request(ollama.peek(json.dumps(body).encode()))
    there = through(request, other)
    assert gist(there) == gist(request)
    assert gist(through(there, ollama)) == gist(request)


@QUICK
@given(chats(), st.sampled_from(["m", "other"]), st.none() | st.integers(1, 9000), st.none() | st.integers(1, 9000))
def test_a_relayed_request_differs_by_its_named_edits_only(
    body: dict[str, Any], served_as: str, ceiling: int | None, window: int | None
) -> None:
    data = json.dumps(body).encode()
    relayed, edits = ollama.relay_request(ollama.peek(data), Sent(model=served_as, max_tokens_ceiling=ceiling, window=window))
    expected = {**body, "model": served_as, "truncate": False, "shift": False, "options": dict(body["options"])}
    named = {"engine_options"} | ({"model"} if served_as != "m" else set())
    if ceiling is not None and ceiling < body["options"]["num_predict"]:
        expected["options"]["num_predict"] = ceiling
        named.add("max_tokens_clamped")
    if window is not None:
        expected["options"]["num_ctx"] = window
    assert json.loads(relayed) == expected
    assert set(edits) == named
    again, more = ollama.relay_request(ollama.peek(relayed), Sent(model=served_as, max_tokens_ceiling=ceiling, window=window))
    assert (again, more) == (relayed, ()), "a body that needs no edit leaves as the very bytes that came"


@QUICK
@given(replies())
def test_a_whole_reply_says_what_its_stream_says(reply: Reply) -> None:
    for codec in (ollama, generate):
        reader = codec.reader()
        stream = fold(reader.feed(streamed(reply, codec, ASKED)) + reader.end())
        whole = fold(codec.reader().whole(codec.write_whole(reply, ASKED)))
        assert (whole.choices, whole.usage, whole.model) == (stream.choices, stream.usage, "asked")
