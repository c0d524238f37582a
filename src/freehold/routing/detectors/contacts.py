"""E-mail addresses and phone numbers, by shape: there is nothing to check them against offline.

Phones are numbers in international form (E.164 with a country code that is given out) and North American ones as people
write them. National numbers of other countries look like any other number and are not found.
"""

import re

from freehold.routing.detectors.anchored import WORD

_LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
_LONGEST_LOCAL = 64
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])")
_NO_TLDS = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "css",
        "js",
        "mjs",
        "ts",
        "tsx",
        "jsx",
        "json",
        "py",
        "rb",
        "go",
        "rs",
        "java",
        "html",
        "htm",
        "md",
        "txt",
        "yml",
        "yaml",
        "toml",
        "lock",
    ]
)
_ROBOTS = frozenset({"git", "noreply", "no-reply", "donotreply"})
_INTERNATIONAL = re.compile(r"([1-9](?:[ ()./-]{0,2}[0-9]){6,14}+)(?![0-9])")
_NORTH_AMERICAN = re.compile(
    r"(?<![\w.+/-])(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}([-.]))[2-9][0-9]{2}(?(1)\1|[-. ])[0-9]{4}(?![\w-])"
)
_TEN = b"0" * 10
_AS_ZERO = bytes(48 if 48 <= code < 58 else 97 for code in range(256))
# ITU-T E.164, list of assigned country codes: one digit, two digits; every other code has three.
_ONE = frozenset("17")
_TWO = frozenset(
    [
        "20",
        "27",
        "30",
        "31",
        "32",
        "33",
        "34",
        "36",
        "39",
        "40",
        "41",
        "43",
        "44",
        "45",
        "46",
        "47",
        "48",
        "49",
        "51",
        "52",
        "53",
        "54",
        "55",
        "56",
        "57",
        "58",
        "60",
        "61",
        "62",
        "63",
        "64",
        "65",
        "66",
        "81",
        "82",
        "84",
        "86",
        "90",
        "91",
        "92",
        "93",
        "94",
        "95",
        "98",
    ]
)
_THREE = frozenset(
    [
        "21",
        "22",
        "23",
        "24",
        "25",
        "26",
        "29",
        "35",
        "37",
        "38",
        "42",
        "50",
        "59",
        "67",
        "68",
        "69",
        "80",
        "85",
        "87",
        "88",
        "96",
        "97",
        "99",
    ]
)

EMAIL_STARTS = ("@",)
PHONE_STARTS = ("+",)


def find_email(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The address around an @."""
    if not start or text[start - 1] not in _LOCAL or not text[end : end + 1].isalnum():
        return None
    near = text[max(start - _LONGEST_LOCAL, 0) : start]
    begin = start - (len(near) - len(near.rstrip(_LOCAL)))
    found = _DOMAIN.match(text, end)
    if begin == start or found is None or found[1].lower() in _NO_TLDS:
        return None
    local = text[begin:start].lower().strip(".")
    if not local or local in _ROBOTS or text[begin] == "." or text[begin - 1 : begin] == "/":
        return None
    if text[begin - 1 : begin] == ":" and "://" in text[max(begin - _LONGEST_LOCAL, 0) : begin]:
        return None  # a password in an address, which another detector finds
    return begin, found.end()


def find_phone(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The international number behind a +."""
    if start and (text[start - 1] in WORD or text[start - 1] in "+-./*)=]"):
        return None
    found = _INTERNATIONAL.match(text, end)
    if found is None:
        return None
    digits = "".join(filter(str.isdecimal, found[1]))
    if not 8 <= len(digits) <= 15 or not (digits[0] in _ONE or digits[:2] in _TWO or digits[:2] in _THREE):
        return None
    return (start, found.end()) if digits[0] not in _ONE or len(digits) == 11 else None


def find_national_phones(text: str) -> list[tuple[int, int]]:
    """North American numbers: `(212) 555-0123`, `212-555-0123`, `212.555.0123`."""
    # Most texts do not have ten digits so near to each other, and are told apart in a tenth of the time.
    if _TEN not in text.encode("utf-8", "replace").translate(_AS_ZERO, b"() .-"):
        return []
    return [found.span() for found in _NORTH_AMERICAN.finditer(text)]
