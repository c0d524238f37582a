"""Reads a whole Responses request into the neutral middle.

Source: OpenAI's `CreateResponse`. What has no word in the middle becomes `Opaque`: hints may be left out where another
format is spoken; what asks the vendor to keep or to run something (`previous_response_id`, `conversation`, `prompt`,
`background`) is refused there, with what to do instead. `allowed_tools` is read as the tools it allows.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from freehold.chat import ChatRequest, Message, Opaque, OutputFormat, Reasoning, Tool, ToolChoice
from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope
from freehold.wire.openai_responses.items_in import Conversation
from freehold.wire.openai_responses.tools import FORMAT, flatten, read_tools

_NOTHING = msgspec.Raw(b"")
_WHOLE = "send the whole conversation in `input`"
_KEPT_BY_VENDOR = {
    "previous_response_id": f"no answers are stored here; {_WHOLE}, with `store` false",
    "conversation": f"no conversations are stored here; {_WHOLE}",
    "prompt": "no prompt templates are stored here; send its text as `instructions` or `input`",
    "background": "answers are not worked on in the background here; ask without it, streamed if it takes long",
}
"""Fields that change what is asked, and what to do instead."""


class _Format(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Text(msgspec.Struct, frozen=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None


class _Request(msgspec.Struct, frozen=True):
    """The top-level fields that have a word in the middle."""

    model: str
    input: str | list[msgspec.Raw] | None = None
    instructions: str | list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = _NOTHING
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    stream: bool | None = None


class _Also(msgspec.Struct, frozen=True):
    """Fields that are hints and are kept as they are, but whose meaning is looked at."""

    background: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list["_Choice"] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_ALSO = msgspec.json.Decoder(_Also)
_CHOICE = msgspec.json.Decoder(str | _Choice | None)
_READ = frozenset(_Request.__struct_fields__) - {"reasoning"}


def read_request(envelope: Envelope) -> ChatRequest:
    """See `wire.codec.Codec.read_request`."""
    try:
        read, also = _REQUEST.decode(envelope.body), _ALSO.decode(envelope.body)
        tools = read_tools(envelope.top)
    except UNREADABLE as error:
        raise refusal(error) from None
    choice, odd_choice, tools = _read_choice(read.tool_choice, tools)
    text = read.text
    opaque = [*_opaque(envelope, also), *odd_choice]
    if text is not None and text.verbosity is not None:
        opaque.append(Opaque(FORMAT, "verbosity", msgspec.Raw(msgspec.json.encode(text.verbosity)), True))
    return ChatRequest(
        model=read.model,
        messages=_messages(read),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=read.parallel_tool_calls,
        max_tokens=read.max_output_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        logprobs=envelope.logprobs,
        top_logprobs=read.top_logprobs if envelope.logprobs else None,
        output=None if text is None else _read_output(text.format),
        reasoning=_read_reasoning(read.reasoning),
        stream=envelope.stream,
        stream_usage=True,
        user=also.user or also.safety_identifier,
        opaque=tuple(opaque),
    )


def _messages(read: _Request) -> tuple[Message, ...]:
    conversation = Conversation()
    if isinstance(read.instructions, str):
        if read.instructions:
            conversation.add("system", read.instructions)
    else:
        for index, raw in enumerate(read.instructions or ()):
            conversation.take(raw, f"instructions[{index}]")
    if isinstance(read.input, str):
        conversation.add("user", read.input)
    else:
        for index, raw in enumerate(read.input or ()):
            conversation.take(raw, f"input[{index}]")
    return conversation.messages()


def _opaque(envelope: Envelope, also: _Also) -> Iterable[Opaque]:
    for key, value in envelope.top.items():
        if key in _READ or bytes(memoryview(value)[:4]) == b"null":
            continue
        if key == "background" and not also.background:
            continue
        remedy = _KEPT_BY_VENDOR.get(key)
        yield Opaque(FORMAT, key, value, remedy is None, None if remedy is None else f"{key}: {remedy}")


def _read_reasoning(reasoning: _Reasoning | None) -> Reasoning | None:
    effort = None if reasoning is None else reasoning.effort
    return None if effort is None else Reasoning(effort != "none", effort)


def _read_output(form: _Format | None) -> OutputFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    if form.type != "json_schema" or form.schema is None:
        said = "text.format: must be text, json_object, or json_schema with its name and schema"
        raise faulty(Kind.INVALID_REQUEST, said, param="text.format")
    return OutputFormat("json_schema", form.schema, form.name, form.strict)


_Tools = tuple[Tool | Opaque, ...]


def _read_choice(raw: msgspec.Raw, tools: _Tools) -> tuple[ToolChoice | None, tuple[Opaque, ...], _Tools]:
    """The choice, what of it has no word in the middle, and the tools it leaves."""
    if not len(raw):
        return None, (), tools
    try:
        choice = _CHOICE.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, "tool_choice") from None
    match choice:
        case None:
            return None, (), tools
        case "auto" | "none" | "required":
            return ToolChoice(choice), (), tools
        case _Choice("function" | "custom", str() as name):
            return ToolChoice("named", flatten(name, choice.namespace)), (), tools
        case _Choice("allowed_tools", mode="auto" | "required" as mode):
            return ToolChoice(mode), (), _allowed(tools, choice.tools or [])
        case _Choice(kind) if kind not in {"function", "custom", "allowed_tools"}:
            remedy = f"tool_choice: the tool `{kind[:80]}` is run by the vendor's own server; choose one of your own functions"
            return None, (Opaque(FORMAT, "tool_choice", raw, False, remedy),), tools
    said = "tool_choice: must be auto, none, required, {type: function, name} or {type: allowed_tools, mode, tools}"
    raise faulty(Kind.INVALID_REQUEST, said, param="tool_choice")


def _allowed(tools: _Tools, allowed: list[_Choice]) -> _Tools:
    names = {flatten(one.name, one.namespace) for one in allowed if one.name}
    kinds = {one.type for one in allowed}
    return tuple(tool for tool in tools if (tool.name in names if isinstance(tool, Tool) else tool.key in kinds))
