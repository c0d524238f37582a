"""Reads what stands between a family's marks, or makes up a whole answer, as the calls it is made of.

Promised: either all of a text is calls, or it is none; nothing is evaluated. A name only has to look like one here: which
tool it means, and whether its arguments fit, is judged in `mending`.
"""

import json
import re
from collections.abc import Callable

from freehold.routing.calls.lenient import Cut, Lenient, NoValueError, read_value
from freehold.routing.calls.marks import FENCES, ORPHANS, PYTHON_FENCES, Body
from freehold.routing.calls.names import Names
from freehold.routing.calls.react import ACTION, read_react
from freehold.routing.calls.shapes import MOST_CALLS, Written, calls_in

_Calls = list[Written] | None
_NAME = r"[A-Za-z_][\w.:/-]{0,127}"
_FENCE = re.compile(r"(`{3,})[ \t]*(\w*)[ \t]*\n(.*?)(?:\n[ \t]*)?(?:\1`*|\Z)", re.DOTALL)
_AROUND = re.compile(r"(`{3,})[ \t]*(\w*)[ \t]*\n(.*)\n?[ \t]*\1", re.DOTALL)
_OPENS_FUNCTION = re.compile(
    r"<(?:｜DSML｜)?(?:function\s*=\s*|(?:function|invoke)\s+name\s*=\s*)[\"']?(?P<name>" + _NAME + r")[\"']?\s*>", re.IGNORECASE
)
_CLOSES_FUNCTION = re.compile(r"</(?:｜DSML｜)?(?:function|invoke)>", re.IGNORECASE)
_OPENS_PARAMETER = re.compile(
    r"<(?:｜DSML｜)?parameter(?:\s*=\s*|\s+name\s*=\s*)[\"']?(?P<key>[^\"'>\s]{1,128})[\"']?[^>\n]*>", re.IGNORECASE
)
_CLOSES_PARAMETER = re.compile(r"</(?:｜DSML｜)?parameter>\s*(?=<|\Z)", re.IGNORECASE)
_KEYED = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|(?=<arg_key>)|\Z)", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(rf"({_NAME})\s*(?:\[CALL_ID\][\w-]*\s*)?(?:\[ARGS\]\s*)?(?=\{{)")
_PYTHON = re.compile(rf"(?:[A-Za-z_]\w*\s*=\s*)?({_NAME})\s*\(")
_SEPARATOR = re.compile(r"<[|｜]tool[▁_]sep[|｜]>", re.IGNORECASE)
_CALL_MARKS = re.compile(r"<[|｜]tool[▁_]call[▁_](?:begin|end)[|｜]>", re.IGNORECASE)
_KIMI_ARGUMENTS = re.compile(r"<\|tool_call_argument_begin\|>", re.IGNORECASE)
_GEMMA = re.compile(rf"\s*call:\s*({_NAME})\s*(?=\{{)")
_ESCAPED = re.compile(r"<escape>(.*?)<escape>", re.DOTALL)
_RECIPIENT = re.compile(r"\bto=([\w.:-]+)")
_PROMPTED = re.compile(rf">>>({_NAME})[ \t]*\n")
_BETWEEN = " \t\r\n;,"


def read_block(body: Body, text: str, names: Names) -> _Calls:
    """The calls between a family's marks; None where anything else stands there too."""
    text = _strip_marks(text)
    try:
        return _READERS[body](text, names) or None
    except NoValueError:
        return None


def read_bare(text: str, names: Names) -> _Calls:
    """The calls that a whole answer without marks is made of: JSON, fences, a list of Python calls."""
    try:
        return _read_bare(_strip_marks(text), names) or None
    except NoValueError:
        return None


def _read_bare(text: str, names: Names) -> _Calls:
    if text.startswith(ACTION):
        return read_react(text)
    calls: list[Written] = []
    prompts = list(_PROMPTED.finditer(text)) if text.startswith(">>>") else []
    if prompts:
        for at, prompt in enumerate(prompts):
            end = prompts[at + 1].start() if at + 1 < len(prompts) else len(text)
            calls += [_with_arguments(prompt[1], text[prompt.end() : end])]
        return calls
    if not text.startswith("```"):
        whole = _read_json(text.removeprefix("functools"), names, is_marked=text.startswith("functools"))
        if whole is not None or "```" not in text:
            return whole
    return _read_around(text, names) or _read_fences(text, names)


def _read_around(text: str, names: Names) -> _Calls:
    """One fence around everything: fences inside it are part of an argument."""
    found = _AROUND.fullmatch(text)
    try:
        return None if found is None else _read_fence(found[2].lower(), _strip_marks(found[3]), names)
    except NoValueError:
        return None


def _read_fences(text: str, names: Names) -> _Calls:
    calls: list[Written] = []
    fences = list(_FENCE.finditer(text))
    at = 0
    for fence in fences:
        if between := _strip_marks(text[at : fence.start()]).strip(_BETWEEN):
            found = _read_json(between, names)
            if found is None:
                return None
            calls += found
        inside = _read_fence(fence[2].lower(), _strip_marks(fence[3]), names)
        if not inside:
            return None
        calls += inside
        at = fence.end()
    if rest := _strip_marks(text[at:]).strip(_BETWEEN):
        found = _read_json(rest, names)
        return None if found is None else calls + found
    return calls


def _read_fence(language: str, inside: str, names: Names) -> _Calls:
    if language not in FENCES:
        return None
    if inside.startswith("<"):
        bare = re.sub(r"</?(?:tool_calls?|function_calls?|tools?)>", "", inside, flags=re.IGNORECASE)
        return _read_any(bare.strip(), names)
    if language in PYTHON_FENCES and not inside.startswith(("{", "[")):
        return _read_python(inside, names)
    return _read_json(inside, names, is_marked=language in PYTHON_FENCES)


def _read_any(text: str, names: Names) -> _Calls:
    if text.startswith("```"):
        fence = _FENCE.match(text)
        text = text if fence is None else _strip_marks(fence[3])
    if _OPENS_FUNCTION.match(text):
        return _read_functions(text, names)
    if text.startswith(("{", "[", "'", '"')):
        return _read_json(text.strip("'\"") if text[:2] in {'"{', "'{"} else text, names, is_marked=True)
    return _read_keyed(text, names) or _read_named(text, names) or _read_python(text, names)


def _read_marked_json(text: str, names: Names) -> _Calls:
    if text.startswith("```"):
        fence = _FENCE.match(text)
        text = text if fence is None else _strip_marks(fence[3])
    text = text.removeprefix("<|plugin|>").strip()
    if text.startswith(("{", "[")):
        return _read_json(text, names, is_marked=True)
    return _read_python(text, names)


def _read_json(text: str, names: Names, *, is_marked: bool = False) -> _Calls:
    """One JSON value or several, with or without commas, semicolons or line ends between them; or a list of Python calls."""
    if text.startswith("[") and _PYTHON.match(text, 1 + len(text[1:]) - len(text[1:].lstrip())):
        return _read_python(text.removeprefix("[").strip().removesuffix("]"), names)
    try:
        value, reading = read_value(text)
    except NoValueError:
        return _read_values(text, names, is_marked=is_marked)
    return calls_in(value, names, is_marked=is_marked, mended=reading.mended, cut=reading.cut)


def _read_values(text: str, names: Names, *, is_marked: bool) -> _Calls:
    reading = Lenient(text)
    calls: list[Written] = []
    while reading.at < len(text):
        if text[reading.at] not in "{[":
            return None
        value = reading.value()
        found = calls_in(value, names, is_marked=is_marked, mended=True, cut=reading.cut)
        if found is None or len(calls) > MOST_CALLS:
            return None
        calls += found
        while reading.at < len(text) and (text[reading.at] in _BETWEEN or text[reading.at] in "}])"):
            reading.at += 1
    return calls


def _read_functions(text: str, names: Names) -> _Calls:
    """`<function=NAME>` and `<invoke name="NAME">` with a tag for each argument, or with JSON inside."""
    del names
    calls: list[Written] = []
    at = 0
    while (opened := _OPENS_FUNCTION.search(text, at)) is not None:
        if text[at : opened.start()].strip(_BETWEEN) and not _is_tags(text[at : opened.start()]):
            return None
        end, at, was_cut = _end_of_function(text, opened.end())
        calls.append(_function(opened["name"], text[opened.end() : end], was_cut))
        if len(calls) > MOST_CALLS:
            return None
    return calls if not text[at:].strip(_BETWEEN) or _is_tags(text[at:]) else None


def _end_of_function(text: str, start: int) -> tuple[int, int, bool]:
    """Where a function's inside ends, where the next thing begins, and whether its end was missing."""
    at = start
    while (closed := _CLOSES_FUNCTION.search(text, at)) is not None:
        inside = text[start : closed.start()]
        opened = list(_OPENS_PARAMETER.finditer(inside))
        if not opened or _CLOSES_PARAMETER.search(inside + "<", opened[-1].end()) is not None:
            return closed.start(), closed.end(), False
        at = closed.end()  # it stands in an argument that is not closed yet
    first = _CLOSES_FUNCTION.search(text, start)
    if first is not None:
        return first.start(), first.end(), False
    following = _OPENS_FUNCTION.search(text, start)
    return (len(text), len(text), True) if following is None else (following.start(), following.start(), False)


def _is_tags(text: str) -> bool:
    return not re.sub(r"</?[\w:｜|▁]+>", "", text).strip(_BETWEEN)


def _function(name: str, inside: str, was_cut: bool) -> Written:
    opened = list(_OPENS_PARAMETER.finditer(inside))
    if not opened:
        bare = inside.strip()
        return Written(name, {}, False, "marks" if was_cut else "") if not bare else _with_arguments(name, bare)
    if inside[: opened[0].start()].strip():
        raise NoValueError
    arguments: dict[str, str] = {}
    is_open = False
    for at, tag in enumerate(opened):
        end = opened[at + 1].start() if at + 1 < len(opened) else len(inside)
        closed = _CLOSES_PARAMETER.search(inside[:end], tag.end())
        is_open = closed is None
        value = inside[tag.end() : end if closed is None else closed.start()]
        if closed is not None and inside[closed.end() : end].strip():
            raise NoValueError
        arguments[tag["key"]] = _trim(value)
    return Written(name, arguments, False, "" if not was_cut else "words" if is_open else "marks")


def _trim(value: str) -> str:
    """Without the line ends that stand between a tag and its value."""
    return value.removeprefix("\r").removeprefix("\n").removesuffix("\n").removesuffix("\r")


def _read_keyed(text: str, names: Names) -> _Calls:
    """GLM: the name, then a tag for each key and each value."""
    del names
    calls = []
    for one in re.split(r"</tool_call>|<tool_call>", text):
        name, _, rest = one.strip().partition("<arg_key>")
        if not rest:
            rest = ""
            if not re.fullmatch(_NAME, name.strip()):
                return None
        pairs = _KEYED.findall("<arg_key>" + rest) if rest else []
        left = _KEYED.sub("", "<arg_key>" + rest) if rest else ""
        if left.strip() or not re.fullmatch(_NAME, name.strip()):
            return None
        calls.append(Written(name.strip(), {key.strip(): _trim(value) for key, value in pairs}, False, _cut_of_keyed(one)))
    return calls


def _cut_of_keyed(text: str) -> Cut:
    if text.rstrip().lower().endswith(("</arg_value>", "</tool_call>")):
        return ""
    return "words" if "<arg_value>" in text else "marks"


def _read_named(text: str, names: Names) -> _Calls:
    """Mistral: a list of JSON calls, or each name before its JSON."""
    if text.startswith(("[{", "{", "[ ", "[\n")):
        return _read_json(text, names, is_marked=True)
    calls: list[Written] = []
    at = 0
    while at < len(text):
        found = _NAMED.match(text, at)
        if found is None or len(calls) > MOST_CALLS:
            return None
        reading = Lenient(text, found.end())
        start = reading.at
        value = reading.value()
        calls.append(Written(found[1], value, reading.mended or not _is_json(text[start : reading.at]), reading.cut))
        at = reading.at
        rest = text[at:]
        at += len(rest) - len(rest.lstrip(_BETWEEN + "}"))
        if text[at : at + 12].upper() == "[TOOL_CALLS]":
            at += 12
            at += len(text[at:]) - len(text[at:].lstrip())
    return calls


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _read_python(text: str, names: Names) -> _Calls:
    """Calls as Python has them, with keyword arguments only."""
    calls: list[Written] = []
    at = 0
    while at < len(text):
        found = _PYTHON.match(text, at)
        if found is None or len(calls) > MOST_CALLS:
            return None
        if found[1] == "print" and "print" not in names:
            inner = _PYTHON.match(text, found.end())
            if inner is None:
                return None
            found, is_printed = inner, True
        else:
            is_printed = False
        reading = Lenient(text, found.end())
        arguments = reading.arguments()
        calls.append(Written(found[1].removesuffix(".call"), arguments, False, reading.cut))
        at = reading.at
        if is_printed and text[at : at + 1] == ")":
            at += 1
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
    return calls


def _read_deepseek(text: str, names: Names) -> _Calls:
    del names
    calls = []
    for piece in _CALL_MARKS.split(text):
        if not piece.strip():
            continue
        left, *right = _SEPARATOR.split(piece)
        if len(right) != 1:
            return None
        name, arguments = left.strip(), right[0]
        if name in {"function", ""}:
            name, _, arguments = right[0].strip().partition("\n")
        calls.append(_with_arguments(name, arguments))
    return calls


def _read_kimi(text: str, names: Names) -> _Calls:
    del names
    calls = []
    for piece in _CALL_MARKS.split(text):
        if piece.strip():
            name, *right = _KIMI_ARGUMENTS.split(piece)
            if len(right) != 1:
                return None
            calls.append(_with_arguments(name, right[0]))
    return calls


def _read_gemma(text: str, names: Names) -> _Calls:
    del names
    found = _GEMMA.match(text)
    if found is None:
        return None
    inside = _ESCAPED.sub(lambda escaped: json.dumps(escaped[1]), text[found.end() :])
    call = _with_arguments(found[1], inside)
    return [Written(call.name, call.arguments, False, call.cut)]


def _read_harmony(text: str, names: Names) -> _Calls:
    del names
    head, mark, said = text.partition("<|message|>")
    recipient = _RECIPIENT.search(head)
    if recipient is None or not mark:
        return None
    return [_with_arguments(recipient[1], said)]


def _read_recipient(text: str, names: Names) -> _Calls:
    del names
    name, mark, said = text.partition("<|content|>")
    return [_with_arguments(name, said)] if mark and name.strip() != "all" else None


def _with_arguments(name: str, said: str) -> Written:
    """A call whose arguments are this JSON, in a fence or not."""
    name, said = name.strip(), _strip_marks(said)
    if not name or len(name) > 160 or any(letter.isspace() for letter in name):
        raise NoValueError
    fence = _FENCE.match(said)
    if fence is not None:
        said = fence[3].strip()
    if not said:
        return Written(name, {})
    value, reading = read_value(said)
    return Written(name, value, reading.mended, reading.cut)


def _strip_marks(text: str) -> str:
    """Without blanks, ends of turns and closing marks at its end, whose openings never came."""
    text = text.strip()
    while True:
        low = text[-40:].lower()
        mark = next((mark for mark in ORPHANS if low.endswith(mark)), None)
        if mark is None or mark in {"</function>", "</invoke>"}:
            return text
        text = text[: len(text) - len(mark)].rstrip()


_READERS: dict[Body, Callable[[str, Names], _Calls]] = {
    "any": _read_any,
    "json": _read_marked_json,
    "function": _read_functions,
    "named": _read_named,
    "deepseek": _read_deepseek,
    "kimi": _read_kimi,
    "gemma": _read_gemma,
    "harmony": _read_harmony,
    "recipient": _read_recipient,
}
