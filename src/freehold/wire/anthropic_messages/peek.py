"""Looks at a client's Messages body without interpreting it: the envelope, and what one block of it holds.

Promised: types are checked as far as they are looked at; a fault names the field. Not done: message contents are not
read here (`describe` and `request_in` do), and keys that stand twice below the top level are not noticed.
"""

import msgspec

from freehold.wire.anthropic_messages.places import wrong
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.codec import Block, Envelope, ToolOutcome, ToolUse

LARGEST_MAX_TOKENS = 2**31 - 1
"""No answer is longer; a larger number is a mistake, and not every upstream can read it."""

_NOTHING = msgspec.Raw()
_UNSAID = (_NOTHING, msgspec.Raw(b"null"))


class _OutputConfig(msgspec.Struct):
    format: msgspec.Raw = _NOTHING


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Head(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    max_tokens: int | None = None
    stream: bool | None = None
    system: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    output_config: _OutputConfig | None = None
    output_format: msgspec.Raw = _NOTHING
    metadata: _Metadata | None = None


class _UserId(msgspec.Struct):
    session_id: str | None = None


class _Block(msgspec.Struct):
    """Any content block or tool, as far as a description needs it."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str = ""
    tool_use_id: str = ""
    name: str = ""
    description: str = ""
    input: msgspec.Raw = _NOTHING
    input_schema: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING
    is_error: bool | None = None
    source: msgspec.Raw = _NOTHING
    title: str | None = None
    context: str | None = None


class _Source(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw]


_read_head = msgspec.json.Decoder(_Head).decode
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_user_id = msgspec.json.Decoder(_UserId).decode
_read_block = msgspec.json.Decoder(_Block).decode
_read_source = msgspec.json.Decoder(_Source).decode
_read_message = msgspec.json.Decoder(_Message).decode
_read_content = msgspec.json.Decoder(str | list[msgspec.Raw] | None).decode
_read_str = msgspec.json.Decoder(str).decode


def _is_said(raw: msgspec.Raw) -> bool:
    """The field is there and is not null."""
    return raw not in _UNSAID


def peek(body: bytes) -> Envelope:
    """Split a Messages body. Raises FaultError(INVALID_REQUEST) naming the field."""
    envelope = peek_uncounted(body)
    if envelope.max_tokens is None:
        raise wrong("max_tokens", "this field is required")
    return envelope


def peek_uncounted(body: bytes) -> Envelope:
    """Split a Messages body that need not say `max_tokens`, as token counting takes it."""
    top = split_top(body)
    try:
        head = _read_head(body)
        tools = len(_read_tools(head.tools)) if _is_said(head.tools) else 0
    except UNREADABLE as error:
        raise refusal(error) from None
    if not head.model:
        raise wrong("model", "name a model")
    if not head.messages:
        raise wrong("messages", "at least one message is required")
    if head.max_tokens is not None and not 0 <= head.max_tokens <= LARGEST_MAX_TOKENS:
        raise wrong("max_tokens", f"must be between 0 and {LARGEST_MAX_TOKENS}")
    return Envelope(
        format="anthropic_messages",
        body=body,
        top=top,
        model=head.model,
        stream=head.stream is True,
        stream_usage=True,
        max_tokens=head.max_tokens,
        choices=1,
        tools=tools,
        schema=_has_schema(head),
        logprobs=False,
        blocks=_blocks(head, tools),
        session_hint=_session_hint(head.metadata),
    )


def _read_tools(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _read_list(raw)
    except msgspec.ValidationError as error:
        raise refusal(error, "tools") from None


def _has_schema(head: _Head) -> bool:
    config = head.output_config
    return _is_said(head.output_format) or (config is not None and _is_said(config.format))


def _blocks(head: _Head, tools: int) -> tuple[msgspec.Raw, ...]:
    if _is_said(head.system):
        head.messages.insert(0, head.system)
    if tools:
        head.messages.append(head.tools)
    return tuple(head.messages)


def _session_hint(metadata: _Metadata | None) -> str | None:
    """The session in `metadata.user_id`, which some clients fill with a JSON object; otherwise the id itself."""
    user_id = None if metadata is None else metadata.user_id
    if not user_id:
        return None
    if user_id[0] == "{":
        try:
            return _read_user_id(user_id).session_id or user_id
        except UNREADABLE:
            return user_id
    return user_id


class _Findings:
    """What the blocks of one message add up to."""

    __slots__ = ("images", "outcomes", "said", "texts", "tool_errors", "uses")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.uses: list[ToolUse] = []
        self.outcomes: list[ToolOutcome] = []
        self.images = self.tool_errors = 0
        self.said = False
        """Something stands outside tool results."""

    def take(self, raw: msgspec.Raw, at: str) -> None:
        """Count one content block."""
        block = _read_block(raw)
        match block.type:
            case "text":
                self._hear(block.text)
                self.said = True
            case "image":
                self.images += 1
                self.said = True
            case "thinking":
                self._hear(block.thinking)
            case "redacted_thinking":
                pass
            case "tool_use":
                arguments = bytes(block.input).decode()
                self.uses.append(ToolUse(block.id, block.name, arguments))
                self._hear(block.name)
                self._hear(arguments)
            case "tool_result":
                self._take_result(block, at)
            case "document" if _is_said(block.source) and _read_source(block.source).type == "base64":
                self.said = True
                self._hear(block.title or "")
                self._hear(block.context or "")
            case "":
                raise wrong(at, "a content block needs a `type`")
            case _:
                self.said = True
                self._hear(bytes(raw).decode())

    def _take_result(self, block: _Block, at: str) -> None:
        failed = block.is_error is True
        self.tool_errors += failed
        content = _read_content(block.content) if _is_said(block.content) else None
        if isinstance(content, str):
            self._hear(content)
            self.outcomes.append(ToolOutcome(block.tool_use_id, content, failed))
            return
        said, heard = self.said, len(self.texts)
        for index, raw in enumerate(content or ()):
            self.take(raw, f"{at}.content[{index}]")
        self.said = said
        self.outcomes.append(ToolOutcome(block.tool_use_id, "\n".join(self.texts[heard:]), failed))

    def _hear(self, text: str) -> None:
        if text:
            self.texts.append(text)

    def block(self, role: str) -> Block:
        """The findings under a role; a user turn of tool results alone is the tools' turn."""
        if role == "user" and self.outcomes and not self.said:
            role = "tool"
        return Block(
            role=role,
            texts=tuple(self.texts),
            images=self.images,
            tool_errors=self.tool_errors,
            uses=tuple(self.uses),
            outcomes=tuple(self.outcomes),
        )


def describe(block: msgspec.Raw) -> Block:
    """Read one of the envelope's blocks: system text, a message or the tools. Raises FaultError(INVALID_REQUEST).

    A block type unknown here counts as text, all of its JSON: a detector should rather see too much than too little.
    """
    try:
        first = bytes(memoryview(block)[:1])
        if first == b'"':
            return Block(role="system", texts=(_read_str(block),))
        return _describe_list(block) if first == b"[" else _describe_message(block)
    except UNREADABLE as error:
        raise refusal(error) from None


def _describe_message(block: msgspec.Raw) -> Block:
    message = _read_message(block)
    findings = _Findings()
    if isinstance(message.content, str):
        return Block(role=message.role, texts=(message.content,) if message.content else ())
    for index, raw in enumerate(message.content):
        findings.take(raw, f"content[{index}]")
    return findings.block(message.role)


def _describe_list(block: msgspec.Raw) -> Block:
    raws = _read_list(block)
    parts = [_read_block(raw) for raw in raws]
    if all(part.type == "text" for part in parts):
        return Block(role="system", texts=tuple(part.text for part in parts if part.text))
    texts: list[str] = []
    for raw, tool in zip(raws, parts, strict=True):
        if not _is_said(tool.input_schema):
            texts.append(bytes(raw).decode())
            continue
        texts += (tool.name, tool.description, bytes(tool.input_schema).decode())
    return Block(role="tools", texts=tuple(text for text in texts if text))
