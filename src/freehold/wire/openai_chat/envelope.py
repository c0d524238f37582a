"""Splits a Chat Completions request once and lazily, and describes one piece of its prompt.

`peek` checks the types of every field it reads; what stands inside a message is checked when the message is read, by
`describe` or `read_request`. Both name the field at fault.
"""

from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.codec import Block, Envelope, ToolOutcome, ToolUse
from freehold.wire.openai_chat.chunks import CallFunction, read_arguments

MOST_CHOICES = 128
"""The largest `n` OpenAI's schema allows."""


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _Top(msgspec.Struct, frozen=True):
    """The fields a decision needs."""

    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    response_format: _Kind | None = None
    logprobs: bool | None = None
    prompt_cache_key: str | None = None
    user: str | None = None


class _DescribedPart(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None


class _DescribedCall(msgspec.Struct, frozen=True):
    id: str | None = None
    function: CallFunction | None = None
    custom: dict[str, Any] | None = None


class _DescribedMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | list[_DescribedPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_DescribedCall] | None = None
    function_call: CallFunction | None = None
    tool_call_id: str | None = None


class _DescribedFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"")


class _DescribedTool(msgspec.Struct, frozen=True):
    function: _DescribedFunction | None = None
    custom: _DescribedFunction | None = None
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"")


_TOP = msgspec.json.Decoder(_Top)
_MESSAGE = msgspec.json.Decoder(_DescribedMessage)
_TOOLS = msgspec.json.Decoder(list[_DescribedTool])
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def peek(body: bytes) -> Envelope:
    """See `wire.codec.Codec.peek`."""
    top = split_top(body)
    try:
        read = _TOP.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if not read.model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    if not read.messages:
        raise faulty(Kind.INVALID_REQUEST, "messages: at least one message is needed", param="messages")
    choices = 1 if read.n is None else read.n
    if not 1 <= choices <= MOST_CHOICES:
        raise faulty(Kind.INVALID_REQUEST, f"n: must be between 1 and {MOST_CHOICES}", param="n")
    options, form = read.stream_options, read.response_format
    return Envelope(
        format="openai_chat",
        body=body,
        top=top,
        model=read.model,
        stream=read.stream is True,
        stream_usage=read.stream is True and options is not None and options.include_usage is True,
        max_tokens=read_limit(read.max_tokens, read.max_completion_tokens),
        choices=choices,
        tools=len(read.tools or ()) + len(read.functions or ()),
        schema=form is not None and form.type in {"json_object", "json_schema"},
        logprobs=read.logprobs is True,
        blocks=_split_prompt(read, top),
        session_hint=read.prompt_cache_key or read.user or None,
    )


def _split_prompt(read: _Top, top: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    """Each message, then the arrays of tools that are not empty."""
    if not read.tools and not read.functions:
        return tuple(read.messages)
    return (*read.messages, *(top[key] for key, said in (("tools", read.tools), ("functions", read.functions)) if said))


def read_limit(max_tokens: int | None, max_completion_tokens: int | None) -> int | None:
    """The answer's limit. -1, which llama.cpp's and LM Studio's clients send, says "no limit of mine"."""
    for name, limit in (("max_completion_tokens", max_completion_tokens), ("max_tokens", max_tokens)):
        if limit is not None and limit != -1:
            if limit < 1:
                raise faulty(Kind.INVALID_REQUEST, f"{name}: must be at least 1", param=name)
            return limit
    return None


def describe(block: msgspec.Raw) -> Block:
    """See `wire.codec.Codec.describe`. A tool result counts as an error where its text begins with "Error"."""
    try:
        if memoryview(block)[:1].tobytes() == b"[":
            return Block(role="tools", texts=tuple(_texts_of_tools(_TOOLS.decode(block))))
        return _describe_message(_MESSAGE.decode(block))
    except UNREADABLE as error:
        raise refusal(error) from None


def _describe_message(message: _DescribedMessage) -> Block:
    role = _ROLES.get(message.role)
    if role is None:
        raise unknown_role("role")
    content = message.content
    images = 0
    texts: list[str] = [thought for thought in (message.reasoning_content or message.reasoning,) if thought]
    if isinstance(content, str):
        texts.append(content)
    elif content is not None:
        texts += [said for part in content if (said := part.text or part.refusal)]
        images = sum(part.type == "image_url" for part in content)
    if message.refusal:
        texts.append(message.refusal)
    calls = message.tool_calls or ()
    uses: list[ToolUse] = []
    for call in calls:
        told = _texts_of_call(call.function)
        if call.custom is not None:
            told += [value for value in call.custom.values() if isinstance(value, str)]
        texts += told
        uses.append(ToolUse(call.id or "", told[0] if told else "", told[-1] if told else ""))
    if message.function_call is not None:
        told = _texts_of_call(message.function_call)
        texts += told
        uses.append(ToolUse("", *told))
    is_result = role == "tool"
    return Block(
        role=role,
        texts=tuple(texts),
        images=images,
        tool_errors=int(is_result and any(text[:5].lower() == "error" for text in texts[:1])),
        uses=tuple(uses),
        outcomes=(ToolOutcome(message.tool_call_id or "", "\n".join(texts)),) if is_result else (),
    )


def _texts_of_call(function: CallFunction | None) -> list[str]:
    if function is None:
        return []
    return [function.name or "", read_arguments(function.arguments)]


def _texts_of_tools(tools: list[_DescribedTool]) -> list[str]:
    texts: list[str] = []
    for tool in tools:
        said = tool.function or tool.custom or tool
        texts += [text for text in (said.name, said.description) if text]
        if len(said.parameters):
            texts.append(bytes(said.parameters).decode())
    return texts


def unknown_role(param: str) -> FaultError:
    """The fault of a role this format does not have."""
    return faulty(Kind.INVALID_REQUEST, f"{param}: must be one of system, developer, user, assistant, tool", param=param)
