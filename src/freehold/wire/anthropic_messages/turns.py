"""Writes the middle's messages as the Messages format wants its turns.

Its rules: turns of user and assistant take turns; results of tools stand first in the user turn behind their calls;
no text is empty; ids of calls are unique and hold letters, digits, `_` and `-`; system text stands apart. Thinking is
sent only with the signature of the vendor that made it. Not done: a conversation that begins with the assistant, or
results for calls nobody made, are sent as they are.
"""

import re
import zlib
from typing import Any, Final

import msgspec

from freehold.chat import ImagePart, Message, Opaque, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from freehold.wire.anthropic_messages.places import unsupported, wrong
from freehold.wire.body import UNREADABLE
from freehold.wire.signatures import unmark

_FORMAT: Final = "anthropic_messages"
_EPHEMERAL = {"type": "ephemeral"}
_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]*)(?:;[^;,]*)*;base64,(?P<data>.*)", re.DOTALL)
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_EMPTY_OBJECT = msgspec.Raw(b"{}")


class _Refusal(msgspec.Struct):
    refusal: str


_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_refusal = msgspec.json.Decoder(_Refusal).decode

Content = dict[str, Any] | msgspec.Raw


def is_tool_name(name: str) -> bool:
    """Whether the format takes this as a tool's name."""
    return _TOOL_NAME.fullmatch(name) is not None


class Turns(msgspec.Struct):
    """The conversation as it is sent."""

    system: list[Content]
    messages: list[dict[str, Any]]
    can_think: bool
    """Thinking with a budget may be asked for: no tool turn is under way whose thinking is missing."""


class _Ids:
    """Ids of calls as they are sent: legal, and each once, also where a server numbers its calls anew every turn."""

    def __init__(self) -> None:
        self._sent: set[str] = set()
        self._latest: dict[str, str] = {}

    def of_call(self, call_id: str) -> str:
        """The id a call is sent under."""
        legal = _NOT_IN_IDS.sub("_", call_id)
        if legal != call_id or not legal:
            legal = f"{legal}_{zlib.crc32(call_id.encode('utf-8', 'surrogatepass')):08x}"
        unique, count = legal, 1
        while unique in self._sent:
            count += 1
            unique = f"{legal}_{count}"
        self._sent.add(unique)
        self._latest[call_id] = unique
        return unique

    def of_result(self, call_id: str) -> str:
        """The id its result names: that of the latest call the client knows under this id."""
        known = self._latest.get(call_id)
        return _NOT_IN_IDS.sub("_", call_id) if known is None else known


class _Turn:
    """One turn being put together from neighbours of the same role."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.results: list[Content] = []
        self.rest: list[Content] = []

    def written(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.results + self.rest}


def write_turns(messages: tuple[Message, ...]) -> Turns:
    """Leading system messages apart, all others as turns; later system text joins the user's side where it stands."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    ids = _Ids()
    system: list[Content] = []
    for index, message in enumerate(messages[:first]):
        system += _system_content(message, f"messages[{index}]", ids)
    turns: list[_Turn] = []
    for index, message in enumerate(messages[first:], first):
        role = "assistant" if message.role == "assistant" else "user"
        results, rest = _contents(message, f"messages[{index}]", ids)
        if not results and not rest:
            continue
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role))
        turns[-1].results += results
        turns[-1].rest += rest
    if not turns:
        if not system:
            raise wrong("messages", "at least one message must hold something")
        return Turns([], [{"role": "user", "content": system}], True)
    _trim_prefill(turns)
    return Turns(system, [turn.written() for turn in turns], _can_think(turns))


def _system_content(message: Message, at: str, ids: _Ids) -> list[Content]:
    content: list[Content] = []
    for index, part in enumerate(message.parts):
        if not isinstance(part, TextPart | Opaque):
            raise unsupported(f"{at}.content[{index}]", "a system message holds text only")
        content += _content(part, f"{at}.content[{index}]", ids)
    return content


def _contents(message: Message, at: str, ids: _Ids) -> tuple[list[Content], list[Content]]:
    """Results of tools, and everything else."""
    results: list[Content] = []
    rest: list[Content] = []
    for index, part in enumerate(message.parts):
        place = f"{at}.content[{index}]"
        if isinstance(part, ToolResultPart):
            results.append(_tool_result(part, place, ids))
        else:
            rest += _content(part, place, ids)
    return results, rest


