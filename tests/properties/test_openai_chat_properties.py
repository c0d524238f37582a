"""Chat Completions: nothing is lost, cuts change nothing, and no bytes whatever raise anything but a fault."""

import itertools
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
    unfold,
)
from freehold.fault import FaultError
from freehold.wire import openai_chat
from freehold.wire.codec import Asked, Sent

ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
said = text.filter(bool)
name = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
tokens = st.integers(0, 10**6)


@st.composite
def choice_events(draw: st.DrawFn, choice: int, *, signs: bool) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["text", "reasoning", "call"]), max_size=6)):
        if kind == "text":
            logprobs = draw(st.none() | st.just(msgspec.Raw(b'[{"token":"t"}]')))
            events.append(TextDelta(draw(said), choice, logprobs))
        elif kind == "reasoning":
            signature = draw(st.none() | said) if signs else None
            events.append(ReasoningDelta(draw(said), choice, signature))
        else:
            events.append(ToolCallStarted(calls, f"call_{choice}_{calls}", draw(name), choice))
            events.extend(ToolCallDelta(calls, piece, choice) for piece in draw(st.lists(said, max_size=3)))
            calls += 1
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    events.append(Finished(reason, None, choice))
    return events


@st.composite
def replies(draw: st.DrawFn, *, signs: bool = False) -> list[Event]:
    """The events of a reply as an upstream might send them, the choices' events interleaved."""
    lanes = [draw(choice_events(choice, signs=signs)) for choice in range(draw(st.integers(1, 2)))]
    order = draw(st.permutations([at for at, lane in enumerate(lanes) for _ in lane]))
    rest = [iter(lane) for lane in lanes]
    events: list[Event] = [Started("id-1", "m", 5, None, draw(st.none() | said)), *(next(rest[at]) for at in order)]
    prompt, completion = draw(tokens), draw(tokens)
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=draw(st.integers(0, prompt)),
        reasoning_tokens=draw(st.integers(0, completion)),
    )
    return [*events, UsageReported(usage)]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=100, deadline=None)
@given(replies(signs=True))
def test_folding_what_was_unfolded_gives_the_reply(events: list[Event]):
    reply = fold(events)
    assert fold(unfold(reply)) == reply


def with_arguments(reply: Reply) -> Reply:
    """As it is written: a call that has none is given an empty object."""
    replace = msgspec.structs.replace
    choices = [
        replace(
            choice,
            parts=tuple(
                replace(part, arguments=part.arguments or "{}") if isinstance(part, ToolCallPart) else part
                for part in choice.parts
            ),
        )
        for choice in reply.choices
    ]
    return replace(reply, choices=tuple(choices))


