"""Tool calls through a JSON schema, for models that cannot call tools but can be held to a grammar.

The tools are described in the system prompt and the answer is constrained to one JSON object: a list of calls whose
arguments satisfy each tool's own schema, or a plain reply where the client leaves the choice to the model. What the
model then writes is read back as tool calls or text. The engine's grammar guarantees the shape, so nothing has to be
guessed from prose. Text is passed on as it is written; calls go out when the object is whole.

Not done here: repairing calls of models that do call tools by themselves.
"""

from typing import Any

import msgspec

from freehold.chat import (
    ChatRequest,
    Event,
    Finished,
    Message,
    OutputFormat,
    Part,
    TextDelta,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    ToolResultPart,
)
from freehold.fault import Kind, faulty
from freehold.wire.codec import Reader

MAX_PARALLEL_CALLS = 8


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


class _Calls(msgspec.Struct):
    calls: list[_Call]


_calls = msgspec.json.Decoder(_Calls)
_REPLY_KEY = "reply"


def offer_by_schema(request: ChatRequest) -> ChatRequest:
    """The request with its tools moved into the system prompt and the output schema."""
    tools = tuple(tool for tool in request.tools if isinstance(tool, Tool))
    choice = request.tool_choice
    if not tools or (choice is not None and choice.mode == "none"):
        return msgspec.structs.replace(request, messages=_retold(request.messages), tools=(), tool_choice=None)
    if choice is not None and choice.mode == "named":
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            raise faulty(
                Kind.INVALID_REQUEST, f"tool_choice names '{choice.name}', which is not among the tools", param="tool_choice"
            )
    must_call = choice is not None and choice.mode in {"required", "named"}
    many = request.parallel_tool_calls is not False and not (choice is not None and choice.mode == "named")
    lines = [_introduction(must_call)]
    lines += [f"- {tool.name}: {tool.description or ''} Arguments: {_json(_parameters(tool))}" for tool in tools]
    return msgspec.structs.replace(
        request,
        messages=_with_system("\n".join(lines), _retold(request.messages)),
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        output=OutputFormat("json_schema", _answer_schema(tools, must_call=must_call, many=many), "answer", strict=True),
    )


def _introduction(must_call: bool) -> str:
    calls = '{"calls": [{"name": ..., "arguments": {...}}]}'
    if must_call:
        return f"Answer with JSON only, calling tools: {calls}. Take the arguments from the user's words. The tools:"
    return f'Answer with JSON only: call tools with {calls} where they help, otherwise {{"{_REPLY_KEY}": "..."}}. The tools:'


