"""What survives when the Responses format meets the others: all but the losses that docs/wire.md names."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import (
    ChatRequest,
    Choice,
    FinishReason,
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
from freehold.wire import anthropic_messages, openai_chat, openai_responses
from freehold.wire.carry import carry_request
from freehold.wire.codec import Asked, Codec, Sent
from freehold.wire.translate import TranslatePipe
from support.drawn import arguments, cut, names, schemas, streamed, words
from support.translated import translate_whole

QUICK = settings(max_examples=80, deadline=None)
ASKED = Asked(model="asked", stream_usage=True, reply_id="req_ours", now_s=1, prompt_tokens=5)
QUIRKS = frozenset({"structured_output", "effort"})
OTHERS: list[Codec] = [openai_chat, anthropic_messages]
CAPTION = "Image returned by the tool call"

images = st.sampled_from(["iVBORw==", "AAAA"])


def image(data: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "auto"}


@st.composite
def items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation with up to two rounds of parallel calls, some of them of a namespace or freeform."""
    listed: list[dict[str, Any]] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}
        for text in draw(st.lists(words, max_size=2))
    ]
    listed.append({"role": "user", "content": draw(words)})
    for at in range(draw(st.integers(0, 2))):
        if draw(st.booleans()):
            listed.append({"type": "reasoning", "id": f"rs_{at}", "summary": [{"type": "summary_text", "text": draw(words)}]})
        if draw(st.booleans()):
            content = [{"type": "output_text", "text": draw(words), "annotations": []}]
            listed.append({"type": "message", "id": f"msg_{at}", "status": "completed", "role": "assistant", "content": content})
        calls = draw(
            st.lists(st.tuples(names, arguments, st.sampled_from(["plain", "namespace", "custom"])), min_size=1, max_size=2)
        )
        for number, (name, given_arguments, kind) in enumerate(calls):
            call = {"type": "function_call", "call_id": f"call_{at}_{number}", "name": name}
            if kind == "custom":
                listed.append({**call, "type": "custom_tool_call", "name": "patch", "input": draw(words)})
            else:
                said = {**call, "arguments": json.dumps(given_arguments)}
                listed.append({**said, "namespace": "space"} if kind == "namespace" else said)
        for number, (_, _, kind) in enumerate(calls):
            output: Any = draw(words)
            if draw(st.booleans()):
                output = [{"type": "input_text", "text": output}, image(draw(images))]
            answered = "custom_tool_call_output" if kind == "custom" else "function_call_output"
            listed.append({"type": answered, "call_id": f"call_{at}_{number}", "output": output})
        if draw(st.booleans()):
            more = [image(draw(images))] if draw(st.booleans()) else []
            listed.append({"role": "user", "content": [{"type": "input_text", "text": draw(words)}, *more]})
    return listed


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "input": draw(st.one_of(words, items()))}
    if draw(st.booleans()):
        body["instructions"] = draw(words)
    tools: list[dict[str, Any]] = [
        {"type": "function", "name": name, "description": draw(words), "parameters": draw(schemas), "strict": True}
        for name in draw(st.lists(names, max_size=2, unique=True))
    ]
    if draw(st.booleans()):
        inner = [{"type": "function", "name": "look", "description": "d", "parameters": draw(schemas), "strict": True}]
        tools.append({"type": "namespace", "name": "space", "description": "d", "tools": inner})
        tools.append({"type": "custom", "name": "patch", "description": "d", "format": {"type": "text"}})
        tools.append({"type": "web_search"})
    if tools:
        body["tools"] = tools
        choices: list[Any] = ["auto", "none", "required"]
        if tools[0]["type"] == "function":
            choices.append({"type": "function", "name": tools[0]["name"]})
        body["tool_choice"] = draw(st.sampled_from(choices))
        body["parallel_tool_calls"] = draw(st.booleans())
    if draw(st.booleans()):
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": draw(schemas), "strict": True}}
    body["reasoning"] = {"effort": draw(st.sampled_from(["low", "high"])), "summary": "auto"}
    body["max_output_tokens"] = draw(st.integers(16, 9000))
    body["temperature"] = draw(st.sampled_from([0.0, 0.5, 1.0]))
    body["stream"] = draw(st.booleans())
    body["store"] = False
    body["prompt_cache_key"] = "key"
    return body


def read(body: dict[str, Any]) -> ChatRequest:
    return openai_responses.read_request(openai_responses.peek(json.dumps(body).encode()))


def through(request: ChatRequest, codec: Codec) -> ChatRequest:
    """The request as an upstream of this format reads it."""
    carried = carry_request(request, codec.FORMAT)
    return codec.read_request(codec.peek(codec.write_request(carried, Sent(model="m", quirks=QUIRKS))))


