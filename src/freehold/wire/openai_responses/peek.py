"""Looks at a client's Responses body without interpreting it: the envelope, and what one block of it holds.

Promised: types are checked as far as they are looked at; a fault names the field. Blocks are the instructions, each item
of the input and the tools; instructions and an input that is one string are blocks in the form of a message.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.codec import Block, Envelope, ToolOutcome, ToolUse

LARGEST_MAX_TOKENS = 2**31 - 1
LOGPROBS = "message.output_text.logprobs"
"""What `include` holds where log probabilities are asked for."""

_NOTHING = msgspec.Raw(b"")


class _Kind(msgspec.Struct, frozen=True):
    type: str | None = None


class _Text(msgspec.Struct, frozen=True):
    format: _Kind | None = None


class _Metadata(msgspec.Struct, frozen=True):
    user_id: str | None = None


class _Top(msgspec.Struct, frozen=True):
    """The fields a decision needs."""

    model: str
    input: str | list[msgspec.Raw] | None = None
    instructions: str | list[msgspec.Raw] | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[msgspec.Raw] | None = None
    text: _Text | None = None
    include: list[str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    prompt: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct, frozen=True):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, frozen=True):
    """Any input item, as far as a description needs it."""

    type: str | None = None
    role: str | None = None
    content: str | list[_Part] | None = None
    summary: list[_Part] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[_Part] | None = None


class _Tool(msgspec.Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = _NOTHING
    format: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING


_TOP = msgspec.json.Decoder(_Top)
_ITEM = msgspec.json.Decoder(_Item)
_TYPE = msgspec.json.Decoder(_Kind)
_TOOLS = msgspec.json.Decoder(list[_Tool])
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})


def peek(body: bytes) -> Envelope:
    """See `wire.codec.Codec.peek`."""
    top = split_top(body)
    try:
        read = _TOP.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if not read.model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    limit = read.max_output_tokens
    if limit is not None and not 1 <= limit <= LARGEST_MAX_TOKENS:
        said = f"max_output_tokens: must be between 1 and {LARGEST_MAX_TOKENS}"
        raise faulty(Kind.INVALID_REQUEST, said, param="max_output_tokens")
    form = None if read.text is None else read.text.format
    return Envelope(
        format="openai_responses",
        body=body,
        top=top,
        model=read.model,
        stream=read.stream is True,
        stream_usage=True,
        max_tokens=limit,
        choices=1,
        tools=len(read.tools or ()),
        schema=form is not None and form.type in {"json_object", "json_schema"},
        logprobs=LOGPROBS in (read.include or ()),
        blocks=_split_prompt(read, top),
        session_hint=read.prompt_cache_key or read.safety_identifier or read.user or None,
    )


def _split_prompt(read: _Top, top: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    blocks: list[msgspec.Raw] = []
    if isinstance(read.instructions, str):
        blocks += [_message(b"system", top["instructions"])] if read.instructions else []
    else:
        blocks += read.instructions or ()
    if isinstance(read.input, str):
        blocks.append(_message(b"user", top["input"]))
    else:
        blocks += read.input or ()
    if not blocks and not _lives_elsewhere(top):
        raise faulty(Kind.INVALID_REQUEST, "input: say something, as text or as a list of items", param="input")
    if read.tools:
        blocks.append(top["tools"])
    return tuple(blocks)


def _lives_elsewhere(top: dict[str, msgspec.Raw]) -> bool:
    """The prompt is kept by the vendor."""
    return any(bytes(top.get(key, b"null")) != b"null" for key in ("previous_response_id", "conversation", "prompt"))


def _message(role: bytes, text: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(b'{"role":"%b","content":%b}' % (role, bytes(text)))


def describe(block: msgspec.Raw) -> Block:
    """See `wire.codec.Codec.describe`. A result counts as an error where its text begins with "Error".

    An item of a type unknown here counts as text, all of its JSON: a detector should rather see too much than too little.
    """
    try:
        if memoryview(block)[:1].tobytes() == b"[":
            return Block(role="tools", texts=tuple(_texts_of_tools(_TOOLS.decode(block))))
        kind = _TYPE.decode(block).type
        if kind in (None, "message", "reasoning") or kind in _CALLS or kind in _RESULTS:
            return _describe_item(_ITEM.decode(block))
        return Block(role="assistant", texts=(bytes(block).decode(),))
    except UNREADABLE as error:
        raise refusal(error) from None


def _describe_item(item: _Item) -> Block:
    if item.type in _CALLS:
        said = (item.name or "", item.arguments or item.input or "")
        return Block(role="assistant", texts=tuple(filter(None, said)), uses=(ToolUse(item.call_id or "", *said),))
    if item.type in _RESULTS:
        texts = _texts(item.output)
        failed = int(any(text[:5].lower() == "error" for text in texts[:1]))
        return Block(
            role="tool",
            texts=tuple(texts),
            images=_images(item.output),
            tool_errors=failed,
            outcomes=(ToolOutcome(item.call_id or "", "\n".join(texts)),),
        )
    if item.type == "reasoning":
        return Block(role="assistant", texts=tuple(_texts(item.content) or _texts(item.summary)))
    role = _ROLES.get(item.role or "")
    if role is None:
        if item.type is None and item.role is None:
            return Block(role="assistant")  # a reference to an item the vendor keeps
        raise faulty(Kind.INVALID_REQUEST, "role: must be one of user, assistant, system, developer", param="role")
    return Block(role=role, texts=tuple(_texts(item.content)), images=_images(item.content))


def _texts(content: str | list[_Part] | None) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    return [said for part in content or () if (said := part.text or part.refusal)]


def _images(content: str | list[_Part] | None) -> int:
    return 0 if content is None or isinstance(content, str) else sum(part.type == "input_image" for part in content)


def _texts_of_tools(tools: list[_Tool]) -> list[str]:
    texts: list[str] = []
    for tool in tools:
        texts += [text for text in (tool.name, tool.description) if text]
        texts += [bytes(raw).decode() for raw in (tool.parameters, tool.format, tool.tools) if len(raw)]
    return texts
