"""Calls as the ReAct prompt has them: `Action: NAME` and, on the next line, `Action Input: {...}`.

Models that were taught so (Qwen's first ones, and what agents prompt by hand) think aloud behind `Thought:` before and write
`Observation:` behind. Sources: Yao et al., ReAct, 2022; the prompt of Qwen-7B-Chat's model card.

Promised: only an answer that begins with `Thought:` or `Action:` is such a one, the name is that of a tool, the input is one
JSON object, and nothing but an observation follows; anything else is words about it. What is written behind `Observation:` is
the model's own invention and is left out: the client makes the real one.
"""

import re

from freehold.routing.calls.lenient import read_value
from freehold.routing.calls.names import LONGEST_NAME, Names
from freehold.routing.calls.shapes import Written

THOUGHT, ACTION = "Thought:", "Action:"
_INPUT = "Action Input:"
_NAME = re.compile(r"[A-Za-z_][\w.:/-]{0,127}")
_CALL = re.compile(r"Action:[ \t]*([A-Za-z_][\w.:/-]{0,127})[ \t]*\r?\n[ \t]*Action Input:\s*(?=\{)")
_OBSERVED = re.compile(r"\n[ \t]*Observation:")
_MOST_BLANKS = 200


def view_react(text: str, names: Names) -> bool | None:
    """Whether a line that begins so begins a call; None: too short to say."""
    if not text.startswith(ACTION):
        return None if ACTION.startswith(text) else False
    line, end, rest = text[len(ACTION) :].partition("\n")
    name = line.strip()
    if name and _NAME.fullmatch(name) is None:
        return False
    if not end:
        return None if len(line) <= LONGEST_NAME else False
    if not name or names.find(name) is None:
        return False
    rest = rest.lstrip(" \t")
    if not rest.startswith(_INPUT):
        return None if _INPUT.startswith(rest) else False
    inside = rest[len(_INPUT) :]
    bare = inside.lstrip()
    return bare[0] == "{" if bare else (None if len(inside) < _MOST_BLANKS else False)


def read_react(text: str) -> list[Written] | None:
    """The call. Raises NoValueError where its input is no value, or where words stand behind it."""
    found = _CALL.match(text)
    if found is None:
        return None
    said = text[found.end() :]
    observed = _OBSERVED.search(said)
    if observed is not None:
        said = said[: observed.start()]
    value, reading = read_value(said.strip())
    return [Written(found[1], value, reading.mended, reading.cut)]
