"""Reads a whole request of Ollama's into the neutral middle.

Results name their tool at most, so calls get ids here (`call_MESSAGE_NUMBER`, the same each time) and a result is that of the
first call of that name which has none yet. Fields and options the middle has no word for become `Opaque` and are written back
to this format only; those that change what is asked (`raw`, `template`, `context`) are refused by every other one. A `suffix`
can be said in Completions too.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from freehold.chat import (
    ChatRequest,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope
from freehold.wire.ollama.envelope import Common, Options, read_format, read_generate, read_limit, unknown_role
from freehold.wire.ollama.images import read_images
from freehold.wire.ollama.shapes import Call, read_arguments

FORMAT: Final = "ollama"
BEYOND_CHAT = ("raw", "template", "context")
"""What generate can ask of Ollama alone."""
_NULL = msgspec.Raw(b"null")
_NOTHING_SAID = (b"null", b"false", b'""', b"[]")
_WORDS = frozenset(Options.__struct_fields__)


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: str = "function"
    function: _Function | None = None


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


_COMMON = msgspec.json.Decoder(Common)
_TOOL = msgspec.json.Decoder(_Tool)
_MESSAGE = msgspec.json.Decoder(_Message)
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_CHAT_FIELDS = frozenset({*Common.__struct_fields__, "messages", "tools"})
_GENERATE_FIELDS = frozenset({*Common.__struct_fields__, "prompt", "system", "images", "suffix"})
_encode = msgspec.json.Encoder().encode


def read_request(envelope: Envelope) -> ChatRequest:
    """See `wire.codec.Codec.read_request`: of `/api/chat`."""
    try:
        read = _COMMON.decode(envelope.body)
    except UNREADABLE as error:
        raise refusal(error) from None
    blocks = envelope.blocks
    tools: list[msgspec.Raw] = msgspec.json.decode(blocks[-1], type=list[msgspec.Raw]) if envelope.tools else []
    messages = _Conversation().read(blocks[:-1] if envelope.tools else blocks)
    return _request(envelope, read, messages, [_read_tool(f"tools[{at}]", tool) for at, tool in enumerate(tools)], _CHAT_FIELDS)


def read_generate_request(envelope: Envelope) -> ChatRequest:
    """See `wire.codec.Codec.read_request`: of `/api/generate`. The prompt becomes one user message."""
    read = read_generate(envelope.body)
    messages = [Message("system", (TextPart(read.system),))] if read.system else []
    parts: list[Part] = [TextPart(read.prompt)] if read.prompt else []
    messages.append(Message("user", (*parts, *read_images(read.images, "generate"))))
    request = _request(envelope, read, messages, [], _GENERATE_FIELDS)
    return msgspec.structs.replace(request, suffix=read.suffix) if read.suffix else request


def _request(
    envelope: Envelope, read: Common, messages: Sequence[Message], tools: Sequence[Tool], known: frozenset[str]
) -> ChatRequest:
    options = read.options or Options()
    return ChatRequest(
        model=read.model,
        messages=tuple(messages),
        tools=tuple(tools),
        max_tokens=read_limit(options),
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=None if options.top_k is None else int(options.top_k),
        frequency_penalty=options.frequency_penalty,
        presence_penalty=options.presence_penalty,
        seed=None if options.seed is None else int(options.seed),
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        logprobs=envelope.logprobs,
        top_logprobs=read.top_logprobs if envelope.logprobs else None,
        output=_read_output(read.format),
        reasoning=_read_reasoning(read.think),
        stream=envelope.stream,
        stream_usage=True,
        opaque=(*_read_opaque(envelope.top, known), *_read_options(envelope.top)),
    )


def _read_opaque(top: dict[str, msgspec.Raw], known: frozenset[str]) -> list[Opaque]:
    kept: list[Opaque] = []
    for key, value in top.items():
        if key in known or bytes(value) == b"null":
            continue
        if key in BEYOND_CHAT:
            if bytes(value) not in _NOTHING_SAID:
                remedy = f"leave `{key}` out, or pick a model whose runtime speaks ollama"
                kept.append(Opaque(FORMAT, key, value, may_drop=False, remedy=remedy))
        else:
            kept.append(Opaque(FORMAT, key, value, may_drop=True))
    return kept


def _read_options(top: dict[str, msgspec.Raw]) -> list[Opaque]:
    """The options that have no word in the middle: `min_p`, `repeat_penalty`, `mirostat` ..."""
    said = _OPTIONS.decode(top.get("options", _NULL)) or {}
    rest = {key: value for key, value in said.items() if key not in _WORDS and bytes(value) != b"null"}
    return [Opaque(FORMAT, "options", msgspec.Raw(_encode(rest)), may_drop=True)] if rest else []


def _read_output(raw: msgspec.Raw) -> OutputFormat | None:
    said = read_format(raw)
    if said is None:
        return None
    return OutputFormat("json_object") if isinstance(said, str) else OutputFormat("json_schema", said)


def _read_reasoning(think: bool | str | None) -> Reasoning | None:
    if think is None or think == "":
        return None
    return Reasoning(enabled=think) if isinstance(think, bool) else Reasoning(enabled=think != "none", effort=think)


def _read_tool(param: str, raw: msgspec.Raw) -> Tool:
    try:
        tool = _TOOL.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, param) from None
    if tool.type != "function" or tool.function is None:
        raise faulty(Kind.INVALID_REQUEST, f"{param}: must be {{type: function, function: {{...}}}}", param=param)
    return Tool(tool.function.name, tool.function.description, tool.function.parameters)


class _Conversation:
    """The messages while they are read: which calls wait for their result."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._messages: list[Message] = []
        self._results: list[Part] = []

    def read(self, blocks: Sequence[msgspec.Raw]) -> list[Message]:
        for at, block in enumerate(blocks):
            param = f"messages[{at}]"
            try:
                message = _MESSAGE.decode(block)
            except UNREADABLE as error:
                raise refusal(error, param) from None
            if message.role == "tool":
                self._results.append(self._read_result(param, message))
                continue
            self._end_results()
            self._messages.append(self._read_message(at, param, message))
        self._end_results()
        return self._messages

    def _end_results(self) -> None:
        if self._results:
            self._messages.append(Message("user", tuple(self._results)))
            self._results = []

    def _read_message(self, at: int, param: str, message: _Message) -> Message:
        text: list[Part] = [TextPart(message.content)] if message.content else []
        match message.role:
            case "system" | "user":
                return Message(message.role, (*text, *read_images(message.images, param)))
            case "assistant":
                if message.images:
                    raise _wrong(f"{param}.images", "an assistant's images cannot be told to another runtime")
                thought: list[Part] = [ReasoningPart(message.thinking)] if message.thinking else []
                return Message("assistant", (*thought, *text, *self._read_calls(at, param, message.tool_calls or ())))
        raise unknown_role(f"{param}.role")

    def _read_calls(self, at: int, param: str, calls: Sequence[Call]) -> list[Part]:
        parts: list[Part] = []
        self._waiting = []
        for number, call in enumerate(calls):
            where = f"{param}.tool_calls[{number}].function"
            if not call.function.name:
                raise _wrong(f"{where}.name", "is missing")
            try:
                arguments = read_arguments(call.function.arguments)
            except UNREADABLE as error:
                raise refusal(error, f"{where}.arguments") from None
            call_id = call.id or f"call_{at}_{number}"
            self._waiting.append((call_id, call.function.name))
            parts.append(ToolCallPart(call_id, call.function.name, arguments))
        return parts

    def _read_result(self, param: str, message: _Message) -> ToolResultPart:
        parts = [TextPart(message.content)] if message.content else []
        return ToolResultPart(self._match(param, message), (*parts, *read_images(message.images, param)))

    def _match(self, param: str, message: _Message) -> str:
        """The call a result belongs to: by its id, else by its tool's name, else in order."""
        for place, (call_id, name) in enumerate(self._waiting):
            if message.tool_call_id:
                found = call_id == message.tool_call_id
            else:
                found = not message.tool_name or name == message.tool_name
            if found:
                del self._waiting[place]
                return call_id
        raise _wrong(param, "is a tool's result, and no call before it waits for one of that name")


def _wrong(param: str, said: str) -> FaultError:
    return faulty(Kind.INVALID_REQUEST, f"{param}: {said}", param=param)
