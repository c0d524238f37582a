"""The tools of a Responses client, as functions that every format can offer, and their names back again.

A freeform (`custom`) tool becomes a function with one string argument, its grammar told in the description. The functions
of a `namespace` get flat names; `flatten` makes the same one each time, so a name needs no table to be made and only the
client's own tools to be read back. What a vendor runs itself stays `Opaque`: an offer the client can do without may be
left out where another format is spoken, every other one is refused there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from freehold.chat import Opaque, Tool
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.addresses import is_search
from freehold.wire.body import UNREADABLE, refusal

FORMAT: Final = "openai_responses"
INPUT: Final = "input"
"""The one argument of a freeform tool that is offered as a function."""

_NOTHING = msgspec.Raw(b"")
_LONGEST_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_OFFERS = ("web_search", "image_generation", "tool_search")
"""Agents offer these in every request and work without them."""


class _Grammar(msgspec.Struct, frozen=True):
    type: str = "text"
    syntax: str = ""
    definition: str = ""


class WireTool(msgspec.Struct, frozen=True):
    """Any tool, as far as it is read."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: _Grammar | None = None
    tools: list[msgspec.Raw] | None = None


class _MoreTools(msgspec.Struct, frozen=True):
    type: str | None = None
    tools: list[msgspec.Raw] | None = None


class ToolName(msgspec.Struct, frozen=True):
    """What a flat name stands for."""

    kind: Literal["function", "custom"]
    name: str
    namespace: str | None = None


_TOOL = msgspec.json.Decoder(WireTool)
_TOOLS = msgspec.json.Decoder(list[msgspec.Raw] | None)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_MORE = msgspec.json.Decoder(_MoreTools)


