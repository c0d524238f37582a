"""What of a JSON value is a tool call, whichever keys a model family uses for its name and its arguments."""

from typing import Any

import msgspec

from freehold.routing.calls.lenient import Cut
from freehold.routing.calls.names import Names

NAME_KEYS = ("name", "tool_name", "function_name", "recipient_name", "tool", "function", "action", "tool_call_name", "api")
ARGUMENT_KEYS = (
    "arguments",
    "parameters",
    "args",
    "input",
    "params",
    "tool_input",
    "action_input",
    "kwargs",
    "tool_args",
    "argument",
)
INNER_KEYS = ("function", "function_call", "tool_call", "tool")
LIST_KEYS = ("tool_calls", "tool_uses", "calls", "function_calls")
BESIDE_KEYS = frozenset({"id", "type", "index", "call_id", "tool_call_id", "thought", "thoughts", "status", "role", "content"})
FIRST_KEYS = frozenset({*NAME_KEYS, *ARGUMENT_KEYS, *INNER_KEYS, *LIST_KEYS, *BESIDE_KEYS})
"""What a call may begin with; an object that begins with another key is none, unless that key is a tool."""
MOST_CALLS = 64
_Object = dict[str, Any]


class Written(msgspec.Struct, frozen=True):
    """A call as it was written: its name in the model's spelling, its arguments as an object, as text, or not at all."""

    name: str
    arguments: Any
    mended: bool = False
    """Reading it took more than JSON."""
    cut: Cut = ""
    """What of its end was missing."""


def calls_in(value: Any, names: Names, *, is_marked: bool, mended: bool = False, cut: Cut = "") -> list[Written] | None:
    """The calls that a value is made of; None where any of it is something else.

    `is_marked`: a family's own marks stand around it, so that less has to be said for it to be a call.
    """
    values = value if isinstance(value, list) else [value]
    calls: list[Written] = []
    for one in values:
        if not isinstance(one, dict):
            return None
        inside = _list_in(one)
        if inside is not None:
            found = calls_in(inside, names, is_marked=True, mended=mended, cut=cut)
            if found is None:
                return None
            calls += found
            continue
        call = _call_in(one, names, is_marked=is_marked)
        if call is None:
            return None
        calls.append(Written(call[0], call[1], mended, cut))
    return calls if 0 < len(calls) <= MOST_CALLS else None


def _list_in(value: _Object) -> list[Any] | None:
    for key in LIST_KEYS:
        if isinstance(value.get(key), list) and set(value) <= {key, *BESIDE_KEYS}:
            inside: list[Any] = value[key]
            return inside
    return None


def _call_in(value: _Object, names: Names, *, is_marked: bool) -> tuple[str, Any] | None:
    if len(value) == 1:
        ((key, inside),) = value.items()
        if names.has_alike(key) and isinstance(inside, dict | str) and key not in {"name", "function"}:
            return key, inside
    for key in INNER_KEYS:
        inner = value.get(key)
        if isinstance(inner, dict) and set(value) <= {key, *BESIDE_KEYS}:
            return _call_in(inner, names, is_marked=True)
    name_key = next((key for key in NAME_KEYS if isinstance(value.get(key), str)), None)
    if name_key is None:
        return None
    name: str = value[name_key]
    argument_key = next((key for key in ARGUMENT_KEYS if key in value), None)
    others = {key: said for key, said in value.items() if key not in {name_key, argument_key}}
    if argument_key is not None:
        if not set(others) <= BESIDE_KEYS and not is_marked:
            return None
        return name, value[argument_key]
    if is_marked:
        return name, others if not set(others) <= BESIDE_KEYS else {}
    return None