@settings(max_examples=100, deadline=None)
@given(replies(), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_written_stream_reads_back_as_itself_cut_anywhere(events: list[Event], at: list[int]):
    writer = openai_chat.writer(ASKED)
    stream = b"".join(writer.write(event) for event in events) + writer.close()
    reader, relay = openai_chat.reader(), openai_chat.relay_pipe(ASKED)
    pieces = cut(stream, at)
    read = [event for piece in pieces for event in reader.feed(piece)] + reader.end()
    assert fold(read) == with_arguments(fold(events))
    assert b"".join([relay.feed(piece) for piece in pieces]) + relay.end() == stream


@settings(max_examples=60, deadline=None)
@given(replies())
def test_a_written_whole_reply_reads_back_as_itself(events: list[Event]):
    reply = fold(events)
    again = fold(openai_chat.reader().whole(openai_chat.write_whole(reply, ASKED)))
    assert told(again) == told(reply)


def told(reply: Reply) -> object:
    """A reply as the format can say it whole: all thinking, all text, then all calls."""
    return (
        reply.id, reply.created_s, reply.fingerprint, reply.usage,
        [
            (
                [
                    "".join(getattr(part, "text", "") for part in choice.parts if type(part).__name__ == kind)
                    for kind in ("ReasoningPart", "TextPart")
                ],
                [(part.id, part.name, part.arguments or "{}") for part in choice.parts if type(part).__name__ == "ToolCallPart"],
                choice.finish,
                [token for raw in choice.logprobs for token in msgspec.json.decode(raw)],
            )
            for choice in reply.choices
        ],
    )  # fmt: skip


parts = st.one_of(
    st.builds(lambda value: {"type": "text", "text": value}, said),
    st.builds(
        lambda data, detail: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", **detail}},
        st.sampled_from(["AAAA", "iVBORw0KGgo="]),
        st.sampled_from([{}, {"detail": "low"}]),
    ),
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    st.just({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
)
many_parts = st.lists(parts, min_size=2, max_size=3)
text_parts = st.lists(st.builds(lambda value: {"type": "text", "text": value}, said), min_size=2, max_size=3)
call = st.builds(
    lambda call_id, function, arguments: {
        "id": call_id,
        "type": "function",
        "function": {"name": function, "arguments": arguments},
    },
    name,
    name,
    st.sampled_from(["{}", '{"a": 1.50}', '{"b"']),
)
messages = st.one_of(
    st.builds(lambda content: {"role": "system", "content": content}, text | text_parts),
    st.builds(lambda content: {"role": "user", "content": content}, text | many_parts),
    st.builds(lambda content, who: {"role": "user", "content": content, "name": who}, text, name),
    st.builds(lambda content: {"role": "assistant", "content": content}, text | text_parts),
    st.builds(
        lambda content, calls: {"role": "assistant", "content": content, "tool_calls": calls},
        st.none() | said,
        st.lists(call, min_size=1, max_size=2),
    ),
    st.builds(lambda call_id, content: {"role": "tool", "tool_call_id": call_id, "content": content}, name, text | text_parts),
)
tools = st.one_of(
    st.builds(
        lambda called, more: {"type": "function", "function": {"name": called, **more}},
        name,
        st.sampled_from([{}, {"description": "d", "parameters": {"type": "object", "x": [1, None, 1.5]}, "strict": True}]),
    ),
    st.just({"type": "custom", "custom": {"name": "c"}}),
)
unit = st.floats(0, 1, allow_nan=False)
optional: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 10**9),
    "temperature": unit,
    "top_p": unit,
    "frequency_penalty": unit,
    "presence_penalty": unit,
    "seed": st.integers(-(2**31), 2**31),
    "stop": st.lists(said, min_size=1, max_size=3),
    "n": st.integers(2, 4),
    "logprobs": st.just(True),
    "top_logprobs": st.integers(0, 20),
    "response_format": st.sampled_from(
        [
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": False}},
        ]
    ),
    "reasoning_effort": st.sampled_from(["none", "low", "xhigh"]),
    "user": said,
    "store": st.booleans(),
    "metadata": st.dictionaries(name, said, max_size=2),
    "logit_bias": st.just({"5": -1}),
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(messages, min_size=1, max_size=6),
    st.lists(tools, max_size=2),
    st.fixed_dictionaries({}, optional=optional),
    st.booleans(),
)
def test_a_request_goes_through_the_middle_and_loses_nothing(
    said_messages: list[dict[str, Any]], offered: list[dict[str, Any]], fields: dict[str, Any], stream: bool
):
    request: dict[str, Any] = {"model": "m", "messages": said_messages, **fields}
    if offered:
        request |= {"tools": offered, "tool_choice": "required", "parallel_tool_calls": False}
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    read = openai_chat.read_request(openai_chat.peek(msgspec.json.encode(request)))
    assert msgspec.json.decode(openai_chat.write_request(read, Sent(model="m"))) == request


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
request_keys = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "stop",
    "n",
    "stream",
    "stream_options",
    "max_tokens",
    "response_format",
    "logprobs",
    "user",
    "functions",
    "reasoning_effort",
]
message_keys = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "function",
    "name",
    "type",
    "text",
    "image_url",
    "url",
    "arguments",
    "id",
    "refusal",
    "audio",
]
junk_request = st.dictionaries(
    st.sampled_from(request_keys),
    json_values | st.lists(st.dictionaries(st.sampled_from(message_keys), json_values | st.sampled_from(["user", "assistant", "tool"]))),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | junk_request.map(lambda fields: msgspec.json.encode({"model": "m", **fields})))
def test_no_body_raises_anything_but_a_fault(body: bytes):
    try:
        envelope = openai_chat.peek(body)
    except FaultError:
        return
    for block in envelope.blocks:
        quietly(openai_chat.describe, block)
    openai_chat.relay_request(envelope, Sent(model="x", max_tokens_ceiling=5))
    request = quietly(openai_chat.read_request, envelope)
    if request is not None:
        quietly(openai_chat.write_request, request, Sent(model="x"))


chunk_keys = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "error",
    "delta",
    "message",
    "index",
    "finish_reason",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "name",
    "logprobs",
    "prompt_tokens",
    "prompt_tokens_details",
    "timings",
]
junk_chunk = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(chunk_keys), inner | st.lists(inner, max_size=2), max_size=5),
    max_leaves=10,
).map(lambda value: b"data: " + msgspec.json.encode(value) + b"\n\n")


@settings(max_examples=200, deadline=None)
@given(st.lists(junk_chunk | st.binary(max_size=30), max_size=4))
def test_no_reply_raises_anything_but_a_fault(pieces: list[bytes]):
    for way in (openai_chat.reader(), openai_chat.relay_pipe(ASKED)):
        for piece in pieces:
            quietly(way.feed, piece)
        quietly(way.end)
    for piece in pieces:
        body = piece.removeprefix(b"data: ")
        quietly(openai_chat.reader().whole, body)
        quietly(openai_chat.relay_whole, body, ASKED)
        openai_chat.read_fault(500, {}, body)


def quietly(do: Any, *given_: Any) -> Any:
    """What it returns; None for a fault. Anything else it raises fails the test."""
    try:
        return do(*given_)
    except FaultError:
        return None