def without_searches(top: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The tools of a body but those with which a server searches the web itself; empty where there are none of those."""
    try:
        tools = _TOOLS.decode(top["tools"]) if "tools" in top else None
        kept = [raw for raw in tools or () if not is_search(_TOOL.decode(raw).type)]
    except UNREADABLE as error:
        raise refusal(error, "tools") from None
    if len(kept) == len(tools or ()):
        return {}
    asks_for_one = b"search" in bytes(top.get("tool_choice", b""))
    return {"tools": msgspec.Raw(_encode(kept)), **({"tool_choice": msgspec.Raw(b'"auto"')} if asks_for_one else {})}


def flatten(name: str, namespace: str | None) -> str:
    """The name a namespace's function is offered under: legal in every format, at most 64 characters, always the same."""
    if not namespace:
        return name
    joined = f"{namespace}{'' if namespace.endswith('__') else '__'}{name}"
    flat = _NOT_IN_NAMES.sub("_", joined)
    if flat == joined and len(flat) <= _LONGEST_NAME:
        return flat
    digest = blake2b(f"{namespace}\0{name}".encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{flat[: _LONGEST_NAME - 9]}_{digest}"


def declared(top: Mapping[str, msgspec.Raw]) -> Iterator[tuple[str, msgspec.Raw]]:
    """Every tool with its place: those of `tools`, then those that items of type `additional_tools` add.

    Raises one of `UNREADABLE`.
    """
    for index, raw in enumerate(_TOOLS.decode(top.get("tools", b"null")) or ()):
        yield f"tools[{index}]", raw
    items = top.get("input", _NOTHING)
    if b'"additional_tools"' not in memoryview(items).tobytes() or not bytes(items).startswith(b"["):
        return
    for at, item in enumerate(_ITEMS.decode(items)):
        if b'"additional_tools"' in bytes(item):
            more = _MORE.decode(item)
            if more.type == "additional_tools":
                for index, raw in enumerate(more.tools or ()):
                    yield f"input[{at}].tools[{index}]", raw


def names_of(top: Mapping[str, msgspec.Raw]) -> dict[str, ToolName]:
    """What each flat name stands for, but for plain functions. Tools that cannot be read have none."""
    names: dict[str, ToolName] = {}
    try:
        for _, raw in declared(top):
            _name(_TOOL.decode(raw), None, names)
    except UNREADABLE:
        pass
    return names


def _name(tool: WireTool, namespace: str | None, names: dict[str, ToolName]) -> None:
    if tool.type == "namespace":
        for raw in tool.tools or ():
            _name(_TOOL.decode(raw), tool.name, names)
    elif tool.name and (namespace or tool.type == "custom"):
        kind: Literal["function", "custom"] = "custom" if tool.type == "custom" else "function"
        names[flatten(tool.name, namespace)] = ToolName(kind, tool.name, namespace)


def names_of_tools(tools: Sequence[Tool | Opaque]) -> dict[str, ToolName]:
    """As `names_of`, from the tools of the middle."""
    originals = [original.value for tool in tools if (original := own_original(tool)) is not None]
    return names_of({"tools": msgspec.Raw(msgspec.json.encode(originals))}) if originals else {}


def own_original(tool: Tool | Opaque) -> Opaque | None:
    """The kind of tool only this format has, where one stands behind a function; None: it is a plain function."""
    original = tool.original if isinstance(tool, Tool) else None
    return original if original is not None and original.format == FORMAT else None


def read_tools(top: Mapping[str, msgspec.Raw]) -> tuple[Tool | Opaque, ...]:
    """All tools in the middle's words. Raises FaultError(INVALID_REQUEST)."""
    tools: list[Tool | Opaque] = []
    for at, raw in declared(top):
        tools += _read_tool(at, raw)
    seen: set[str] = set()
    for tool in tools:
        if isinstance(tool, Tool):
            if tool.name in seen:
                raise faulty(Kind.INVALID_REQUEST, f"tools: two tools go by the name `{tool.name[:80]}`", param="tools")
            seen.add(tool.name)
    return tuple(tools)


def _read_tool(at: str, raw: msgspec.Raw) -> list[Tool | Opaque]:
    tool = _decode(at, raw)
    match tool.type:
        case "function":
            return [Tool(_named(at, tool), tool.description, tool.parameters, tool.strict)]
        case "custom":
            return [_custom(at, tool, None, raw)]
        case "namespace":
            return _read_namespace(at, tool, raw)
        case kind:
            return [Opaque(FORMAT, kind, raw, kind.startswith(_OFFERS), _remedy(at, kind))]


def _read_namespace(at: str, tool: WireTool, raw: msgspec.Raw) -> list[Tool | Opaque]:
    namespace, original = _named(at, tool), Opaque(FORMAT, "namespace", raw)
    tools: list[Tool | Opaque] = []
    for index, inner_raw in enumerate(tool.tools or ()):
        place = f"{at}.tools[{index}]"
        inner = _decode(place, inner_raw)
        if inner.type == "custom":
            tools.append(_custom(place, inner, namespace, raw))
        elif inner.type == "function":
            name = flatten(_named(place, inner), namespace)
            tools.append(Tool(name, inner.description, inner.parameters, inner.strict, original=original))
        else:
            raise faulty(
                Kind.INVALID_REQUEST, f"{place}.type: a namespace holds function and custom tools", param=f"{place}.type"
            )
    return tools


def _custom(at: str, tool: WireTool, namespace: str | None, original: msgspec.Raw) -> Tool:
    """A function that takes the freeform text as its one argument."""
    told = [tool.description] if tool.description else []
    form = tool.format
    if form is not None and form.type == "grammar":
        told.append(f"The text in `{INPUT}` must follow this {form.syntax or 'formal'} grammar:\n{form.definition}")
    parameters = {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The whole input of the tool, as plain text."}},
        "required": [INPUT],
        "additionalProperties": False,
    }
    key = "namespace" if namespace else "custom"
    name = flatten(_named(at, tool), namespace)
    return Tool(name, "\n\n".join(told) or None, parameters, original=Opaque(FORMAT, key, original))


def _decode(at: str, raw: msgspec.Raw) -> WireTool:
    try:
        return _TOOL.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, at) from None


def _named(at: str, tool: WireTool) -> str:
    if not tool.name:
        raise missing(f"{at}.name")
    return tool.name


def missing(param: str) -> FaultError:
    """The fault of a field that must be there."""
    return faulty(Kind.INVALID_REQUEST, f"{param}: is missing", param=param)


def _remedy(at: str, kind: str) -> str:
    return f"{at}: the tool `{kind}` is run by the vendor's own server; leave it out, or ask for a model that is served in the Responses format"
