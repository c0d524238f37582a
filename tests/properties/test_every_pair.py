"""Every ordered pair of wire formats carries a whole conversation and its answer, with no loss that docs/wire.md does not name.

A request goes from the client's format to the runtime's, a reply back, whole and streamed and cut anywhere. What a format
cannot carry stands in its table below, beside words that its section of docs/wire.md must have.
"""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.chat import (
    ChatRequest,
    Choice,
    FinishReason,
    ImagePart,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningPart,
    Reply,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
    fold,
)
from freehold.fault import FaultError, Kind
from freehold.wire.codec import Asked, Codec, Sent
from freehold.wire.formats import CODECS
from freehold.wire.translate import TranslatePipe
from support.drawn import cut, streamed, words
from support.translated import translate_whole

Facts = dict[str, Any]
Loss = Callable[[Facts], Facts]

QUICK = settings(max_examples=12, deadline=None)
WIRE = Path(__file__).resolve().parents[2] / "docs" / "wire.md"
ASKED = Asked(model="asked", stream_usage=True, reply_id="reply_ours", now_s=1, prompt_tokens=5)
QUIRKS = frozenset({"structured_output", "effort", "reasoning_content_in", "think"})
RAW = "openai_completions"
CHATS = [name for name in CODECS if name != RAW]
PAIRS = list(itertools.permutations(CHATS, 2))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CAPTION = re.compile(r"Image returned by the tool call [^:]*:\s*")
"""Put before an image that a format cannot leave in a result."""
MARK = re.compile(r"\AError:\s*", re.IGNORECASE)
"""Put before a failed result where the format cannot say that it failed."""
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


# ---- what a request and a reply say ---------------------------------------------------------------------------------


def said_in(request: ChatRequest) -> Facts:
    """What a request says, in words that every format could have."""
    facts: Facts = {"calls": [], "call_ids": [], "results": [], "result_ids": [], "images": [], "thinking": [], "failed": []}
    for role in ("system", "user", "assistant"):
        facts[role] = ""
    for message in request.messages:
        for part in message.parts:
            match part:
                case TextPart(text):
                    facts[message.role] += CAPTION.sub("", text)
                case ReasoningPart(text):
                    facts["thinking"].append(text)
                case ImagePart(media_type, data):
                    facts["images"].append((media_type, data))
                case ToolCallPart(call_id, name, arguments):
                    facts["calls"].append((name, json.loads(arguments or "{}")))
                    facts["call_ids"].append(call_id)
                case ToolResultPart(call_id, content, is_error):
                    facts["result_ids"].append(call_id)
                    text = "".join(one.text for one in content if isinstance(one, TextPart))
                    facts["results"].append(MARK.sub("", text))
                    facts["failed"].append(is_error or MARK.match(text) is not None)
                    facts["images"] += [(one.media_type, one.data) for one in content if isinstance(one, ImagePart)]
                case _:
                    pass
    facts["tools"] = [(tool.name, tool.description, tool.parameters) for tool in request.tools if isinstance(tool, Tool)]
    facts["choice"] = None if request.tool_choice is None else (request.tool_choice.mode, request.tool_choice.name)
    facts["parallel"] = request.parallel_tool_calls
    facts["schema"] = None if request.output is None else request.output.schema
    facts["effort"] = None if request.reasoning is None else request.reasoning.effort
    for field in ("max_tokens", "temperature", "top_p", "stop", "stream"):
        facts[field] = getattr(request, field)
    return facts


def said_by(reply: Reply) -> Facts:
    """What a reply says."""
    [choice] = reply.choices
    calls = [part for part in choice.parts if isinstance(part, ToolCallPart)]
    return {
        "thinking": "".join(part.text for part in choice.parts if isinstance(part, ReasoningPart)),
        "text": "".join(part.text for part in choice.parts if isinstance(part, TextPart)) + (choice.refusal or ""),
        "calls": [(call.name, json.loads(call.arguments or "{}")) for call in calls],
        "call_ids": [call.id for call in calls],
        "finish": choice.finish,
        "usage": reply.usage,
    }


def without(*names: str) -> Loss:
    return lambda facts: {
        **facts,
        **{name: type(facts[name])() if isinstance(facts[name], list | str) else None for name in names},
    }


def finish_as(**names: FinishReason) -> Loss:
    return lambda facts: {**facts, "finish": names.get(facts["finish"], facts["finish"])}


def usage_without(*names: str) -> Loss:
    return lambda facts: {**facts, "usage": msgspec.structs.replace(facts["usage"], **dict.fromkeys(names, 0))}


def only_a_no(field: str) -> Loss:
    """A format that can say no to something, and says nothing for a yes."""
    return lambda facts: {**facts, field: None if facts[field] is True else facts[field]}


