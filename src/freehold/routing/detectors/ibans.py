"""International bank account numbers (ISO 13616): country, length of that country, and ISO 7064 mod 97-10.

Source of the lengths: SWIFT's IBAN registry. Groups may stand apart by single blanks. Lower case is not read.

One in 97 random numbers passes. A text with `MOST_WRONG` different ones that fail is taken to have one that does not: what
is not looked at in full only raises, and numbers by chance would have shown one before, with 93 % in all.
"""

import re
from collections.abc import Iterator, Sequence

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
_REST = {size: re.compile(rf"[0-9](?: ?[A-Z0-9]){{{size - 4}}}+(?![A-Za-z0-9_])").match for size in sorted(set(LENGTHS.values()))}
"""What stands behind country and first digit, by the characters of the whole."""
MOST_WRONG = 256


def find_ibans(text: str, hits: Sequence[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """The IBANs among the places where one may begin, `most` of them. The last may stand for those that were not looked at."""
    seen: set[str] = set()
    wrong = count = 0
    for start, end in hits:
        if start and text[start - 1] in WORD:
            continue
        size = LENGTHS[text[start : end - 1]]
        # All that the answer depends on: single blanks can make it twice as long at most.
        looked_at = text[start : start + 2 * size]
        if looked_at in seen:
            continue
        rest = _REST[size](text, end)
        if rest is None:
            seen.add(looked_at)
            continue
        if not _is_valid(text[start : rest.end()]):
            seen.add(looked_at)
            wrong += 1
            if wrong < MOST_WRONG:
                continue
            count = most
        yield start, rest.end()
        count += 1
        if count >= most:
            return


def _is_valid(written: str) -> bool:
    iban = written.replace(" ", "")
    return is_mod97(iban[4:] + iban[:4])