def conversation(request: ChatRequest) -> list[tuple[Any, ...]]:
    """What was said, boundaries of turns and the documented losses taken away. Text stands before calls in a turn."""
    said: list[tuple[Any, ...]] = []
    leading = True
    for message in request.messages:
        leading = leading and message.role == "system"
        role = "user" if message.role == "system" and not leading else message.role
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        said += [(role, "result", part.call_id, text_of(part)) for part in results]
        said += [(role, "image", inner.data) for part in results for inner in part.content if isinstance(inner, ImagePart)]
        for part in message.parts:
            match part:
                case TextPart() if not part.text.startswith(CAPTION):
                    said.append((role, "text", part.text))
                case ImagePart():
                    said.append((role, "image", part.data))
                case ToolCallPart():
                    said.append((role, "call", part.id, part.name, json.loads(part.arguments)))
    return said


def text_of(part: ToolResultPart) -> str:
    return "".join(inner.text for inner in part.content if isinstance(inner, TextPart))


def settings_of(request: ChatRequest) -> dict[str, Any]:
    return {
        "tools": [
            (tool.name, tool.description, tool.parameters, bool(tool.strict)) for tool in request.tools if hasattr(tool, "name")
        ],
        "choice": request.tool_choice if request.tools else None,
        "output": None if request.output is None else (request.output.kind, request.output.schema, request.output.strict),
        "effort": None if request.reasoning is None else request.reasoning.effort,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": request.stream,
    }


@QUICK
@given(bodies(), st.sampled_from(OTHERS))
def test_a_responses_request_reaches_a_runtime_of_another_format(body: dict[str, Any], codec: Codec) -> None:
    request = read(body)
    there = through(request, codec)
    assert sorted(map(repr, conversation(there))) == sorted(map(repr, conversation(request)))
    assert settings_of(there) == settings_of(request)


@QUICK
@given(bodies())
def test_a_responses_request_survives_the_middle_with_its_own_kinds_of_tools(body: dict[str, Any]) -> None:
    request = read(body)
    back = through(request, openai_responses)
    assert conversation(back) == conversation(request)
    assert settings_of(back) == settings_of(request)
    sent = json.loads(openai_responses.write_request(request, Sent(model="m")))
    assert sent.get("tools") == body.get("tools")
    assert sent["reasoning"] == body["reasoning"]
    assert sent["prompt_cache_key"] == "key"


@QUICK
@given(bodies(), st.sampled_from(OTHERS))
def test_another_formats_request_survives_the_responses_format_and_back(body: dict[str, Any], codec: Codec) -> None:
    request = through(read(body), codec)
    back = through(through(request, openai_responses), codec)
    assert conversation(back) == conversation(request)
    assert settings_of(back) == settings_of(request)


@QUICK
@given(bodies(), st.sampled_from(["m", "n"]), st.sampled_from([None, 100]))
def test_a_relayed_request_differs_by_its_named_edits_only(body: dict[str, Any], served_as: str, ceiling: int | None) -> None:
    data = json.dumps(body).encode()
    relayed, edits = openai_responses.relay_request(
        openai_responses.peek(data), Sent(model=served_as, max_tokens_ceiling=ceiling)
    )
    expected = dict(body, model=served_as)
    if ceiling is not None and body["max_output_tokens"] > ceiling:
        expected["max_output_tokens"] = ceiling
    assert json.loads(relayed) == expected
    assert set(edits) == {
        name for name, key in (("model", "model"), ("max_tokens_clamped", "max_output_tokens")) if expected[key] != body[key]
    }
    assert edits or relayed == data


@QUICK
@given(st.sampled_from(["previous_response_id", "conversation", "prompt", "background"]), st.sampled_from(OTHERS))
def test_what_only_the_vendor_keeps_is_refused_elsewhere_with_a_remedy(field: str, codec: Codec) -> None:
    value: Any = {"background": True, "prompt": {"id": "pmpt_1"}}.get(field, "resp_1")
    request = read({"model": "m", "input": "hi", field: value})
    with pytest.raises(FaultError, match="here") as told:
        carry_request(request, codec.FORMAT)
    assert (told.value.fault.kind, told.value.fault.param) == (Kind.UNSUPPORTED, field)
    assert carry_request(request, "openai_responses") is request


# ---- replies --------------------------------------------------------------------------------------------------------

