"""Reads a client's Messages request into the neutral middle.

Promised: system text stands where the client put it; every block the middle has no word for becomes `Opaque` with its
JSON kept byte for byte. What the middle cannot hold and may be dropped is listed in docs/wire.md. Not done: ids, names
and schemas are not judged here; whoever writes the request for an upstream knows what that upstream takes.
"""

from typing import Any

import msgspec

from freehold.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import Kind, faulty
from freehold.wire.anthropic_messages.places import wrong
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_NOTHING = msgspec.Raw()
_UNSAID = (_NOTHING, msgspec.Raw(b"null"))

_READ = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k", "metadata",
        "stop_sequences", "stream", "thinking", "output_config", "output_format", "thread",
    }
)  # fmt: skip
"""Top-level fields with a word in the middle; all others become `Opaque`."""


class _Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw]


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None
    name: str | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    system: str | list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: _ToolChoice | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: _Metadata | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    thread: msgspec.Raw = msgspec.Raw(b"null")


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    source: msgspec.Raw = _NOTHING
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING
    tool_use_id: str | None = None
    content: msgspec.Raw = _NOTHING
    is_error: bool | None = None
    cache_control: msgspec.Raw = _NOTHING


class _Tool(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: msgspec.Raw = _NOTHING


_read_body = msgspec.json.Decoder(_Body).decode
_read_block = msgspec.json.Decoder(_Block).decode
_read_source = msgspec.json.Decoder(_Source).decode
_read_tool = msgspec.json.Decoder(_Tool).decode
_read_content = msgspec.json.Decoder(str | list[msgspec.Raw] | None).decode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_request(envelope: Envelope) -> ChatRequest:
    """The whole request. Raises FaultError: INVALID_REQUEST naming the field, UNSUPPORTED for message threads."""
    try:
        body = _read_body(envelope.body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if bytes(body.thread) != b"null":
        raise _thread_refused()
    choice = body.tool_choice
    return ChatRequest(
        model=body.model,
        messages=_messages(body),
        tools=tuple(_tool(raw, f"tools[{index}]") for index, raw in enumerate(body.tools or ())),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
        output=_output(body),
        reasoning=_reasoning(body),
        stream=body.stream is True,
        stream_usage=True,
        user=None if body.metadata is None else body.metadata.user_id,
        opaque=tuple(Opaque("anthropic_messages", key, raw) for key, raw in envelope.top.items() if key not in _READ),
    )


def _thread_refused() -> Exception:
    """Clients that send only the news of a conversation send all of it when told so in exactly these words."""
    return faulty(
        Kind.UNSUPPORTED,
        "thread: message threads are not served here; send the full conversation without `thread`",
        param="thread",
        error_code="thread_unsupported_request",
        unsupported=["thread"],
    )


def _messages(body: _Body) -> tuple[Message, ...]:
    messages: list[Message] = []
    if body.system:
        messages.append(Message("system", _parts(body.system, "system")))
    for index, message in enumerate(body.messages):
        at = f"messages[{index}]"
        role = _ROLES.get(message.role)
        if role is None:
            raise wrong(f"{at}.role", "must be user, assistant or system")
        messages.append(Message(role, _parts(message.content, f"{at}.content")))
    return tuple(messages)


def _parts(content: str | list[msgspec.Raw], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(raw, f"{at}[{index}]") for index, raw in enumerate(content))


def _part(raw: msgspec.Raw, at: str) -> Part:
    try:
        block = _read_block(raw)
    except UNREADABLE as error:
        raise refusal(error, at) from None
    match block.type:
        case "text":
            return TextPart(_needed(block.text, at, "text"), _is_marked(block.cache_control))
        case "image":
            return _image(raw, block, at)
        case "thinking":
            return ReasoningPart(_needed(block.thinking, at, "thinking"), block.signature or None)
        case "redacted_thinking":
            return ReasoningPart("", None, _needed(block.data, at, "data"))
        case "tool_use":
            return _tool_call(block, at)
        case "tool_result":
            call_id = _needed(block.tool_use_id, at, "tool_use_id")
            marked = _is_marked(block.cache_control)
            return ToolResultPart(call_id, _result_content(block.content, at), block.is_error is True, marked)
        case _:
            return Opaque("anthropic_messages", block.type, raw)


def _needed(value: str | None, at: str, field: str) -> str:
    if value is None:
        raise wrong(f"{at}.{field}", "this field is required")
    return value


def _is_marked(cache_control: msgspec.Raw) -> bool:
    return cache_control not in _UNSAID


def _image(raw: msgspec.Raw, block: _Block, at: str) -> ImagePart | Opaque:
    if not memoryview(block.source):
        raise wrong(f"{at}.source", "this field is required")
    try:
        source = _read_source(block.source)
    except UNREADABLE as error:
        raise refusal(error, f"{at}.source") from None
    marked = _is_marked(block.cache_control)
    match source.type:
        case "base64":
            media_type = _needed(source.media_type, f"{at}.source", "media_type")
            return ImagePart(media_type, _needed(source.data, f"{at}.source", "data"), cache_mark=marked)
        case "url":
            return ImagePart(url=_needed(source.url, f"{at}.source", "url"), cache_mark=marked)
        case _:
            return Opaque("anthropic_messages", "image", raw)


def _tool_call(block: _Block, at: str) -> ToolCallPart:
    try:
        _read_object(block.input if memoryview(block.input) else b"{}")
    except UNREADABLE as error:
        raise refusal(error, f"{at}.input") from None
    arguments = bytes(block.input).decode() if memoryview(block.input) else "{}"
    call_id, name = _needed(block.id, at, "id"), _needed(block.name, at, "name")
    return ToolCallPart(call_id, name, arguments, _is_marked(block.cache_control))


def _result_content(content: msgspec.Raw, at: str) -> tuple[TextPart | ImagePart | Opaque, ...]:
    if not memoryview(content):
        return ()
    try:
        inner = _read_content(content)
    except UNREADABLE as error:
        raise refusal(error, f"{at}.content") from None
    parts: list[TextPart | ImagePart | Opaque] = []
    for index, part in enumerate(_parts(inner or [], f"{at}.content")):
        if not isinstance(part, TextPart | ImagePart | Opaque):
            raise wrong(f"{at}.content[{index}]", "a tool result holds text, images and documents only")
        parts.append(part)
    return tuple(parts)


def _tool(raw: msgspec.Raw, at: str) -> Tool | Opaque:
    try:
        tool = _read_tool(raw)
    except UNREADABLE as error:
        raise refusal(error, at) from None
    if tool.type not in (None, "custom"):
        return Opaque("anthropic_messages", tool.type, raw)
    name = _needed(tool.name, at, "name")
    if tool.input_schema is None:
        raise wrong(f"{at}.input_schema", "this field is required")
    return Tool(name, tool.description, tool.input_schema, tool.strict, _is_marked(tool.cache_control))


def _tool_choice(choice: _ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    match choice.type:
        case "auto":
            return ToolChoice("auto")
        case "any":
            return ToolChoice("required")
        case "none":
            return ToolChoice("none")
        case "tool":
            return ToolChoice("named", _needed(choice.name, "tool_choice", "name"))
        case _:
            raise wrong("tool_choice.type", "must be auto, any, tool or none")


def _output(body: _Body) -> OutputFormat | None:
    config = body.output_config
    at, wanted = "output_config.format", None if config is None else config.format
    if wanted is None:
        at, wanted = "output_format", body.output_format
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema is None:
        raise wrong(at, "must be a `json_schema` with a `schema`")
    return OutputFormat("json_schema", wanted.schema, wanted.name, True)


def _reasoning(body: _Body) -> Reasoning | None:
    effort = None if body.output_config is None else body.output_config.effort
    thinking = body.thinking
    if thinking is None:
        return None if effort is None else Reasoning(None, effort)
    return Reasoning(thinking.type != "disabled", effort, thinking.budget_tokens)
