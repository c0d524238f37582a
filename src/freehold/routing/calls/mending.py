"""Makes a tool call as a model wrote it into one that may be made: of a tool on offer, with arguments that its schema allows.

Promised: what comes out was offered and is valid against the tool's schema, checked last; nothing is invented; what is right comes
out as the very text it was. A call that may lack words at its end is never completed: half a file must not be written.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from freehold.chat import Tool
from freehold.routing.calls.fitting import Fitting
from freehold.routing.calls.lenient import NoValueError, read_value
from freehold.routing.calls.names import Names
from freehold.routing.calls.shapes import Written
from freehold.routing.schema import read_json, violation

Repair = Literal["call_from_text", "call_json", "call_name", "call_arguments", "call_defaults", "call_left"]
MAX_ARGUMENTS = 1024 * 1024


class Mended(msgspec.Struct, frozen=True):
    """A call that may be made. `arguments` is the text of a JSON object."""

    name: str
    arguments: str
    repairs: frozenset[Repair] = frozenset()


class Offer:
    """The tools of one request."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.names = Names(self._tools)

    def mend(self, call: Written, *, is_open: bool = False, was_limited: bool = False) -> Mended | None:
        """The call that is meant; None where that cannot be told.

        `is_open`: nothing but the answer's end closed it; `was_limited`: and that end came at the length limit.
        """
        if (call.cut and was_limited) or (call.cut == "words" and is_open):
            return None
        name = self.names.find(call.name)
        if name is None:
            return None
        repairs: set[Repair] = set()
        if name != call.name:
            repairs.add("call_name")
        if call.mended:
            repairs.add("call_json")
        arguments = call.arguments
        if isinstance(arguments, str):
            arguments, was_mended = _object_in(arguments)
            if was_mended:
                repairs.add("call_json")
        if isinstance(arguments, list) and len(arguments) == 1:
            arguments = arguments[0]
            repairs.add("call_arguments")
        return self._fitted(name, {} if arguments is None else arguments, repairs)

    def mend_structured(self, name: str, arguments: str, *, was_limited: bool = False) -> Mended | None:
        """As `mend`, for a call that a runtime sent as one. What is right keeps its text."""
        tool = self._tools.get(name)
        if len(arguments) > MAX_ARGUMENTS:
            return None
        is_json, value = read_json(arguments or "{}")
        if tool is not None and is_json and isinstance(value, dict) and _is_valid(tool, value):
            return Mended(name, arguments)
        if is_json:
            return self.mend(Written(name, value), was_limited=was_limited)
        try:
            value, reading = read_value(arguments)
        except NoValueError:
            return None
        return self.mend(Written(name, value, True, reading.cut), is_open=True, was_limited=was_limited)

    def _fitted(self, name: str, arguments: Any, repairs: set[Repair]) -> Mended | None:
        tool = self._tools[name]
        if not isinstance(arguments, dict):
            return None
        if not _is_valid(tool, arguments) or _says_types_otherwise(tool):
            fitting = Fitting(tool.parameters or {})
            fitted = fitting.fit(arguments)
            if not isinstance(fitted, dict) or not _is_valid(tool, fitted):
                return None
            if fitted != arguments or _types(fitted) != _types(arguments):
                repairs.add("call_arguments")
            if fitting.has_defaults:
                repairs.add("call_defaults")
            arguments = fitted
        try:
            text = msgspec.json.encode(arguments).decode()
        except (UnicodeEncodeError, OverflowError, RecursionError):
            return None
        return Mended(name, text, frozenset(repairs)) if len(text) <= MAX_ARGUMENTS else None


def _types(value: Any) -> str:
    return repr(value)  # 1 and True and 1.0 are equal


def _is_valid(tool: Tool, value: dict[str, Any]) -> bool:
    return tool.parameters is None or violation(tool.parameters, value) is None


def _says_types_otherwise(tool: Tool) -> bool:
    """A schema that no validator can use would let everything pass; its plain words may still say which types are meant."""
    return bool(tool.parameters) and tool.parameters is not None and tool.parameters.get("type") in {"dict", "Dict", "obj"}


def _object_in(text: str) -> tuple[Any, bool]:
    """The object that a string holds, and whether reading it took mending."""
    if not text.strip():
        return {}, False
    try:
        value, reading = read_value(text)
    except NoValueError:
        return text, False
    return value, reading.mended
