"""Reads a whole Chat Completions request into the neutral middle.

Source: OpenAI's `CreateChatCompletionRequest`. Fields the middle has no word for become `Opaque` and are written back to
this format only. `developer` is read as system text. Consecutive tool messages become one user message of results; a
user message behind them stays its own. Dropped: unknown keys inside messages and tools, a schema's `description`.
Refused with UNSUPPORTED: the retired `functions` and `function_call`, whose answers no other format can spell.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

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
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope
from freehold.wire.openai_chat.chunks import CallPiece, read_arguments
from freehold.wire.openai_chat.envelope import StreamOptions, read_limit, unknown_role

FORMAT: Final = "openai_chat"
_NOTHING = msgspec.Raw(b"")
_DATA_URL = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)(?:;[a-zA-Z0-9.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


class _Schema(msgspec.Struct, frozen=True):
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct, frozen=True):
    type: str
    json_schema: _Schema | None = None


class _Request(msgspec.Struct, frozen=True):
    """The top-level fields that have a word in the middle."""

    model: str
    messages: msgspec.Raw
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = _NOTHING
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: str = "function"
    function: _Function | None = None
    cache_control: dict[str, Any] | None = None


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Choice(msgspec.Struct, frozen=True):
    type: str
    function: _Named | None = None


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[msgspec.Raw] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[msgspec.Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    function_call: dict[str, Any] | None = None
    audio: msgspec.Raw = _NOTHING


class _ImageUrl(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: str | _ImageUrl | None = None
    cache_control: dict[str, Any] | None = None
    prompt_cache_breakpoint: dict[str, Any] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_TOOL = msgspec.json.Decoder(_Tool)
_CHOICE = msgspec.json.Decoder(str | _Choice | None)
_MESSAGE = msgspec.json.Decoder(_Message)
_PART = msgspec.json.Decoder(_Part)
_CALL = msgspec.json.Decoder(CallPiece)
_KNOWN = frozenset(_Request.__struct_fields__)


def read_request(envelope: Envelope) -> ChatRequest:
    """See `wire.codec.Codec.read_request`."""
    for retired in ("functions", "function_call"):
        if bytes(envelope.top.get(retired, b"null")) != b"null":
            raise _retired(retired)
    try:
        read = _REQUEST.decode(envelope.body)
    except UNREADABLE as error:
        raise refusal(error) from None
    tool_choice, odd_choice = _read_tool_choice(read.tool_choice)
    unknown = tuple(
        Opaque(FORMAT, key, value)
        for key, value in envelope.top.items()
        if key not in _KNOWN and memoryview(value)[:4].tobytes() != b"null"
    )
    return ChatRequest(
        model=read.model,
        messages=_read_messages(envelope),
        tools=tuple(_read_tool(f"tools[{at}]", tool) for at, tool in enumerate(read.tools or ())),
        tool_choice=tool_choice,
        parallel_tool_calls=read.parallel_tool_calls,
        max_tokens=read_limit(read.max_tokens, read.max_completion_tokens),
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=read.top_k,
        frequency_penalty=read.frequency_penalty,
        presence_penalty=read.presence_penalty,
        seed=read.seed,
        stop=(read.stop,) if isinstance(read.stop, str) else tuple(read.stop or ()),
        n=envelope.choices,
        logprobs=read.logprobs is True,
        top_logprobs=read.top_logprobs,
        output=_read_output(read.response_format),
        reasoning=_read_reasoning(read.reasoning_effort),
        stream=envelope.stream,
        stream_usage=envelope.stream_usage,
        user=read.user,
        opaque=unknown if odd_choice is None else (*unknown, odd_choice),
    )


def _read_reasoning(effort: str | None) -> Reasoning | None:
    return None if effort is None else Reasoning(enabled=effort != "none", effort=effort)


def _read_output(form: _Format | None) -> OutputFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    if form.type != "json_schema" or form.json_schema is None:
        said = "response_format: must be text, json_object, or json_schema with its json_schema"
        raise faulty(Kind.INVALID_REQUEST, said, param="response_format")
    schema = form.json_schema
    return OutputFormat("json_schema", schema.schema, schema.name, schema.strict)


def _read_tool_choice(raw: msgspec.Raw) -> tuple[ToolChoice | None, Opaque | None]:
    if not len(raw):
        return None, None
    try:
        choice = _CHOICE.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, "tool_choice") from None
    match choice:
        case None:
            return None, None
        case "auto" | "none" | "required":
            return ToolChoice(choice), None
        case _Choice("function", _Named(name)):
            return ToolChoice("named", name), None
        case _Choice(kind) if kind != "function":
            return None, Opaque(FORMAT, "tool_choice", raw)
    said = "tool_choice: must be auto, none, required or {type: function, function: {name}}"
    raise faulty(Kind.INVALID_REQUEST, said, param="tool_choice")


def _read_tool(param: str, raw: msgspec.Raw) -> Tool | Opaque:
    try:
        tool = _TOOL.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, param) from None
    if tool.type != "function":
        return Opaque(FORMAT, tool.type, raw)
    if tool.function is None:
        raise _missing(f"{param}.function")
    said = tool.function
    return Tool(said.name, said.description, said.parameters, said.strict, tool.cache_control is not None)


def _read_messages(envelope: Envelope) -> tuple[Message, ...]:
    """All messages; the envelope's first blocks are they, the tools come behind."""
    count = len(envelope.blocks) - sum(key in envelope.top for key in ("tools",) if envelope.tools)
    messages: list[Message] = []
    results: list[Part] = []
    for at, block in enumerate(envelope.blocks[:count]):
        param = f"messages[{at}]"
        try:
            message = _MESSAGE.decode(block)
        except UNREADABLE as error:
            raise refusal(error, param) from None
        if message.role == "tool":
            results.append(_read_result(param, message))
            continue
        if results:
            messages.append(Message("user", tuple(results)))
            results = []
        messages.append(_read_message(param, message))
    if results:
        messages.append(Message("user", tuple(results)))
    return tuple(messages)