REQUEST_LOSSES: dict[str, dict[str, Loss]] = {
    "anthropic_messages": {
        "only with this vendor's signature": without("thinking"),
        "`disable_parallel_tool_use`": only_a_no("parallel"),
    },
    "ollama": {"`parallel_tool_calls`, `strict`": without("parallel"), "`tool_choice` none": without("choice")},
}
REFUSED: dict[str, dict[str, str]] = {"openai_responses": {"stop": "stop sequences"}}
"""What a format refuses to be asked, by the field of the request, and the words that say so."""
REPLY_LOSSES: dict[str, dict[str, Loss]] = {
    "openai_chat": {
        "`stop_sequence` and `pause` become `stop`": finish_as(stop_sequence="stop", pause="stop"),
        "`refusal` becomes `content_filter`": finish_as(refusal="content_filter"),
    },
    "anthropic_messages": {"as does a content filter": finish_as(content_filter="refusal")},
    "openai_responses": {
        "the rest is `completed`": finish_as(stop_sequence="stop", pause="stop"),
        "a refusal without words of its own, is `content_filter`": finish_as(refusal="content_filter"),
    },
    "ollama": {
        "`stop_sequence`, `tool_calls`, `refusal`, `content_filter` and `pause` become `stop`": finish_as(
            stop_sequence="stop", pause="stop", refusal="stop", content_filter="stop"
        ),
        "Dropped: signatures, shares of counts (cached, reasoning)": usage_without(
            "cached_tokens", "cache_write_tokens", "reasoning_tokens"
        ),
    },
    RAW: {
        "Dropped: thinking, tool calls": without("thinking", "calls", "call_ids"),
        "`stop_sequence`, `pause` and calls end with `stop`": finish_as(stop_sequence="stop", pause="stop", tool_calls="stop"),
        "a refusal with `content_filter`": finish_as(refusal="content_filter"),
    },
}


def after(facts: Facts, losses: dict[str, dict[str, Loss]], *formats: str) -> Facts:
    for wire in formats:
        for lose in losses.get(wire, {}).values():
            facts = lose(facts)
    return facts


# ---- what is carried ------------------------------------------------------------------------------------------------


def turn(say: Callable[[], str], result: str, is_error: bool) -> tuple[Message, ...]:
    """An agent's turn: two parallel calls, their results, one with an image, one that may have failed."""
    return (
        Message("system", (TextPart(say()),)),
        Message("user", (TextPart(say()), ImagePart("image/png", PNG))),
        Message(
            "assistant",
            (
                ReasoningPart(say()),
                TextPart(say()),
                ToolCallPart("call_1", "read_file", json.dumps({"path": say()})),
                ToolCallPart("call_2", "list_files", "{}"),
            ),
        ),
        Message(
            "user",
            (
                ToolResultPart("call_1", (TextPart(say()), ImagePart("image/png", PNG))),
                ToolResultPart("call_2", (TextPart(result),), is_error=is_error),
            ),
        ),
        Message("user", (TextPart(say()),)),
    )


def failing(result: str) -> ChatRequest:
    """A turn whose second tool failed with these words."""
    return ChatRequest(model="m", messages=turn(lambda: "w", result, is_error=True), max_tokens=16)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    return ChatRequest(
        model="m",
        messages=turn(lambda: draw(words), draw(words), draw(st.booleans())),
        tools=(Tool("read_file", draw(words), SCHEMA), Tool("list_files", draw(words), {"type": "object", "properties": {}})),
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=True,
        max_tokens=draw(st.integers(16, 9000)),
        temperature=draw(st.sampled_from([0.0, 0.5, 1.0])),
        stop=tuple(draw(st.lists(words, max_size=2))),
        output=OutputFormat("json_schema", SCHEMA, "answer", True),
        reasoning=Reasoning(effort=draw(st.sampled_from(["low", "high"]))),
        stream=draw(st.booleans()),
    )


FINISHES: list[FinishReason] = ["stop", "stop_sequence", "length", "content_filter", "refusal", "pause"]


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    parts: list[TextPart | ReasoningPart | ToolCallPart] = [ReasoningPart(text) for text in draw(st.lists(words, max_size=1))]
    parts += [TextPart(text) for text in draw(st.lists(words, max_size=1))]
    calls = draw(st.sampled_from([[], ["read_file"], ["read_file", "list_files"]]))
    parts += [ToolCallPart(f"call_{at}", name, json.dumps({"a": draw(words)})) for at, name in enumerate(calls)]
    finish: FinishReason = "tool_calls" if calls else draw(st.sampled_from(FINISHES))
    fresh, cached, written, output = (draw(st.integers(0, 900)) for _ in range(4))
    usage = Usage(
        input_tokens=fresh + cached + written,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=draw(st.integers(0, output)),
    )
    return Reply(id="reply_1", model="up", choices=(Choice(tuple(parts), finish),), usage=usage)


