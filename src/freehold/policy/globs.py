"""Globs over names: `*` for anything, `?` for one character, nothing else is special.

Case does not count, so that a gate on `gpt-*` also holds `GPT-4o`. Not regular expressions, on purpose.
"""

import re
from collections.abc import Callable, Sequence

Matcher = Callable[[str], bool]


def is_glob(text: str) -> bool:
    """Whether the text has a wildcard."""
    return "*" in text or "?" in text


def make_matcher(globs: Sequence[str]) -> Matcher:
    """A test whether a name matches any of the globs. With none: nothing matches."""
    if not globs:
        return _never
    # A run of stars means one star; several in a row would only cost time on hostile names.
    pattern = re.compile("|".join(f"(?:{_translate(glob)})" for glob in globs), re.IGNORECASE | re.DOTALL)
    matches = pattern.fullmatch
    return lambda name: matches(name) is not None


def _translate(glob: str) -> str:
    pieces = re.split(r"(\*+|\?)", glob)
    return "".join(".*" if piece.startswith("*") else "." if piece == "?" else re.escape(piece) for piece in pieces)


def _never(_name: str) -> bool:
    return False
