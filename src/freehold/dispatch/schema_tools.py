"""Tool calls through a JSON schema, for models that cannot call tools but can be held to a grammar.

The tools are described in the system prompt and the answer is constrained to one JSON object: a list of calls whose
arguments satisfy each tool's own schema, or a plain reply where the client leaves the choice to the model. Where calls
were made before and none may be made now, a plain reply is all that is allowed. What the model then writes is read back
as tool calls or text. The engine's grammar guarantees the shape, so nothing has to be guessed from prose. Text is passed
on as it is written; calls go out when the object is whole.

Not done here: repairing calls of models that do call tools by themselves.
"""

from collections.abc import Iterator, Mapping
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
from freehold.dispatch.plain_schema import make_arguments, make_plain
from freehold.dispatch.schema_answer import REPLY_KEY, SchemaAnswer
from freehold.fault import Kind, faulty
from freehold.wire.codec import Reader
from freehold.wire.turned_reader import TurnedReader

MAX_PARALLEL_CALLS = 8
_REPLY_ONLY = f'Answer with JSON only: {{"{REPLY_KEY}": "..."}}.'


def offers_by_schema(request: ChatRequest) -> bool:
    """Whether `offer_by_schema` asks for an answer that `SchemaToolReader` must read."""
    return _may_call(request) or _must_reply(request)


def _may_call(request: ChatRequest) -> bool:
    is_allowed = request.tool_choice is None or request.tool_choice.mode != "none"
    return is_allowed and any(isinstance(tool, Tool) for tool in request.tools)


def _must_reply(request: ChatRequest) -> bool:
    """Whether calls were made that may not be made any more: a model that sees them would print another one."""
    return request.output is None and any(
        isinstance(part, ToolCallPart) for message in request.messages for part in message.parts
    )


def offer_by_schema(request: ChatRequest) -> ChatRequest:
    """The request with its tools moved into the system prompt and the output schema, and earlier calls told as text.

    A vendor's own tools stay where they are: what becomes of them is the wire format's affair. Raises FaultError.
    """
    others = tuple(tool for tool in request.tools if not isinstance(tool, Tool))
    choice = request.tool_choice
    retold = _retold(request.messages)
    if not _may_call(request):
        output = OutputFormat("json_schema", _replying({"type": "string"}), "answer", strict=True)
        return msgspec.structs.replace(
            request,
            messages=_with_system(_REPLY_ONLY, retold) if _must_reply(request) else retold,
            tools=others,
            tool_choice=None,
            output=output if _must_reply(request) else request.output,
        )
    tools = tuple(tool for tool in request.tools if isinstance(tool, Tool))
    is_named = choice is not None and choice.mode == "named"
    if choice is not None and is_named:
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            raise faulty(
                Kind.INVALID_REQUEST, f"tool_choice names '{choice.name}', which is not among the tools", param="tool_choice"
            )
    must_call = choice is not None and choice.mode in {"required", "named"}
    many = request.parallel_tool_calls is not False and not is_named
    lines = [_introduction(must_call)]
    lines += [f"- {tool.name}: {tool.description or ''} Arguments: {_json(_parameters(tool))}" for tool in tools]
    return msgspec.structs.replace(
        request,
        messages=_with_system("\n".join(lines), retold),
        tools=others,
        tool_choice=None,
        parallel_tool_calls=None,
        output=OutputFormat(
            "json_schema",
            _answer_schema(tools, must_call=must_call, many=many, reply=_reply_schema(request.output)),
            "answer",
            strict=True,
        ),
    )


def _reply_schema(output: OutputFormat | None) -> dict[str, Any]:
    """What a reply in words looks like: a string, or the structured output that the client asked for."""
    if output is None:
        return {"type": "string"}
    return {"type": "object"} if output.schema is None else make_plain(output.schema)