FINISHES: list[FinishReason] = ["stop", "stop_sequence", "length", "content_filter", "refusal", "pause"]
KEPT_FINISH: dict[tuple[str, str | None], str] = {
    ("openai_chat", "stop_sequence"): "stop",
    ("openai_chat", "pause"): "stop",
    ("openai_chat", "refusal"): "content_filter",
    ("openai_responses", "stop_sequence"): "stop",
    ("openai_responses", "pause"): "stop",
    ("openai_responses", "refusal"): "content_filter",
    ("anthropic_messages", "content_filter"): "refusal",
}


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    parts: list[TextPart | ReasoningPart | ToolCallPart] = [ReasoningPart(text) for text in draw(st.lists(words, max_size=1))]
    parts += [TextPart(text) for text in draw(st.lists(words, max_size=1))]
    calls = draw(st.lists(st.tuples(names, arguments), max_size=2))
    parts += [ToolCallPart(f"call_{at}", name, json.dumps(given)) for at, (name, given) in enumerate(calls)]
    finish: FinishReason = "tool_calls" if calls else draw(st.sampled_from(FINISHES))
    fresh, cached, written = (draw(st.integers(0, 900)) for _ in range(3))
    output = draw(st.integers(0, 900))
    usage = Usage(
        input_tokens=fresh + cached + written,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=draw(st.integers(0, output)),
    )
    return Reply(id="reply_1", model="up", choices=(Choice(tuple(parts), finish),), usage=usage)


def gist(reply: Reply, *spoken_as: Codec) -> tuple[Any, ...]:
    """What a reply says, after it went through these formats."""
    choice = reply.choices[0]
    finish: Any = choice.finish
    for codec in spoken_as:
        finish = KEPT_FINISH.get((codec.FORMAT, finish), finish)
    thoughts = "".join(part.text for part in choice.parts if isinstance(part, ReasoningPart))
    text = "".join(part.text for part in choice.parts if isinstance(part, TextPart))
    calls = [(part.id, part.name, json.loads(part.arguments or "{}")) for part in choice.parts if isinstance(part, ToolCallPart)]
    return thoughts, text, calls, finish, reply.usage


ALL: list[Codec] = [openai_responses, *OTHERS]
pairs = st.sampled_from([pair for pair in itertools.product(ALL, ALL) if openai_responses in pair])
marks = st.lists(st.integers(0, 9000), max_size=12)


@QUICK
@given(replies(), pairs, marks)
def test_a_streamed_reply_survives_translation(reply: Reply, pair: tuple[Codec, Codec], cuts: list[int]) -> None:
    upstream, client = pair
    pipe = TranslatePipe(upstream.reader(), client.writer(ASKED))
    got = b"".join([pipe.feed(part) for part in cut(streamed(reply, upstream, ASKED), cuts)]) + pipe.end()
    reader = client.reader()
    assert gist(fold(reader.feed(got) + reader.end())) == gist(reply, *pair)
    assert pipe.tap.usage == reply.usage
    assert pipe.tap.tool_calls == len(gist(reply)[2])


@QUICK
@given(replies(), pairs)
def test_streamed_and_whole_say_the_same(reply: Reply, pair: tuple[Codec, Codec]) -> None:
    upstream, client = pair
    body, tap = translate_whole(upstream, client, upstream.write_whole(reply, ASKED), ASKED)
    whole = fold(client.reader().whole(body))
    assert gist(whole) == gist(reply, *pair)
    assert whole.model == "asked"
    assert tap.finish == gist(reply, upstream)[3]


@QUICK
@given(replies(), st.booleans(), marks)
def test_a_relay_changes_the_model_and_nothing_else(reply: Reply, renames: bool, cuts: list[int]) -> None:
    theirs = Asked(model="their/name" if renames else "asked", stream_usage=True, reply_id="req_r", now_s=1)
    stream = streamed(reply, openai_responses, theirs)
    pipe = openai_responses.relay_pipe(ASKED)
    relayed = b"".join([pipe.feed(part) for part in cut(stream, cuts)]) + pipe.end()
    assert relayed == stream.replace(b'"model":"their/name"', b'"model":"asked"')
    assert pipe.tap.edits == ({"reply_model"} if renames else set())
    assert pipe.tap.usage == reply.usage
    assert pipe.tap.tool_calls == len(gist(reply)[2])
    assert pipe.tap.finish == gist(reply, openai_responses)[3]
    whole = openai_responses.write_whole(reply, theirs)
    body, tap = openai_responses.relay_whole(whole, ASKED)
    assert body == whole.replace(b'"model":"their/name"', b'"model":"asked"')
    assert (tap.usage, tap.finish) == (pipe.tap.usage, pipe.tap.finish)


@QUICK
@given(replies(), st.integers(1, 100_000))
def test_a_stream_cut_anywhere_before_its_last_event_is_broken(reply: Reply, mark: int) -> None:
    stream = streamed(reply, openai_responses, ASKED)
    last = stream.rindex(b"event: response.")
    part = stream[: mark % (last + 1)]
    for ends in (openai_responses.reader(), openai_responses.relay_pipe(ASKED)):
        ends.feed(part)
        with pytest.raises(FaultError) as told:
            ends.end()
        assert told.value.fault.kind is Kind.BROKEN_STREAM