def _read_message(param: str, message: _Message) -> Message:
    match message.role:
        case "system" | "developer":
            return Message("system", _read_content(param, message.content), message.name)
        case "user":
            if message.content is None:
                raise _missing(f"{param}.content")
            return Message("user", _read_content(param, message.content), message.name)
        case "assistant":
            return Message("assistant", _read_assistant(param, message), message.name)
        case "function":
            raise _retired(f"{param}.role")
    raise unknown_role(f"{param}.role")


def _read_assistant(param: str, message: _Message) -> tuple[Part, ...]:
    if message.function_call is not None:
        raise _retired(f"{param}.function_call")
    thought = message.reasoning_content or message.reasoning
    parts: list[Part] = [ReasoningPart(thought)] if thought else []
    parts += _read_content(param, message.content)
    if message.refusal:
        value = msgspec.json.encode({"type": "refusal", "refusal": message.refusal})
        parts.append(Opaque(FORMAT, "refusal", msgspec.Raw(value)))
    if len(message.audio) and bytes(message.audio) != b"null":
        parts.append(Opaque(FORMAT, "audio", message.audio))
    for at, raw in enumerate(message.tool_calls or ()):
        parts.append(_read_call(f"{param}.tool_calls[{at}]", raw))
    return tuple(parts)


def _read_call(param: str, raw: msgspec.Raw) -> ToolCallPart | Opaque:
    try:
        call = _CALL.decode(raw)
        if call.type not in {None, "function"}:
            return Opaque(FORMAT, "tool_call", raw)
        if call.function is None or not call.function.name:
            raise _missing(f"{param}.function.name")
        if not call.id:
            raise _missing(f"{param}.id")
        return ToolCallPart(call.id, call.function.name, read_arguments(call.function.arguments))
    except UNREADABLE as error:
        raise refusal(error, param) from None


def _read_result(param: str, message: _Message) -> ToolResultPart:
    if not message.tool_call_id:
        raise _missing(f"{param}.tool_call_id")
    content = _read_content(param, message.content)
    return ToolResultPart(message.tool_call_id, content)


def _read_content(param: str, content: str | Sequence[msgspec.Raw] | None) -> tuple[TextPart | ImagePart | Opaque, ...]:
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_read_part(f"{param}.content[{at}]", raw) for at, raw in enumerate(content))


def _read_part(param: str, raw: msgspec.Raw) -> TextPart | ImagePart | Opaque:
    try:
        part = _PART.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, param) from None
    is_marked = part.cache_control is not None or part.prompt_cache_breakpoint is not None
    if part.type == "text":
        if part.text is None:
            raise _missing(f"{param}.text")
        return TextPart(part.text, is_marked)
    if part.type == "image_url":
        if part.image_url is None:
            raise _missing(f"{param}.image_url")
        image = _ImageUrl(part.image_url) if isinstance(part.image_url, str) else part.image_url
        return _read_image(f"{param}.image_url.url", image, is_marked)
    return Opaque(FORMAT, part.type, raw)


def _read_image(param: str, image: _ImageUrl, is_marked: bool) -> ImagePart:
    if image.url[:5].lower() != "data:":
        return ImagePart(None, None, image.url, image.detail, is_marked)
    found = _DATA_URL.match(image.url)
    if found is None:
        said = f"{param}: a data URL must name its media type and be base64, as data:image/png;base64,..."
        raise faulty(Kind.INVALID_REQUEST, said, param=param)
    return ImagePart(found[1].lower(), image.url[found.end() :], None, image.detail, is_marked)


def _missing(param: str) -> FaultError:
    return faulty(Kind.INVALID_REQUEST, f"{param}: is missing", param=param)


def _retired(param: str) -> FaultError:
    said = f"{param}: functions and function_call are retired and cannot be translated; use tools and tool_choice"
    return faulty(Kind.UNSUPPORTED, said, param=param)
