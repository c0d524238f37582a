"""A rule that begins with literal text: the automaton finds the beginning, the rule looks at what stands there.

Linear by construction: `then` repeats nothing without a bound, and what may not stand before a beginning includes every
character that the repeats take, so that one run of characters is looked at once (tests/unit/routing/detectors).
"""

import re
from collections.abc import Callable
from typing import Literal

import msgspec

Check = Callable[[str], bool]
"""Whether what was found is the real thing; sees the text that matched group 1, or all of it."""
Find = Callable[[str, int, int], tuple[int, int] | None]
"""A text, where an anchor begins and ends in it: where the finding begins and ends, or None."""

Evidence = Literal["maker", "beginning", "scanners", "standard"]
"""Who says what a format is: its maker says how it begins and goes on; its maker says how it begins, and examples and other
scanners how it goes on; only other scanners; it is a standard's, or none.
"""

WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
WORD_OR_DASH = WORD | {"-"}
TOKEN = WORD | {"-", "."}
ANYTHING: frozenset[str] = frozenset()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A kind by the way it is written."""

    kind: str
    starts: tuple[str, ...]
    """Literal beginnings. Case counts."""
    then: str
    """What must follow, matched from the end of the beginning. Group 1 or 2, if there is one, is the value."""
    not_behind: frozenset[str] = WORD_OR_DASH
    """What must not stand before the beginning."""
    check: Check | None = None
    check_second: Check | None = None
    """For the value of group 2, where there is one."""
    source: str = ""
    """Where the format is documented."""
    evidence: Evidence = "standard"
    """What its documentation was found to say when it was looked up last (docs/privacy.md)."""


def make_find(rule: Rule) -> Find:
    """The rule as a function."""
    match, not_behind = re.compile(rule.then).match, rule.not_behind
    checks = (rule.check, rule.check, rule.check_second)

    def find(text: str, start: int, end: int) -> tuple[int, int] | None:
        if start and text[start - 1] in not_behind:
            return None
        found = match(text, end)
        if found is None:
            return None
        group = found.lastindex or 0
        begin, stop = found.span(group) if group else (start, found.end())
        check = checks[group]
        return (begin, stop) if check is None or check(text[begin:stop]) else None

    return find
