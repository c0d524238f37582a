"""Reads the items of a Responses input into the middle's messages.

Items stand flat; a turn of the assistant is put together from neighbours: its thinking, its text, its calls. Results that
follow each other become one user message; every other message stays its own. Items of the vendor's own tools, references
to items it keeps, and parts no other format has become `Opaque`: for this format alone.
"""

import re
from collections.abc import Sequence

import msgspec

from freehold.chat import ImagePart, Message, Opaque, Part, ReasoningPart, Role, TextPart, ToolCallPart, ToolResultPart
from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.openai_responses.thinking import unseal
from freehold.wire.openai_responses.tools import FORMAT, INPUT, flatten, missing

_DATA_URL = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)(?:;[a-zA-Z0-9.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = frozenset({"input_text", "output_text", "text"})
_NOT_KEPT = "nothing is stored here; send the item itself, as it came, in `input`"


class _Summary(msgspec.Struct, frozen=True):
    text: str | None = None


class _Item(msgspec.Struct, frozen=True):
    """Any input item."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[msgspec.Raw] | None = None
    summary: list[_Summary] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[msgspec.Raw] | None = None


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: msgspec.Raw = msgspec.Raw(b"null")


class _Kind(msgspec.Struct, frozen=True):
    type: str | None = None


_ITEM = msgspec.json.Decoder(_Item)
_KIND = msgspec.json.Decoder(_Kind)
_PART = msgspec.json.Decoder(_Part)
_SUMMARY = msgspec.json.Decoder(_Summary)
_READ = frozenset(
    {
        None,
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "custom_tool_call_output",
        "item_reference",
    }
)


class Conversation:
    """Messages being put together."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._turn: list[Part] = []
        """What the assistant said since the user's side last spoke."""
        self._results: list[Part] = []

    def take(self, raw: msgspec.Raw, at: str) -> None:
        """Add one item. Raises FaultError(INVALID_REQUEST)."""
        try:
            kind = _KIND.decode(raw).type
            item = _ITEM.decode(raw) if kind in _READ else None
        except UNREADABLE as error:
            raise refusal(error, at) from None
        if item is None:
            if kind != "additional_tools":
                self._say([_vendor_item(at, kind or "", raw)])
            return
        match kind:
            case "function_call" | "custom_tool_call":
                self._say([_call(item, at)])
            case "function_call_output" | "custom_tool_call_output":
                self._flush_turn()
                self._results.append(_result(item, at))
            case "reasoning":
                self._say([*_thinking(item, at)], begins=True)
            case None if item.role is None:
                self._say([_reference(item, at, raw)])
            case "item_reference":
                self._say([_reference(item, at, raw)])
            case _:
                self._take_message(item, at)

    def add(self, role: Role, text: str) -> None:
        """Add a message of one text."""
        self._flush()
        self._messages.append(Message(role, (TextPart(text),) if text else ()))

    def messages(self) -> tuple[Message, ...]:
        """All of them, in order."""
        self._flush()
        return tuple(self._messages)

    def _take_message(self, item: _Item, at: str) -> None:
        role = _ROLES.get(item.role or "")
        if role is None:
            said = f"{at}.role: must be one of user, assistant, system, developer"
            raise faulty(Kind.INVALID_REQUEST, said, param=f"{at}.role")
        if item.content is None:
            raise missing(f"{at}.content")
        parts = read_content(item.content, f"{at}.content")
        if role == "assistant":
            self._say(parts, begins=True)
            return
        self._flush()
        self._messages.append(Message(role, tuple(parts)))

    def _say(self, parts: Sequence[Part], *, begins: bool = False) -> None:
        """More of the assistant's turn. Text or thinking behind text begins another one, but never between calls."""
        self._flush_results()
        has_text = any(isinstance(part, TextPart | ImagePart) for part in self._turn)
        if begins and has_text and not any(isinstance(part, ToolCallPart) for part in self._turn):
            self._flush_turn()
        self._turn += parts

    def _flush(self) -> None:
        self._flush_turn()
        self._flush_results()

    def _flush_turn(self) -> None:
        if self._turn:
            self._messages.append(Message("assistant", tuple(self._turn)))
            self._turn = []

    def _flush_results(self) -> None:
        if self._results:
            self._messages.append(Message("user", tuple(self._results)))
            self._results = []


def _vendor_item(at: str, kind: str, raw: msgspec.Raw) -> Opaque:
    """What a vendor's own tool did. A search has been told about in the answer behind it."""
    remedy = f"{at}: an item of type `{kind}` belongs to the vendor that made it; leave it out, or ask for a model of that vendor"
    return Opaque(FORMAT, kind, raw, kind == "web_search_call", remedy)


def _reference(item: _Item, at: str, raw: msgspec.Raw) -> Opaque:
    if not item.id:
        raise faulty(Kind.INVALID_REQUEST, f"{at}: an item needs a `type`, or a `role` and `content`", param=at)
    return Opaque(FORMAT, "item_reference", raw, False, f"{at}: {_NOT_KEPT}")


def _thinking(item: _Item, at: str) -> list[Part]:
    texts = [] if isinstance(item.content, str) else [_thought(raw, at) for raw in item.content or ()]
    texts = texts or [one.text or "" for one in item.summary or ()]
    text = "\n\n".join(filter(None, texts))
    if not item.encrypted_content:
        return [ReasoningPart(text)] if text else []
    signature, redacted = unseal(item.encrypted_content)
    return [ReasoningPart("" if redacted is not None else text, signature, redacted)]


def _thought(raw: msgspec.Raw, at: str) -> str:
    try:
        return _SUMMARY.decode(raw).text or ""
    except UNREADABLE as error:
        raise refusal(error, f"{at}.content") from None


def _call(item: _Item, at: str) -> ToolCallPart:
    if not item.call_id:
        raise missing(f"{at}.call_id")
    if not item.name:
        raise missing(f"{at}.name")
    name = flatten(item.name, item.namespace)
    if item.type == "custom_tool_call":
        arguments = msgspec.json.encode({INPUT: item.input or ""}).decode()
    else:
        arguments = item.arguments or ""
    return ToolCallPart(item.call_id, name, arguments)


def _result(item: _Item, at: str) -> ToolResultPart:
    if not item.call_id:
        raise missing(f"{at}.call_id")
    if item.output is None:
        raise missing(f"{at}.output")
    return ToolResultPart(item.call_id, tuple(read_content(item.output, f"{at}.output")))


def read_content(content: str | list[msgspec.Raw], at: str) -> list[TextPart | ImagePart | Opaque]:
    """Text, or a list of parts."""
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return [_part(raw, f"{at}[{index}]") for index, raw in enumerate(content)]


def _part(raw: msgspec.Raw, at: str) -> TextPart | ImagePart | Opaque:
    try:
        part = _PART.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, at) from None
    is_marked = bytes(part.prompt_cache_breakpoint) != b"null"
    if part.type in _TEXTS:
        if part.text is None:
            raise missing(f"{at}.text")
        return TextPart(part.text, is_marked)
    if part.type == "refusal":
        # The same part as in Chat Completions, whose name for it every format's writer knows.
        value = msgspec.json.encode({"type": "refusal", "refusal": part.refusal or ""})
        return Opaque("openai_chat", "refusal", msgspec.Raw(value))
    if part.type == "input_image" and part.image_url is not None:
        return _image(part.image_url, part.detail, is_marked, at)
    if part.type == "input_image" and part.file_id is None:
        raise missing(f"{at}.image_url")
    remedy = f"{at}: a part of type `{part.type}` cannot be passed on here; send texts, and images as `image_url`"
    return Opaque(FORMAT, part.type, raw, False, remedy)


def _image(url: str, detail: str | None, is_marked: bool, at: str) -> ImagePart:
    if url[:5].lower() != "data:":
        return ImagePart(None, None, url, detail, is_marked)
    found = _DATA_URL.match(url)
    if found is None:
        said = f"{at}.image_url: a data URL must name its media type and be base64, as data:image/png;base64,..."
        raise faulty(Kind.INVALID_REQUEST, said, param=f"{at}.image_url")
    return ImagePart(found[1].lower(), url[found.end() :], None, detail, is_marked)
