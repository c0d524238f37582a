"""What survives when two wire formats meet: all but the losses that docs/wire.md names."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.chat import (
    ChatRequest,
    Choice,
    FinishReason,
    ImagePart,
    Opaque,
    ReasoningPart,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    WireFormat,
    fold,
    unfold,
)
from freehold.wire import anthropic_messages, openai_chat
from freehold.wire.codec import Asked, Codec, Sent
from freehold.wire.formats import CODECS
from freehold.wire.translate import TranslatePipe
from support.drawn import arguments, cut, names, schemas, streamed, words
from support.translated import translate_whole

QUICK = settings(max_examples=80, deadline=None)
ASKED = Asked(model="asked", stream_usage=True, reply_id="reply_ours", now_s=1, prompt_tokens=5)
QUIRKS = frozenset({"structured_output", "effort"})
CAPTION = "Image returned by the tool call"

images = st.sampled_from(["iVBORw==", "AAAA"])


# ---- requests -------------------------------------------------------------------------------------------------------


def anthropic_image(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


@st.composite
def anthropic_turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation with up to two rounds of parallel calls, system text in the middle included."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": draw(words)}]
    if draw(st.booleans()):
        turns.append({"role": "system", "content": draw(words)})
    for at in range(draw(st.integers(min_value=0, max_value=2))):
        calls = draw(st.lists(st.tuples(names, arguments), min_size=1, max_size=2))
        said: list[dict[str, Any]] = [
            {"type": "thinking", "thinking": draw(words), "signature": draw(st.sampled_from(["", "c2ln"]))}
        ]
        said += [{"type": "text", "text": draw(words)}] * draw(st.integers(min_value=0, max_value=1))
        results: list[dict[str, Any]] = []
        for number, (name, given_arguments) in enumerate(calls):
            call_id = f"toolu_{at}_{number}"
            said.append({"type": "tool_use", "id": call_id, "name": name, "input": given_arguments})
            content: list[Any] = [{"type": "text", "text": draw(words)}]
            content += [anthropic_image(data) for data in draw(st.lists(images, max_size=2))]
            result = {"type": "tool_result", "tool_use_id": call_id, "content": content}
            results.append({**result, "is_error": True} if draw(st.booleans()) else result)
        more: list[dict[str, Any]] = [{"type": "text", "text": text} for text in draw(st.lists(words, max_size=2))]
        more += [anthropic_image(data) for data in draw(st.lists(images, max_size=1))]
        turns += [{"role": "assistant", "content": said}, {"role": "user", "content": results + more}]
    return turns


@st.composite
def anthropic_bodies(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "max_tokens": draw(st.integers(1, 9000)), "messages": draw(anthropic_turns())}
    texts = draw(st.lists(words, max_size=2))
    body["system"] = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in texts]
    body["tools"] = [
        {"name": name, "description": draw(words), "input_schema": draw(schemas), "strict": True}
        for name in draw(st.lists(names, max_size=2, unique=True))
    ]
    choices: list[dict[str, Any]] = [{"type": "auto"}, {"type": "any"}, {"type": "none"}]
    if body["tools"]:
        choices.append({"type": "tool", "name": body["tools"][0]["name"]})
        body["tool_choice"] = {**draw(st.sampled_from(choices))}
        if body["tool_choice"]["type"] != "none":
            body["tool_choice"]["disable_parallel_tool_use"] = draw(st.booleans())
    body["stop_sequences"] = draw(st.lists(words, max_size=2))
    body["output_config"] = {"effort": draw(st.sampled_from(["low", "high"]))}
    if draw(st.booleans()):
        body["output_config"]["format"] = {"type": "json_schema", "schema": draw(schemas)}
    body["metadata"] = {"user_id": draw(words)}
    body["temperature"] = draw(st.sampled_from([0.0, 0.5, 1.0]))
    body["stream"] = draw(st.booleans())
    return body


@st.composite
def openai_bodies(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": text} for text in draw(st.lists(words, max_size=2))]
    messages.append({"role": "user", "content": draw(words)})
    for at in range(draw(st.integers(min_value=0, max_value=2))):
        calls = [
            {"id": f"call_{at}_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for number, (name, given) in enumerate(draw(st.lists(st.tuples(names, arguments), min_size=1, max_size=2)))
        ]
        messages.append({"role": "assistant", "content": draw(st.none() | words), "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in calls]
        parts = [{"type": "text", "text": draw(words)}]
        parts += [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
            for data in draw(st.lists(images, max_size=1))
        ]
        messages.append({"role": "user", "content": parts})
    body: dict[str, Any] = {"model": "m", "messages": messages, "max_tokens": draw(st.integers(1, 9000))}
    tools = draw(st.lists(names, max_size=2, unique=True))
    if tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": name, "description": draw(words), "parameters": draw(schemas), "strict": True},
            }
            for name in tools
        ]
        named = {"type": "function", "function": {"name": tools[0]}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required", named]))
    if draw(st.booleans()):
        schema = {"name": "answer", "schema": draw(schemas), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body["stop"] = draw(st.lists(words, max_size=2))
    body["reasoning_effort"] = draw(st.sampled_from(["low", "high"]))
    body["user"] = draw(words)
    body["top_p"] = draw(st.sampled_from([0.5, 1.0]))
    body["stream"] = draw(st.booleans())
    return body


def conversation(request: ChatRequest) -> list[tuple[Any, ...]]:
    """What was said, turn boundaries and the documented losses taken away."""
    said: list[tuple[Any, ...]] = []
    leading = True
    for message in request.messages:
        leading = leading and message.role == "system"
        role = "user" if message.role == "system" and not leading else message.role
        said += [(role, "result", part.call_id, result_text(part)) for part in message.parts if isinstance(part, ToolResultPart)]
        for part in message.parts:
            match part:
                case ToolResultPart():
                    said += [(role, "image", inner.data) for inner in part.content if isinstance(inner, ImagePart)]
                case TextPart() if not part.text.startswith(CAPTION):
                    said.append((role, "text", part.text))
                case ImagePart():
                    said.append((role, "image", part.data))
                case ToolCallPart():
                    said.append((role, "call", part.id, part.name, json.loads(part.arguments)))
    return said


def result_text(part: ToolResultPart) -> str:
    text = "".join(inner.text for inner in part.content if isinstance(inner, TextPart))
    return f"Error: {text}" if part.is_error and not text.lower().startswith("error") else text


def settings_of(request: ChatRequest) -> dict[str, Any]:
    tools = [
        None if isinstance(tool, Opaque) else (tool.name, tool.description, tool.parameters, tool.strict)
        for tool in request.tools
    ]
    return {
        "tools": tools,
        "choice": request.tool_choice,
        "parallel": request.parallel_tool_calls,
        "output": None if request.output is None else (request.output.kind, request.output.schema, request.output.strict),
        "effort": None if request.reasoning is None else request.reasoning.effort,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop,
        "user": request.user,
        "stream": request.stream,
    }


def through(request: ChatRequest, codec: Codec) -> ChatRequest:
    """The request as an upstream of this format reads it."""
    return codec.read_request(codec.peek(codec.write_request(request, Sent(model="m", quirks=QUIRKS))))


@QUICK
@given(anthropic_bodies())
def test_a_messages_request_survives_chat_completions_and_back(body: dict[str, Any]) -> None:
    request = anthropic_messages.read_request(anthropic_messages.peek(json.dumps(body).encode()))
    back = through(through(request, openai_chat), anthropic_messages)
    assert conversation(back) == conversation(request)
    assert settings_of(back) == settings_of(request)


@QUICK
@given(openai_bodies())
def test_a_chat_completions_request_survives_messages_and_back(body: dict[str, Any]) -> None:
    request = openai_chat.read_request(openai_chat.peek(json.dumps(body).encode()))
    back = through(through(request, anthropic_messages), openai_chat)
    assert conversation(back) == conversation(request)
    assert settings_of(back) == settings_of(request)


@QUICK
@given(anthropic_bodies())
def test_unsigned_thinking_reaches_no_vendor(body: dict[str, Any]) -> None:
    request = anthropic_messages.read_request(anthropic_messages.peek(json.dumps(body).encode()))
    for message in through(request, anthropic_messages).messages:
        assert all(part.signature for part in message.parts if isinstance(part, ReasoningPart))


# ---- replies --------------------------------------------------------------------------------------------------------

FINISHES: list[FinishReason] = ["stop", "stop_sequence", "length", "content_filter", "refusal", "pause"]


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


KEPT_FINISH: dict[tuple[str, str | None], str] = {
    ("openai_chat", "stop_sequence"): "stop",
    ("openai_chat", "pause"): "stop",
    ("openai_chat", "refusal"): "content_filter",
    ("anthropic_messages", "content_filter"): "refusal",
    ("ollama", "stop_sequence"): "stop",
    ("ollama", "content_filter"): "stop",
    ("ollama", "refusal"): "stop",
    ("ollama", "pause"): "stop",
}
"""How a finish reads after it went through a format that has no word of its own for it."""


def gist(reply: Reply, *spoken_as: str) -> tuple[Any, ...]:
    """What a reply says, after it went through these formats."""
    choice = reply.choices[0]
    finish: Any = choice.finish
    for wire in spoken_as:
        finish = KEPT_FINISH.get((wire, finish), finish)
    thoughts = "".join(part.text for part in choice.parts if isinstance(part, ReasoningPart))
    text = "".join(part.text for part in choice.parts if isinstance(part, TextPart))
    calls = [(part.id, part.name, json.loads(part.arguments or "{}")) for part in choice.parts if isinstance(part, ToolCallPart)]
    return thoughts, text, calls, finish, usage_of(reply, *spoken_as)


def usage_of(reply: Reply, *spoken_as: str) -> Usage | None:
    """Ollama has no word for the shares of a count."""
    usage = reply.usage
    if usage is None or "ollama" not in spoken_as:
        return usage
    return Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


def read_back(stream: bytes, codec: Codec) -> Reply:
    reader = codec.reader()
    return fold(reader.feed(stream) + reader.end())


CHATS: list[WireFormat] = ["openai_chat", "anthropic_messages", "ollama"]
"""Formats that can say thinking and calls."""
pairs = st.sampled_from([(one, other) for one in CHATS for other in CHATS])


@QUICK
@given(replies(), pairs, st.lists(st.integers(0, 9000), max_size=12))
@example(
    Reply(choices=(Choice((), "stop"),), usage=Usage(input_tokens=0, output_tokens=0)), ("openai_chat", "anthropic_messages"), []
)
def test_a_streamed_reply_survives_translation(reply: Reply, pair: tuple[Any, Any], cuts: list[int]) -> None:
    upstream, client = CODECS[pair[0]], CODECS[pair[1]]
    pipe = TranslatePipe(upstream.reader(), client.writer(ASKED))
    got = b"".join([pipe.feed(part) for part in cut(streamed(reply, upstream, ASKED), cuts)]) + pipe.end()
    assert gist(read_back(got, client)) == gist(reply, *pair)
    assert pipe.tap.usage == usage_of(reply, pair[0])
    assert pipe.tap.tool_calls == len(gist(reply)[2])


@QUICK
@given(replies(), pairs)
def test_streamed_and_whole_translation_say_the_same(reply: Reply, pair: tuple[Any, Any]) -> None:
    upstream, client = CODECS[pair[0]], CODECS[pair[1]]
    body, tap = translate_whole(upstream, client, upstream.write_whole(reply, ASKED), ASKED)
    whole = fold(client.reader().whole(body))
    assert gist(whole) == gist(reply, *pair)
    assert whole.model == "asked"
    assert tap.finish == gist(reply, pair[0])[3]


@QUICK
@given(replies(), st.sampled_from(CHATS), st.booleans())
def test_a_relay_changes_the_model_and_nothing_else(reply: Reply, wire: Any, renames: bool) -> None:
    codec = CODECS[wire]
    upstream = Asked(model="their/name" if renames else ASKED.model, stream_usage=True, reply_id="r", now_s=1)
    writer = codec.writer(upstream)
    stream = b"".join([writer.write(event) for event in unfold(reply)]) + writer.close()
    pipe = codec.relay_pipe(ASKED)
    relayed = pipe.feed(stream) + pipe.end()
    assert relayed == stream.replace(b'"model":"their/name"', b'"model":"asked"')
    assert pipe.tap.edits == ({"reply_model"} if renames else set())
    assert pipe.tap.usage == usage_of(reply, wire)
    whole = codec.write_whole(reply, upstream)
    body, tap = codec.relay_whole(whole, ASKED)
    assert body == whole.replace(b'"model":"their/name"', b'"model":"asked"')
    assert tap.usage == usage_of(reply, wire)


@QUICK
@given(st.sampled_from([anthropic_bodies(), openai_bodies()]).flatmap(lambda bodies: bodies), st.sampled_from(["m", "n"]))
def test_a_relayed_request_differs_by_its_named_edits_only(body: dict[str, Any], served_as: str) -> None:
    codec = anthropic_messages if "system" in body else openai_chat
    data = json.dumps(body).encode()
    relayed, edits = codec.relay_request(codec.peek(data), Sent(model=served_as))
    expected = dict(body)
    if served_as != "m":
        expected["model"] = served_as
    if "usage_asked" in edits:
        expected["stream_options"] = {"include_usage": True}
    assert json.loads(relayed) == expected
    assert edits or relayed == data