def spoken(request: ChatRequest, codec: Codec) -> ChatRequest:
    """The request as whoever speaks this format reads it."""
    return codec.read_request(codec.peek(codec.write_request(request, Sent(model="m", quirks=QUIRKS))))


def without_refused(request: ChatRequest, wire: Any) -> ChatRequest:
    """What is left of a request once a format's refusals were heeded, each of which names its field."""
    empty = msgspec.structs.asdict(ChatRequest(model="", messages=()))
    for field in REFUSED.get(wire, {}):
        if getattr(request, field) == empty[field]:
            continue
        with pytest.raises(FaultError, match=field) as raised:
            spoken(request, CODECS[wire])
        assert raised.value.fault.kind is Kind.UNSUPPORTED
        request = msgspec.structs.replace(request, **{field: empty[field]})
    return request


def read_back(stream: bytes, codec: Codec) -> Reply:
    reader = codec.reader()
    return fold([*reader.feed(stream), *reader.end()])


# ---- the pairs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids="-to-".join)
@QUICK
@given(request=requests())
@example(request=failing("error"))
@example(request=failing("ERRORS.md: not found"))
@example(request=failing("error:"))
def test_a_request_arrives_but_for_the_documented_losses(pair: tuple[Any, Any], request: ChatRequest) -> None:
    client, upstream = CODECS[pair[0]], CODECS[pair[1]]
    for wire in pair:
        request = without_refused(request, wire)
    sent = spoken(request, client)
    assert said_in(sent) == after(said_in(request), REQUEST_LOSSES, pair[0])
    assert said_in(spoken(sent, upstream)) == after(said_in(request), REQUEST_LOSSES, *pair)


@pytest.mark.parametrize("pair", [*PAIRS, *((name, RAW) for name in CHATS)], ids="-to-".join)
@QUICK
@given(reply=replies(), cuts=st.lists(st.integers(0, 9000), max_size=12))
def test_a_reply_comes_back_whole_and_streamed_but_for_the_documented_losses(
    pair: tuple[Any, Any], reply: Reply, cuts: list[int]
) -> None:
    upstream, client = CODECS[pair[0]], CODECS[pair[1]]
    expected = after(said_by(reply), REPLY_LOSSES, *pair)
    pipe = TranslatePipe(upstream.reader(), client.writer(ASKED))
    got = b"".join([pipe.feed(part) for part in cut(streamed(reply, upstream, ASKED), cuts)]) + pipe.end()
    assert said_by(read_back(got, client)) == expected
    body, _ = translate_whole(upstream, client, upstream.write_whole(reply, ASKED), ASKED)
    assert said_by(fold(client.reader().whole(body))) == expected
    relay = upstream.relay_pipe(ASKED)
    stream = streamed(reply, upstream, ASKED)
    assert b"".join([relay.feed(part) for part in cut(stream, cuts)]) + relay.end() == stream


@pytest.mark.parametrize("name", CHATS)
@QUICK
@given(prompt=words, limit=st.integers(1, 99), stop=st.lists(words, max_size=2))
def test_a_prompt_is_a_message_of_every_chat_and_a_chat_is_never_a_prompt(
    name: Any, prompt: str, limit: int, stop: list[str]
) -> None:
    body = {"model": "m", "prompt": prompt, "max_tokens": limit, "temperature": 0.5}
    if "stop" not in REFUSED.get(name, {}):
        body["stop"] = stop
    request = CODECS[RAW].read_request(CODECS[RAW].peek(json.dumps(body).encode()))
    arrived = said_in(spoken(request, CODECS[name]))
    assert (arrived["user"], arrived["system"], arrived["assistant"]) == (prompt, "", "")
    with pytest.raises(FaultError) as raised:
        CODECS[RAW].write_request(request, Sent(model="m"))
    assert raised.value.fault.kind is Kind.UNSUPPORTED


@pytest.mark.parametrize("wire", CODECS)
def test_every_loss_is_told_in_the_formats_own_section_of_the_page(wire: str) -> None:
    sections = re.split(r"^## ", WIRE.read_text(), flags=re.MULTILINE)
    told = {section.split("\n", 1)[0].strip(): " ".join(section.split()) for section in sections}
    refused = dict.fromkeys(REFUSED.get(wire, {}).values())
    for phrase in (*REQUEST_LOSSES.get(wire, {}), *REPLY_LOSSES.get(wire, {}), *refused):
        assert phrase in told[wire]
