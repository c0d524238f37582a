"""Internal host names and private addresses: they say how a network is built.

A host is internal by its ending, where that is set aside for private use, or because the configuration names the domain.
Sources: ICANN resolution 2024.07.29.06 (`internal`), RFC 8375 (`home.arpa`), RFC 6762 appendix G (the others), RFC 1918
(addresses). `private`, `home` and `local` are left out: source code is full of names that end in them.
"""

import re

from freehold.routing.detectors.anchored import WORD, Find

ENDINGS = ("internal", "intranet", "corp", "home.arpa", "lan")
ADDRESS_STARTS = ("10.", "192.168.", *(f"172.{second}." for second in range(16, 32)))
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."
_LONGEST_NAME = 253
_ENDS = re.compile(r"\.?(?![A-Za-z0-9_(\[=-]|\.[A-Za-z0-9_])")
_REST = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,2}(?:/[0-9]{1,2})?(?![A-Za-z0-9_]|[.-][0-9])")


def host_starts(domains: tuple[str, ...]) -> dict[str, int]:
    """Endings to look for, and how many labels must stand before each: names of code have one, so hosts need two."""
    endings = {f".{ending}": 2 for ending in ENDINGS}
    return endings | {f".{domain.lower().lstrip('*').strip('.')}": 1 for domain in domains}


def make_find_host(least_labels: int) -> Find:
    """A host name that ends with the anchor."""

    def find(text: str, start: int, end: int) -> tuple[int, int] | None:
        if _ENDS.match(text, end) is None:
            return None
        near = text[max(start - _LONGEST_NAME, 0) : start]
        begin = start - (len(near) - len(near.rstrip(_NAME)))
        labels = text[begin:start].split(".")
        if len(labels) < least_labels or not all(labels) or (begin and text[begin - 1] in WORD):
            return None
        return begin, end

    return find


def find_address(text: str, start: int, end: int) -> tuple[int, int] | None:
    """An IPv4 address of a private network, or such a network."""
    if start and (text[start - 1] in WORD or text[start - 1] in ".-"):
        return None
    found = _REST.match(text, end)
    if found is None:
        return None
    address = text[start : found.end()].partition("/")[0].split(".")
    return (start, found.end()) if len(address) == 4 and all(int(part) <= 255 for part in address) else None