def _introduction(must_call: bool) -> str:
    calls = '{"calls": [{"name": ..., "arguments": {...}}]}'
    if must_call:
        return f"Answer with JSON only, calling tools: {calls}. Take the arguments from the user's words. The tools:"
    # Of ten wordings tried on SmolLM2 the one that had it call, answer from results and leave plain questions alone most often.
    return (
        f"Answer with JSON only. First call the tools you need: {calls}. "
        f'With their results, or where none is needed, answer: {{"{REPLY_KEY}": ...}}. The tools:'
    )


def _answer_schema(tools: tuple[Tool, ...], *, must_call: bool, many: bool, reply: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": make_arguments(tool.parameters)},
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
    return {"anyOf": [calling, _replying(reply)]}


def _replying(reply: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {REPLY_KEY: reply}, "required": [REPLY_KEY], "additionalProperties": False}


def _parameters(tool: Tool) -> dict[str, Any]:
    return tool.parameters or {"type": "object", "properties": {}}


def _with_system(text: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        return (Message("system", (*messages[0].parts, TextPart("\n\n" + text))), *messages[1:])
    return (Message("system", (TextPart(text),)), *messages)


def _retold(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Earlier calls and results as the plain text that this way of calling would have produced."""
    names = {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCallPart)}
    return tuple(Message(message.role, tuple(_retell(message.parts, names)), message.name) for message in messages)


def _retell(parts: tuple[Part, ...], names: Mapping[str, str]) -> Iterator[Part]:
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    for part in parts:
        if isinstance(part, ToolCallPart):
            if part is calls[0]:
                told = ", ".join(f'{{"name": {_json(call.name)}, "arguments": {call.arguments or "{}"}}}' for call in calls)
                yield TextPart(f'{{"calls": [{told}]}}')
        elif isinstance(part, ToolResultPart):
            text = "".join(piece.text for piece in part.content if isinstance(piece, TextPart))
            yield TextPart(
                f"Result of {names.get(part.call_id, 'the tool call')}{' (it failed)' if part.is_error else ''}: {text}\n"
            )
            yield from (piece for piece in part.content if not isinstance(piece, TextPart))
        else:
            yield part


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


class SchemaToolReader(TurnedReader):
    """Reads the constrained answer back: `calls` become tool calls, `reply` becomes text.

    A model that was not held to the schema is passed on as it wrote: nothing it said is lost.
    """

    def __init__(self, upstream: Reader, request_id: str, *, reply_is_json: bool = False) -> None:
        """`reply_is_json`: the client asked for structured output, so a reply is JSON and not a string."""
        super().__init__(upstream)
        self._call_prefix = f"call_{request_id.rpartition('_')[2]}"
        self._reply_is_json = reply_is_json
        self._choices: dict[int, SchemaAnswer] = {}

    def turn(self, events: list[Event]) -> list[Event]:
        """As `TurnedReader.turn`, with the answer's JSON replaced by what it says."""
        turned: list[Event] = []
        for event in events:
            if isinstance(event, TextDelta) and not event.refusal:
                if text := self._choice(event.choice).feed(event.text):
                    turned.append(TextDelta(text, event.choice))
            elif isinstance(event, Finished):
                turned.extend(self._finish(event))
            else:
                turned.append(event)
        return turned

    def _choice(self, choice: int) -> SchemaAnswer:
        answer = self._choices.get(choice)
        if answer is None:
            answer = self._choices[choice] = SchemaAnswer(reply_is_json=self._reply_is_json)
        return answer

    def _finish(self, event: Finished) -> Iterator[Event]:
        choice = event.choice
        answer = self._choice(choice)
        text, calls = answer.end()
        if text:
            yield TextDelta(text, choice)
        prefix = f"{self._call_prefix}_{choice}" if choice else self._call_prefix
        for index, (name, arguments) in enumerate(calls):
            yield ToolCallStarted(index, f"{prefix}_{index}", name, choice)
            yield ToolCallDelta(index, arguments, choice)
        # Of calls that a limit cut short nobody may believe that they are all.
        is_told = answer.lacks_calls and event.reason == "length"
        yield Finished("tool_calls", None, choice) if calls and not is_told else event