def _content(part: Part, at: str, ids: _Ids) -> list[Content]:
    match part:
        case TextPart():
            return _text(part)
        case ImagePart():
            return [_image(part, at)]
        case ReasoningPart():
            return _reasoning(part)
        case ToolCallPart():
            return [_tool_call(part, at, ids)]
        case Opaque() if part.format == _FORMAT:
            return [part.value]
        case Opaque(key="refusal"):
            return _refusal(part, at)
        case Opaque():
            raise unsupported(at, f"the Messages format cannot hold a part of type `{part.key}`")
        case _:
            raise wrong(at, "a tool result stands in a user message")


def _marked(content: dict[str, Any], cache_mark: bool) -> dict[str, Any]:
    if cache_mark:
        content["cache_control"] = _EPHEMERAL
    return content


def _text(part: TextPart) -> list[Content]:
    return [_marked({"type": "text", "text": part.text}, part.cache_mark)] if part.text.strip() else []


def _refusal(part: Opaque, at: str) -> list[Content]:
    """What another format keeps apart as a refusal was said to the user like any other text."""
    try:
        return _text(TextPart(_read_refusal(part.value).refusal))
    except UNREADABLE:
        raise unsupported(at, "the Messages format cannot hold this refusal") from None


def _image(part: ImagePart, at: str) -> Content:
    media_type, data = part.media_type, part.data
    if data is None and part.url is not None and part.url.startswith("data:"):
        found = _DATA_URL.fullmatch(part.url)
        if found is None:
            raise wrong(at, "a data URL of an image must be base64: `data:image/png;base64,...`")
        media_type, data = found["media_type"], found["data"]
    if data is None:
        return _marked({"type": "image", "source": {"type": "url", "url": part.url}}, part.cache_mark)
    source = {"type": "base64", "media_type": media_type or "image/png", "data": data}
    return _marked({"type": "image", "source": source}, part.cache_mark)


def _reasoning(part: ReasoningPart) -> list[Content]:
    if part.redacted is not None:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    signature = unmark(part.signature, _FORMAT)
    if signature is not None:
        return [{"type": "thinking", "thinking": part.text, "signature": signature}]
    return []


def _tool_call(part: ToolCallPart, at: str, ids: _Ids) -> Content:
    if not is_tool_name(part.name):
        raise wrong(at, "the name of a called tool has 1 to 128 letters, digits, `_` or `-`")
    written: dict[str, Any] = {"type": "tool_use", "id": ids.of_call(part.id), "name": part.name}
    written["input"] = _arguments(part.arguments, at)
    return _marked(written, part.cache_mark)


def _arguments(arguments: str, at: str) -> msgspec.Raw:
    if not arguments.strip():
        return _EMPTY_OBJECT
    try:
        _read_object(arguments)
    except UNREADABLE:
        raise wrong(at, "the arguments of a tool call must be a JSON object") from None
    return msgspec.Raw(arguments.encode())


def _tool_result(part: ToolResultPart, at: str, ids: _Ids) -> Content:
    written: dict[str, Any] = {"type": "tool_result", "tool_use_id": ids.of_result(part.call_id)}
    content: list[Content] = []
    for index, inner in enumerate(part.content):
        content += _content(inner, f"{at}.content[{index}]", ids)
    if part.is_error and not content:
        content = [{"type": "text", "text": "The tool failed without a message."}]
    if content:
        written["content"] = content
    if part.is_error:
        written["is_error"] = True
    return _marked(written, part.cache_mark)


def _trim_prefill(turns: list[_Turn]) -> None:
    """A last turn of the assistant is continued by the model; the format refuses white space at its end."""
    last = turns[-1].rest[-1] if turns[-1].role == "assistant" and turns[-1].rest else None
    if isinstance(last, dict) and last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _can_think(turns: list[_Turn]) -> bool:
    """While a tool turn is under way, the format wants it to begin with the thinking it came with."""
    if len(turns) < 2 or not turns[-1].results:
        return True
    under_way = turns[-2].rest
    first = under_way[0] if under_way else None
    return not isinstance(first, dict) or first["type"] in ("thinking", "redacted_thinking")
