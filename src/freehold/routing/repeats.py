"""Finding a model that goes in circles.

Promised: linear time in a bounded tail of the text. Not done: telling paraphrase from repetition.
"""

SAME_CALLS = 3
"""The same call with the same arguments this often in one turn is a loop; agents stop at three themselves."""
TAIL_CHARS = 3000
"""A loop does not end, so the tail shows it."""
LOOP_CHARS = 200
"""A loop covers at least this much of the end ..."""
LOOP_ROUNDS = 4
"""... in at least so many rounds."""
GRAM_WORDS = 6
GRAM_FLOOR = 150
"""Words with letters that a text must have before its word sequences are counted."""
DISTINCT_SHARE = 0.35
"""Ordinary prose and code have over 0.8 distinct sequences of six words."""


def loop_in(text: str) -> str | None:
    """What kind of loop the text ends in or consists of; None: none was found."""
    tail = text[-TAIL_CHARS:].rstrip()
    if len(tail) >= LOOP_CHARS and _ends_periodic(tail):
        return "the end repeats itself word for word"
    words = [word for word in tail.split() if any(map(str.isalpha, word))]
    if len(words) >= GRAM_FLOOR:
        grams = [tuple(words[start : start + GRAM_WORDS]) for start in range(len(words) - GRAM_WORDS + 1)]
        if len(set(grams)) < len(grams) * DISTINCT_SHARE:
            return "most of its phrases occur again and again"
    return None


def _ends_periodic(tail: str) -> bool:
    """Whether the end consists of rounds of one string, by the prefix function of the reversed text.

    A round needs two different letters: rules, zeros and padding repeat rightly.
    """
    reverse = tail[::-1]
    borders = [0] * len(reverse)
    border = 0
    for index in range(1, len(reverse)):
        while border and reverse[index] != reverse[border]:
            border = borders[border - 1]
        if reverse[index] == reverse[border]:
            border += 1
        borders[index] = border
        length = index + 1
        period = length - border
        if length >= LOOP_CHARS and length >= LOOP_ROUNDS * period and _tells(reverse[:period]):
            return True
    return False


def _tells(piece: str) -> bool:
    return len({char for char in piece if char.isalpha()}) >= 2
