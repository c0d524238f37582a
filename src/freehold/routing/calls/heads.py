"""Whether what was written so far may still become a tool call: so that nothing is held for longer than that.

Every question is answered by True, False, or None for *too short to say*; more text turns None into one of the others and
never changes them, so that it does not matter how a stream is cut.
"""

import re
from collections.abc import Callable

from freehold.routing.calls.marks import FAMILIES, FENCES, PYTHON_FENCES, Body, Family
from freehold.routing.calls.names import LONGEST_NAME, Names
from freehold.routing.calls.react import ACTION, THOUGHT, view_react
from freehold.routing.calls.shapes import FIRST_KEYS, INNER_KEYS, NAME_KEYS

View = bool | None
MAX_HEAD = 400
"""Letters within which a call has said that it is one."""
_NAME = re.compile(r"[A-Za-z_][\w.:/-]*")
_KEY = re.compile(r"[\"'“‘]?([A-Za-z_$][\w$.:/-]*)[\"'”’]?\s*[:=]")
_PART_OF_KEY = re.compile(r"[\"'“‘]?[\w$./-]*[\"'”’]?\s*")
_FENCE = re.compile(r"`{3,}[ \t]*(\w*)[ \t]*\r?\n")
_PART_OF_FENCE = re.compile(r"`+(?:[ \t]*\w*[ \t]*\r?)?")
_CALL_TYPES = frozenset({"function", "tool_call", "tool_use", "call", "function_call"})
_NOT_FIRST = frozenset({"role", "content", "status"})
_TAGS = ("<function", "<invoke", "<｜dsml｜", "<arg_key")
_PRINT = "print("


def mark_at(text: str, at: int) -> Family | bool | None:
    """The family whose opening mark stands here; False: none does; None: too short to say."""
    said = text[at : at + _LONGEST].lower()
    may_come: View = False
    for family in _BY_LETTERS.get(said[:2], FAMILIES if len(said) < 2 else ()):
        if said.startswith(family.opening):
            return family
        if family.opening.startswith(said):
            may_come = None
    return may_come


def view_block(body: Body, head: str, names: Names) -> View:
    """Whether what stands behind an opening mark is a call so far."""
    bare = head.lstrip()
    if not bare:
        return None if len(head) < MAX_HEAD else False
    if body == "harmony":
        return _view_harmony(head)
    return _VIEWS[body](bare, names)


def view_bare(text: str, names: Names) -> View:
    """Whether an answer that begins like this may be nothing but calls."""
    if text.startswith("`"):
        return _view_fence(text, names)
    if text.startswith(("{", "[")):
        return view_json(text, names)
    if THOUGHT.startswith(text[: len(THOUGHT)]):
        return None if len(text) < len(THOUGHT) else False  # its action may follow
    if text.startswith(ACTION[0]):
        return view_react(text, names)
    for opening in ("functools[", ">>>"):
        if opening.startswith(text[: len(opening)]):
            if len(text) <= len(opening):
                return None
            return True if opening == "functools[" else _view_name(text[3:], names, "\n")
    return False


def view_json(text: str, names: Names) -> View:
    """Whether an object or a list that begins like this may be calls."""
    rest = text.lstrip("[ \t\r\n") if text.startswith("[") else text
    if not rest:
        return None if len(text) < MAX_HEAD else False
    if rest[0] != "{":
        return _view_name(rest, names, "(") if text.startswith("[") else False
    rest = rest[1:].lstrip()
    if not rest:
        return None if len(text) < MAX_HEAD else False
    key = _KEY.match(rest)
    if key is None:
        return None if _PART_OF_KEY.fullmatch(rest) and len(rest) <= LONGEST_NAME else False
    if key[1] in names or (key[1] not in FIRST_KEYS and names.has_alike(key[1])):
        return True
    if key[1] not in FIRST_KEYS or key[1] in _NOT_FIRST:
        return False
    return _view_first_value(key[1], rest[key.end() :].lstrip(), names)


def _view_first_value(key: str, value: str, names: Names) -> View:
    if key not in NAME_KEYS and key != "type":
        return True
    if not value:
        return None
    if value[0] in "{[":
        return key in INNER_KEYS
    if value[0] not in "\"'“":
        return False
    said, quote, _ = value[1:].partition({"“": "”"}.get(value[0], value[0]))
    if not quote:
        return None if len(said) <= LONGEST_NAME and "\n" not in said else False
    return said in _CALL_TYPES if key == "type" else names.find(said) is not None


