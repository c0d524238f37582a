"""Splits a request of Ollama's once and lazily, and describes one piece of its prompt.

Source: Ollama's docs/openapi.yaml (`ChatRequest`, `GenerateRequest`, `ModelOptions`). It streams unless told not to, and its
streams always report usage. A request without a prompt asks to load the model: its envelope has no blocks. What generate
asks for is described as the messages it stands for.
"""

from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.codec import Block, Envelope, ToolOutcome, ToolUse
from freehold.wire.ollama.shapes import NOTHING, Call, read_arguments


class Options(msgspec.Struct, frozen=True):
    """The options that have a word in the middle. Numbers may come as floats: Ollama's own reader takes them so."""

    num_predict: int | float | None = None
    num_ctx: int | float | None = None
    temperature: float | None = None
    top_k: int | float | None = None
    top_p: float | None = None
    seed: int | float | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class Common(msgspec.Struct, frozen=True):
    """The top-level fields both endpoints have."""

    model: str
    stream: bool | None = None
    format: msgspec.Raw = NOTHING
    options: Options | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class _Chat(Common, frozen=True):
    messages: list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None


class Generate(Common, frozen=True):
    """The fields of `/api/generate`."""

    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None


class _DescribedMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None


class _DescribedFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = NOTHING


class _DescribedTool(msgspec.Struct, frozen=True):
    function: _DescribedFunction | None = None


_CHAT = msgspec.json.Decoder(_Chat)
_GENERATE = msgspec.json.Decoder(Generate)
_MESSAGE = msgspec.json.Decoder(_DescribedMessage)
_TOOLS = msgspec.json.Decoder(list[_DescribedTool])
_FORMAT = msgspec.json.Decoder(str | dict[str, Any] | None)
_encode = msgspec.json.Encoder().encode
ROLES = frozenset({"system", "user", "assistant", "tool"})


def peek(body: bytes) -> Envelope:
    """See `wire.codec.Codec.peek`: of `/api/chat`."""
    top = split_top(body)
    try:
        read = _CHAT.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    blocks = tuple(read.messages or ())
    tools = read.tools if blocks and read.tools else ()
    return _envelope(body, top, read, (*blocks, top["tools"]) if tools else blocks, len(tools))


def peek_generate(body: bytes) -> Envelope:
    """See `wire.codec.Codec.peek`: of `/api/generate`."""
    top = split_top(body)
    read = read_generate(body)
    envelope = _envelope(body, top, read, _as_messages(read), 0)
    return msgspec.structs.replace(envelope, operation="completion", fill_in=True) if read.suffix else envelope


def read_generate(body: bytes) -> Generate:
    """A generate request's fields. Raises FaultError(INVALID_REQUEST)."""
    try:
        return _GENERATE.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None


def _as_messages(read: Generate) -> tuple[msgspec.Raw, ...]:
    if not read.prompt and not read.images and not read.suffix:
        return ()
    said: list[dict[str, object]] = [{"role": "system", "content": read.system}] if read.system else []
    said.append({"role": "user", "content": read.prompt or "", **({"images": read.images} if read.images else {})})
    if read.suffix:
        said.append({"role": "user", "content": read.suffix})
    return tuple(msgspec.Raw(_encode(one)) for one in said)


def _envelope(body: bytes, top: dict[str, msgspec.Raw], read: Common, blocks: tuple[msgspec.Raw, ...], tools: int) -> Envelope:
    if not read.model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    return Envelope(
        format="ollama",
        body=body,
        top=top,
        model=read.model,
        stream=read.stream is not False,
        stream_usage=True,
        max_tokens=read_limit(read.options),
        choices=1,
        tools=tools,
        schema=read_format(read.format) is not None,
        logprobs=read.logprobs is True,
        blocks=blocks,
    )


def read_limit(options: Options | None) -> int | None:
    """The answer's limit. Ollama takes 0 and negative numbers (-1 endless, -2 fill the window) for none."""
    if options is None or options.num_predict is None or options.num_predict < 1:
        return None
    return int(options.num_predict)


def read_format(raw: msgspec.Raw) -> str | dict[str, Any] | None:
    """`json`, a schema, or None where nothing is asked for. Raises FaultError(INVALID_REQUEST)."""
    if not len(raw):
        return None
    try:
        said = _FORMAT.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, "format") from None
    if isinstance(said, str) and said not in {"", "json"}:
        raise faulty(Kind.INVALID_REQUEST, 'format: must be "json" or a JSON schema', param="format")
    return said or None


def describe(block: msgspec.Raw) -> Block:
    """See `wire.codec.Codec.describe`. A tool result counts as an error where its text begins with "Error"."""
    try:
        if memoryview(block)[:1].tobytes() == b"[":
            return Block(role="tools", texts=tuple(_texts_of_tools(_TOOLS.decode(block))))
        message = _MESSAGE.decode(block)
        if message.role not in ROLES:
            raise unknown_role("role")
        texts = [text for text in (message.thinking, message.content) if text]
        uses = [ToolUse("", one.function.name, read_arguments(one.function.arguments)) for one in message.tool_calls or ()]
        for use in uses:
            texts += [use.name, use.arguments]
    except UNREADABLE as error:
        raise refusal(error) from None
    is_result = message.role == "tool"
    return Block(
        role=message.role,
        texts=tuple(texts),
        images=len(message.images or ()),
        tool_errors=int(is_result and (message.content or "")[:5].lower() == "error"),
        uses=tuple(uses),
        outcomes=(ToolOutcome("", message.content or ""),) if is_result else (),
    )


def _texts_of_tools(tools: list[_DescribedTool]) -> list[str]:
    texts: list[str] = []
    for tool in tools:
        said = tool.function
        if said is not None:
            texts += [text for text in (said.name, said.description) if text]
            if len(said.parameters):
                texts.append(bytes(said.parameters).decode())
    return texts


def unknown_role(param: str) -> FaultError:
    """The fault of a role this format does not have."""
    return faulty(Kind.INVALID_REQUEST, f"{param}: must be one of system, user, assistant, tool", param=param)
