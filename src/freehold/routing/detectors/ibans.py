"""International bank account numbers (ISO 13616): country, length of that country, and ISO 7064 mod 97-10.

Source of the lengths: SWIFT's IBAN registry. Groups may stand apart by single blanks. Lower case is not read.
"""

import re

from freehold.routing.detectors.anchored import WORD
from freehold.routing.detectors.checksums import is_mod97

LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters by country."""
STARTS = tuple(f"{country}{digit}" for country in LENGTHS for digit in range(10))
_REST = re.compile(r"(?: ?[A-Z0-9]){10,30}+")
"""What the shortest and the longest have behind country and first digit; a country's own length is cut out of it."""


def find_iban(text: str, start: int, end: int) -> tuple[int, int] | None:
    """An IBAN that begins here."""
    if (start and text[start - 1] in WORD) or not text[end : end + 1].isdecimal():
        return None
    found = _REST.match(text, end)
    if found is None:
        return None
    size = LENGTHS[text[start : start + 2]]
    iban = text[start:end] + found[0].replace(" ", "")
    if len(iban) < size or not is_mod97(iban[4:size] + iban[:4]):
        return None
    at = end
    for _ in range(size - 3):  # to its last character, single blanks left out
        at += 2 if text[at] == " " else 1
    return None if at < len(text) and text[at] in WORD else (start, at)
