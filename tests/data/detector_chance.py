"""The chance that what detectors are measured on is drawn with: the same every time."""

import random
import string

R = random.Random(20260807)
ALNUM, HEX, UPPER = string.ascii_letters + string.digits, "0123456789abcdef", string.ascii_uppercase + string.digits
URL, B64 = ALNUM + "-_", ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"


def draw(alphabet: str, size: int) -> str:
    return "".join(R.choice(alphabet) for _ in range(size))


def digits(size: int, first: str = "123456789") -> str:
    return R.choice(first) + draw(string.digits, size - 1)


LONG = random.Random(20261121)
"""Drawn from a source of its own, so that what is drawn from the first stays as it was."""


def some(alphabet: str, size: int) -> str:
    return "".join(LONG.choice(alphabet) for _ in range(size))
