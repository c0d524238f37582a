"""What the configuration looks for: literal beginnings and a regular expression for what follows.

Why it cannot hang: an expression is tried only behind a literal beginning of three characters or more, sees 256
characters, and is refused at load when there are more than `MOST_WAYS` ways to match it (each repeat counts as the
number of its lengths, each alternative as one). Backtracking tries each way once at most. A text with more than
`MOST_TRIES` beginnings is taken for a match: what cannot be looked at in full only raises.
"""

import re
from re import _constants as codes  # type: ignore[attr-defined]  # the parser's words; nothing public tells them
from re import _parser as parser  # type: ignore[attr-defined]  # reading an expression is safer than guessing at its text
from typing import Any

from freehold.policy.labels import Pattern
from freehold.routing.detectors.anchored import WORD, Find

LOOKED_AT = 256
MOST_WAYS = 4096
MOST_TRIES = 64
_SINGLE = {codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN}
_REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT}
_UNREADABLE = {codes.GROUPREF, codes.GROUPREF_EXISTS, codes.ASSERT, codes.ASSERT_NOT}


def problem_of(then: str) -> str | None:
    """Why an expression is not taken, in words; None: it is."""
    try:
        parsed = parser.parse(then)
        re.compile(then)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    try:
        ways = _ways(parsed)
    except ValueError as error:
        return str(error)
    if ways > MOST_WAYS:
        return f"can match in {'very many' if ways > 10**9 else ways} ways, more than {MOST_WAYS}; bound its repeats, as in [a-z]{{1,20}}"
    return None


def make_find_pattern(pattern: Pattern) -> Find:
    """The expression as a function, tried where a beginning stands."""
    match = re.compile(pattern.then).match

    def find(text: str, start: int, end: int) -> tuple[int, int] | None:
        if start and text[start - 1] in WORD and text[start] in WORD:
            return None
        found = match(text, end, end + LOOKED_AT)
        return None if found is None else (start, found.end())

    return find


def _ways(parsed: Any) -> int:
    """In how many ways a parsed expression can match a text of `LOOKED_AT` characters, at most. Raises ValueError."""
    ways = 1
    for code, said in parsed:
        if code in _REPEATS or code is codes.POSSESSIVE_REPEAT:
            ways *= _ways_of_repeat(code, *said)
        elif code is codes.SUBPATTERN:
            ways *= _ways(said[3])
        elif code is codes.ATOMIC_GROUP:
            ways *= _ways(said)
        elif code is codes.BRANCH:
            ways *= sum(_ways(branch) for branch in said[1])
        elif code in _UNREADABLE:
            raise ValueError("looks around or refers back; say what must follow, plainly")
    return ways


def _ways_of_repeat(code: Any, least: int, most: int, repeated: Any) -> int:
    if len(repeated) != 1 or repeated[0][0] not in _SINGLE:
        inner = _ways(repeated)
        if int(most) > LOOKED_AT or _repeats_freely(repeated):
            raise ValueError("repeats something that repeats, or a group without a bound; write it as in (?:[a-z]{3}-){1,4}")
        return sum(inner**count for count in range(int(least), int(most) + 1))
    return 1 if code is codes.POSSESSIVE_REPEAT else min(int(most), LOOKED_AT) - min(int(least), LOOKED_AT) + 1


def _repeats_freely(parsed: Any) -> bool:
    """Whether something inside repeats a varying number of times."""
    for code, said in parsed:
        if code in _REPEATS or code is codes.POSSESSIVE_REPEAT:
            if int(said[0]) != int(said[1]) or _repeats_freely(said[2]):
                return True
        elif (
            (code is codes.SUBPATTERN and _repeats_freely(said[3]))
            or (code is codes.ATOMIC_GROUP and _repeats_freely(said))
            or (code is codes.BRANCH and any(map(_repeats_freely, said[1])))
        ):
            return True
    return False
