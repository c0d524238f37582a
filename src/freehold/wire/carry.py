"""Makes a request ready for another wire format: what only its own format can say is left out, or refused.

A format's reader knows which of its fields, tools and parts a client can do without (`chat.Opaque.may_drop`) and what it
can do instead; here that is acted on, once for all formats. What a reader leaves open, the writing format judges.
"""

import msgspec

from freehold.chat import ChatRequest, Message, Opaque, ToolResultPart, WireFormat
from freehold.fault import Kind, faulty

_FILL_IN: tuple[WireFormat, ...] = ("openai_completions", "ollama")
"""Formats that can be asked for what lies between two texts."""


def carry_request(request: ChatRequest, wire_format: WireFormat) -> ChatRequest:
    """The request for an upstream of this format; the same one where nothing is to do.

    Raises FaultError(UNSUPPORTED) for what may not be left out, with what the client can do instead.
    """
    if request.suffix is not None and wire_format not in _FILL_IN:
        said = "suffix: the model's runtime speaks a chat format, which has no text behind the cursor; leave it out"
        raise faulty(Kind.UNSUPPORTED, said, param="suffix")
    tools = tuple(tool for tool in request.tools if not _is_left_out(tool, wire_format))
    opaque = tuple(field for field in request.opaque if not _is_left_out(field, wire_format))
    messages = _carry_messages(request.messages, wire_format)
    if len(tools) == len(request.tools) and len(opaque) == len(request.opaque) and messages is request.messages:
        return request
    return msgspec.structs.replace(request, tools=tools, opaque=opaque, messages=messages)


def _carry_messages(messages: tuple[Message, ...], wire_format: WireFormat) -> tuple[Message, ...]:
    """A message that held nothing else goes with it."""
    carried: list[Message] = []
    changed = False
    for message in messages:
        parts = tuple(part for part in message.parts if not _is_left_out(part, wire_format))
        for part in parts:
            if isinstance(part, ToolResultPart):
                _refuse_inside(part, wire_format)
        if len(parts) == len(message.parts):
            carried.append(message)
            continue
        changed = True
        if parts:
            carried.append(msgspec.structs.replace(message, parts=parts))
    return tuple(carried) if changed else messages


def _refuse_inside(result: ToolResultPart, wire_format: WireFormat) -> None:
    for part in result.content:
        _is_left_out(part, wire_format)


def _is_left_out(value: object, wire_format: WireFormat) -> bool:
    if not isinstance(value, Opaque) or value.format == wire_format or value.may_drop is None:
        return False
    if not value.may_drop:
        said = value.remedy or f"{value.key}: the model's runtime speaks another wire format, which cannot say this"
        raise faulty(Kind.UNSUPPORTED, said, param=said.partition(":")[0])
    return True