def _view_fence(text: str, names: Names) -> View:
    opened = _FENCE.match(text)
    if opened is None:
        return None if _PART_OF_FENCE.fullmatch(text) and len(text) < LONGEST_NAME else False
    if opened[1].lower() not in FENCES:
        return False
    inside = text[opened.end() :].lstrip()
    if not inside:
        return None if len(text) < MAX_HEAD else False
    if inside[0] in "{[":
        return view_json(inside, names)
    if inside[0] == "<":
        tag = _view_tag(inside)
        found = mark_at(inside, 0)
        return True if tag or isinstance(found, Family) else None if tag is None or found is None else False
    return _view_python(inside, names) if opened[1].lower() in PYTHON_FENCES else False


def _view_tag(text: str) -> View:
    low = text[:12].lower()
    if low.startswith(_TAGS):
        return True
    return None if any(tag.startswith(low) for tag in _TAGS) else False


def _view_name(text: str, names: Names, following: str) -> View:
    """A name of a tool, and behind it one of the letters `following`."""
    found = _NAME.match(text)
    if found is None:
        return False
    behind = text[found.end() :].lstrip(" \t")
    if not behind:
        return None if len(text) <= LONGEST_NAME else False
    return behind[0] in following and names.find(found[0]) is not None


def _view_python(text: str, names: Names) -> View:
    text = re.sub(r"^[A-Za-z_]\w*\s*=\s*", "", text)
    if _PRINT.startswith(text[: len(_PRINT)]):
        return _view_python(text[len(_PRINT) :], names) if len(text) > len(_PRINT) else None
    return _view_name(text.replace(".call(", "(", 1), names, "(") or _view_name(text, names, "(")


def _view_any(text: str, names: Names) -> View:
    if text[0] in "{[":
        return True
    if text[0] == "`":
        return _view_fence(text, names)
    if text[0] == "<":
        return _view_tag(text)
    if text[0] in "'\"":
        return None if len(text) < 2 else text[1] == "{"
    return _view_name(text, names, "\r\n<{(")


def _view_marked_json(text: str, names: Names) -> View:
    if text[0] in "{[":
        return True
    if text[0] == "`":
        return _view_fence(text, names)
    if "<|plugin|>".startswith(text[:10].lower()):
        return None if len(text) <= 10 else _view_marked_json(text[10:].lstrip() or "{", names)
    return _view_python(text, names)


def _view_function(text: str, names: Names) -> View:
    bare = text.lstrip("\"'")
    return None if not bare else _view_name(bare.replace('"', " ", 1).replace("'", " ", 1), names, ">")


def _view_named(text: str, names: Names) -> View:
    return True if text[0] in "{[" else _view_name(text, names, "{[")


def _view_token(text: str, names: Names) -> View:
    """Behind a special token nothing else comes."""
    del names
    return text[0] == "<" or text[0].isalnum() or text[0] == "_"


def _view_gemma(text: str, names: Names) -> View:
    if not "call:".startswith(text[:5]):
        return False
    return None if len(text) <= 5 else _view_name(text[5:].lstrip() or "x", names, "{")


def _view_recipient(text: str, names: Names) -> View:
    return _view_name(text, names, "\r\n<")


def _view_harmony(head: str) -> View:
    said, mark, _ = head.partition("<|message|>")
    if not mark:
        return None if len(head) < MAX_HEAD else False
    return " to=" in said


_LONGEST = max(len(family.opening) for family in FAMILIES)
_BY_LETTERS: dict[str, tuple[Family, ...]] = {
    letters: tuple(family for family in FAMILIES if family.opening.startswith(letters))
    for letters in {family.opening[:2] for family in FAMILIES}
}
_VIEWS: dict[Body, Callable[[str, Names], View]] = {
    "any": _view_any,
    "json": _view_marked_json,
    "function": _view_function,
    "named": _view_named,
    "deepseek": _view_token,
    "kimi": _view_token,
    "gemma": _view_gemma,
    "recipient": _view_recipient,
}
