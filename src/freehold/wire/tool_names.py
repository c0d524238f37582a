"""Names of tools as a wire format takes them, and back again.

Promised: a name that the format takes stays as it is; any other becomes a legal one that depends on nothing but the name itself and
on those it would be mistaken for, so a prompt's beginning stays the same from turn to turn; no two tools of a request share one;
and every legal name leads back to its own. Letters, digits, `_` and `-` are kept, so that a model still reads what the tool is for.

Sources: OpenAI's and Anthropic's references (64 and 128 letters, digits, `_` and `-`). Ollama takes any name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

import msgspec

from freehold.chat import ChatRequest, Event, Message, Tool, ToolCallPart, ToolCallStarted, WireFormat
from freehold.wire.codec import Reader
from freehold.wire.turned_reader import TurnedReader

_LEGAL = {
    "openai_chat": (re.compile(r"[A-Za-z0-9_-]{1,64}"), 64),
    "openai_responses": (re.compile(r"[A-Za-z0-9_-]{1,64}"), 64),
    "anthropic_messages": (re.compile(r"[A-Za-z0-9_-]{1,128}"), 128),
}
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_MARK_BYTES = 5
_MARK_LETTERS = 2 * _MARK_BYTES
_NO_NAMES: Mapping[str, str] = {}

replace = msgspec.structs.replace


def with_legal_names(request: ChatRequest, wire_format: WireFormat) -> tuple[ChatRequest, Mapping[str, str]]:
    """The request as the format takes it, and the client's own name behind each that was changed; none: nothing was."""
    rule = _LEGAL.get(wire_format)
    if rule is None or all(map(rule[0].fullmatch, _names_in(request))):
        return request, _NO_NAMES
    legal = legal_names(_names_in(request), wire_format)
    changed = {name: to for name, to in legal.items() if name != to}
    return rename(request, changed), {to: name for name, to in changed.items()}


def legal_names(names: Iterable[str], wire_format: WireFormat) -> dict[str, str]:
    """By name, the legal one: each another."""
    pattern, longest = _LEGAL[wire_format]
    kept, others = set[str](), set[str]()
    for name in names:
        (kept if pattern.fullmatch(name) else others).add(name)
    legal = {name: name for name in kept}
    for name in sorted(others):
        count = 0
        while (made := _marked(name, longest, count)) in kept:
            count += 1
        kept.add(made)
        legal[name] = made
    return legal


def rename(request: ChatRequest, names: Mapping[str, str]) -> ChatRequest:
    """The request with its tools, the choice among them and the calls of its history under other names."""
    choice = request.tool_choice
    if choice is not None and choice.name is not None and choice.name in names:
        choice = replace(choice, name=names[choice.name])
    return replace(
        request,
        tools=tuple(
            replace(tool, name=names.get(tool.name, tool.name)) if isinstance(tool, Tool) else tool for tool in request.tools
        ),
        tool_choice=choice,
        messages=tuple(_renamed(message, names) for message in request.messages),
    )


class NameReader(TurnedReader):
    """Gives calls the client's own names."""

    __slots__ = ("_names",)

    def __init__(self, upstream: Reader, names: Mapping[str, str]) -> None:
        super().__init__(upstream)
        self._names = names

    def turn(self, events: list[Event]) -> list[Event]:
        """As `TurnedReader.turn`."""
        names = self._names
        for at, event in enumerate(events):
            if isinstance(event, ToolCallStarted) and event.name in names:
                events[at] = replace(event, name=names[event.name])
        return events


def _names_in(request: ChatRequest) -> Iterator[str]:
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield tool.name
    if request.tool_choice is not None and request.tool_choice.name is not None:
        yield request.tool_choice.name
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                yield part.name


def _renamed(message: Message, names: Mapping[str, str]) -> Message:
    if not any(isinstance(part, ToolCallPart) and part.name in names for part in message.parts):
        return message
    parts = tuple(
        replace(part, name=names.get(part.name, part.name)) if isinstance(part, ToolCallPart) else part for part in message.parts
    )
    return replace(message, parts=parts)


def _marked(name: str, longest: int, count: int) -> str:
    """What is legal of the name, and a mark by which it differs from others of which the same is left."""
    told = name.encode("utf-8", "surrogatepass")
    mark = blake2b(told, digest_size=_MARK_BYTES, salt=count.to_bytes(8, "big")).hexdigest()
    return f"{_OTHER.sub('_', name[: longest - _MARK_LETTERS - 1])}_{mark}"
