"""Finding a model that goes in circles.

Promised: linear time in a bounded tail of the text. Not done: telling paraphrase from repetition.
"""

import re

SAME_CALLS = 3
"""The same call with the same arguments this often in one turn is a loop; agents stop at three themselves."""
TAIL_CHARS = 3000
"""A loop does not end, so the tail shows it."""
LOOP_CHARS = 200
"""A loop covers at least this much of the end ..."""
LOOP_ROUNDS = 4
"""... in at least so many rounds."""
PROBE_CHARS = 50
MOST_PROBES = 50
GRAM_WORDS = 6
GRAM_FLOOR = 150
"""Words, numbers aside, that a text must have before its word sequences are counted."""
DISTINCT_SHARE = 0.35
"""Ordinary prose and code have over 0.8 distinct sequences of six words."""

_WORD = re.compile(r"\w+")


def loop_in(text: str) -> str | None:
    """What kind of loop the text ends in or consists of; None: none was found."""
    tail = text[-TAIL_CHARS:].rstrip()
    if len(tail) >= LOOP_CHARS and _ends_periodic(tail):
        return "the end repeats itself word for word"
    words = _WORD.findall(tail)
    if len(words) - sum(map(str.isdigit, words)) >= GRAM_FLOOR:
        grams = len(words) - GRAM_WORDS + 1
        distinct = len(set(zip(*(words[start:] for start in range(GRAM_WORDS)), strict=False)))
        if distinct < grams * DISTINCT_SHARE:
            return "most of its phrases occur again and again"
    return None


def _ends_periodic(tail: str) -> bool:
    """Whether the end consists of rounds of one string.

    The last `PROBE_CHARS` then stand one round earlier too, so only the places where they do are compared. A round
    needs two different letters: rules, zeros and padding repeat rightly.
    """
    probe = tail[-PROBE_CHARS:]
    place = len(tail) - PROBE_CHARS
    for _ in range(MOST_PROBES):
        place = tail.rfind(probe, 0, place + PROBE_CHARS - 1)
        period = len(tail) - PROBE_CHARS - place
        length = max(LOOP_CHARS, LOOP_ROUNDS * period)
        if place < 0 or length > len(tail):
            return False
        if tail[-length:-period] == tail[-(length - period) :] and _tells(tail[-period:]):
            return True
    return False


def _tells(piece: str) -> bool:
    return len({char for char in piece if char.isalpha()}) >= 2
