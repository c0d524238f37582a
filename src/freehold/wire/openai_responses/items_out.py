"""Writes the middle's messages as the items of a Responses input.

Texts and images stand in message items, calls and results in items of their own. Thinking goes back only to the vendor
that encrypted it, as it came; a runtime with the quirk `reasoning_content_in` gets other thinking as its text.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.chat import ImagePart, Message, Opaque, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.failed_result import mark_failed
from freehold.wire.openai_responses.tools import FORMAT, ToolName
from freehold.wire.signatures import unmark

Item = dict[str, Any] | msgspec.Raw
_REFUSALS = frozenset({"openai_chat", FORMAT})


class _Input(msgspec.Struct):
    input: str


_INPUT = msgspec.json.Decoder(_Input)


class ItemWriter:
    """The items of one conversation."""

    def __init__(self, names: Mapping[str, ToolName], quirks: frozenset[str]) -> None:
        self._names = names
        self._tells_thinking = "reasoning_content_in" in quirks
        self._marks = "cache_control" in quirks
        self._custom: set[str] = set()
        """Ids of calls of freeform tools: their results have a type of their own."""

    def write(self, messages: tuple[Message, ...]) -> list[Item]:
        """All items. Raises FaultError(UNSUPPORTED)."""
        items: list[Item] = []
        for at, message in enumerate(messages):
            items += self._message(message, f"messages[{at}]")
        return items

    def _message(self, message: Message, at: str) -> list[Item]:
        items: list[Item] = []
        said: list[Part] = []
        for part in message.parts:
            if isinstance(part, TextPart | ImagePart) or (isinstance(part, Opaque) and not _is_item(part, message)):
                said.append(part)
                continue
            if said:
                items.append(self._spoken(message, said, at))
                said = []
            items += self._item(part, at)
        if said or not message.parts:
            items.append(self._spoken(message, said, at))
        return items

    def _spoken(self, message: Message, parts: list[Part], at: str) -> Item:
        """A message item: its text as it is where it is one, parts otherwise."""
        marked = self._marks and any(isinstance(part, TextPart) and part.cache_mark for part in parts)
        if not marked and len(parts) <= 1 and all(isinstance(part, TextPart) for part in parts):
            return {"role": message.role, "content": "".join(part.text for part in parts if isinstance(part, TextPart))}
        content = [self._part(part, f"{at}.content[{index}]", message.role) for index, part in enumerate(parts)]
        return {"role": message.role, "content": content}

    def _part(self, part: Part, at: str, role: str) -> Item:
        is_assistant = role == "assistant"
        match part:
            case TextPart(text) if is_assistant:
                return {"type": "output_text", "text": text, "annotations": []}
            case TextPart(text, cache_mark):
                mark = {"prompt_cache_breakpoint": {"mode": "explicit"}} if cache_mark and self._marks else {}
                return {"type": "input_text", "text": text, **mark}
            case ImagePart() if not is_assistant:
                return _image(part)
            case ImagePart():
                raise unsupported("an image said by the assistant", at)
            case Opaque(key="refusal", value=value) if is_assistant and part.format in _REFUSALS:
                return value
            case Opaque(format="openai_responses", value=value):
                return value
            case Opaque(key=key):
                raise unsupported(f"a content part of type `{key}`", at)
        raise unsupported("this content here", at)

    def _item(self, part: Part, at: str) -> list[Item]:
        match part:
            case ToolCallPart():
                return [self._call(part)]
            case ToolResultPart():
                return [self._result(part, at)]
            case ReasoningPart():
                return self._thinking(part)
            case Opaque(format="openai_responses", value=value):
                return [value]
        raise unsupported("this content here", at)

    def _thinking(self, part: ReasoningPart) -> list[Item]:
        sealed = unmark(part.signature, FORMAT)
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        if sealed is not None:
            return [{"type": "reasoning", "summary": summary, "encrypted_content": sealed}]
        if self._tells_thinking and part.text:
            return [{"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": part.text}]}]
        return []

    def _call(self, part: ToolCallPart) -> Item:
        known = self._names.get(part.name)
        item: dict[str, Any] = {"type": "function_call", "call_id": part.id, "name": part.name if known is None else known.name}
        if known is not None and known.namespace:
            item["namespace"] = known.namespace
        if known is not None and known.kind == "custom":
            self._custom.add(part.id)
            item["type"] = "custom_tool_call"
            item["input"] = freeform(part.arguments)
        else:
            item["arguments"] = part.arguments or "{}"
        return item

    def _result(self, part: ToolResultPart, at: str) -> Item:
        kind = "custom_tool_call_output" if part.call_id in self._custom else "function_call_output"
        return {"type": kind, "call_id": part.call_id, "output": self._output(part, at)}

    def _output(self, part: ToolResultPart, at: str) -> object:
        """One text as it is, anything else as a list of parts. A failed result says so at its beginning."""
        content: list[Part] = list(part.content)
        if part.is_error:
            first = content[0] if content else None
            if isinstance(first, TextPart):
                content[0] = TextPart(mark_failed(first.text))
            else:
                content.insert(0, TextPart(mark_failed("")))
        if len(content) <= 1 and all(isinstance(one, TextPart) for one in content):
            return "".join(one.text for one in content if isinstance(one, TextPart))
        return [self._part(one, at, "tool") for one in content]


def freeform(arguments: str) -> str:
    """The text of a freeform tool's call: the one argument it was offered with, or else all that the model wrote."""
    try:
        return _INPUT.decode(arguments).input
    except (*UNREADABLE, UnicodeEncodeError):
        return arguments


def _is_item(part: Opaque, message: Message) -> bool:
    """Whether this stands among the items, not inside a message."""
    return part.format == FORMAT and message.role == "assistant" and part.key not in {"input_file", "input_image", "input_audio"}


def _image(part: ImagePart) -> dict[str, Any]:
    url = part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"
    return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}


def unsupported(what: str, param: str) -> FaultError:
    """UNSUPPORTED, naming what cannot be said."""
    said = f"the Responses format cannot say {what}; drop it or pick a model that is served in your own wire format"
    return faulty(Kind.UNSUPPORTED, said, param=param)