def _answer_schema(tools: tuple[Tool, ...], *, must_call: bool, many: bool) -> dict[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _parameters(tool)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    one_call: dict[str, Any] = calls[0] if len(calls) == 1 else {"anyOf": calls}
    calling: dict[str, Any] = {
        "type": "object",
        "properties": {
            "calls": {"type": "array", "items": one_call, "minItems": 1, "maxItems": MAX_PARALLEL_CALLS if many else 1}
        },
        "required": ["calls"],
        "additionalProperties": False,
    }
    if must_call:
        return calling
    replying = {
        "type": "object",
        "properties": {_REPLY_KEY: {"type": "string"}},
        "required": [_REPLY_KEY],
        "additionalProperties": False,
    }
    return {"anyOf": [calling, replying]}


def _parameters(tool: Tool) -> dict[str, Any]:
    return tool.parameters or {"type": "object", "properties": {}}


def _with_system(text: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        return (Message("system", (*messages[0].parts, TextPart("\n\n" + text))), *messages[1:])
    return (Message("system", (TextPart(text),)), *messages)


def _retold(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Earlier calls and results as the plain text that this way of calling would have produced."""
    return tuple(Message(message.role, tuple(_retell(part) for part in message.parts), message.name) for message in messages)


def _retell(part: Part) -> Part:
    if isinstance(part, ToolCallPart):
        return TextPart(f'{{"calls": [{{"name": {_json(part.name)}, "arguments": {part.arguments or "{}"}}}]}}')
    if isinstance(part, ToolResultPart):
        text = "".join(piece.text for piece in part.content if isinstance(piece, TextPart))
        return TextPart(f"Result of the tool call{' (it failed)' if part.is_error else ''}: {text}")
    return part


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


class SchemaToolReader:
    """Reads the constrained answer back: `calls` become tool calls, `reply` becomes text."""

    def __init__(self, upstream: Reader, request_id: str) -> None:
        self._upstream = upstream
        self._call_prefix = f"call_{request_id.rpartition('_')[2]}"
        self._text: list[str] = []
        self._reply = _ReplyText()

    def feed(self, data: bytes) -> list[Event]:
        """As `Reader.feed`, with the answer's JSON replaced by what it says."""
        return self._turn(self._upstream.feed(data))

    def end(self) -> list[Event]:
        """As `Reader.end`."""
        return self._turn(self._upstream.end())

    def whole(self, body: bytes) -> list[Event]:
        """As `Reader.whole`."""
        return self._turn(self._upstream.whole(body))

    def _turn(self, events: list[Event]) -> list[Event]:
        turned: list[Event] = []
        for event in events:
            if isinstance(event, TextDelta) and not event.refusal:
                self._text.append(event.text)
                if text := self._reply.feed(event.text):
                    turned.append(TextDelta(text))
            elif isinstance(event, Finished):
                turned.extend(self._finish(event))
            else:
                turned.append(event)
        return turned

    def _finish(self, event: Finished) -> list[Event]:
        if self._reply.is_reply or event.reason not in {"stop", "length"}:
            return [event]
        try:
            calls = _calls.decode("".join(self._text)).calls
        except (msgspec.DecodeError, RecursionError):
            # Cut short by the token limit: what was written is shown, with its true finish reason.
            return [TextDelta("".join(self._text)), event]
        turned: list[Event] = []
        for index, call in enumerate(calls):
            turned.append(ToolCallStarted(index, f"{self._call_prefix}_{index}", call.name))
            turned.append(ToolCallDelta(index, bytes(call.arguments).decode()))
        return [*turned, Finished("tool_calls")]


class _ReplyText:
    """Takes `{"reply": "..."}` apart while it is being written, so that text streams."""

    def __init__(self) -> None:
        self.is_reply = False
        self._buffer = ""
        self._at = 0
        self._closed = False

    def feed(self, text: str) -> str:
        if self._closed:
            return ""
        self._buffer += text
        if not self.is_reply and not self._enter():
            return ""
        return self._take()

    def _enter(self) -> bool:
        compact = self._buffer.lstrip()
        if not compact.startswith("{"):
            self._closed = bool(compact)
            return False
        head = compact[1:].lstrip()
        key = f'"{_REPLY_KEY}"'
        if not head.startswith(key):
            self._closed = not key.startswith(head[: len(key)])
            return False
        rest = head[len(key) :].lstrip()
        if not rest.startswith(":") or not (opened := rest[1:].lstrip()).startswith('"'):
            return False
        self.is_reply = True
        self._buffer = opened[1:]
        return True

    def _take(self) -> str:
        """Whole characters and whole escapes only; a split escape waits for its rest."""
        raw, at, size = self._buffer, 0, len(self._buffer)
        while at < size and raw[at] != '"':
            if raw[at] != "\\":
                at += 1
                continue
            width = 6 if raw[at + 1 : at + 2] == "u" else 2
            if raw[at : at + 4].lower() in {"\\ud8", "\\ud9", "\\uda", "\\udb"}:
                width = 12
            if at + width > size:
                break
            at += width
        if at < size and raw[at] == '"':
            self._closed = True
        taken, self._buffer = raw[:at], raw[at:]
        if not taken:
            return ""
        try:
            return msgspec.json.decode(f'"{taken}"', type=str)
        except msgspec.DecodeError:
            return taken
