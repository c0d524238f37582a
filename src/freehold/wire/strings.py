"""Every text in a piece of JSON, whatever its shape, as one text to look through.

Wire formats grow fields; what is looked through for secrets must not depend on knowing them all. Promised: each string
and each long number of the piece stands in `text` once, keys included, in document order; a key and its value stay
together (`key: "value"`). A string that is JSON itself, as the arguments of tool calls are, stands there by its own
strings, so that no escape hides anything. Left out: long runs of base64, which are files and images, and numbers below
nine digits.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import cast

import msgspec

LONGEST_WORD = 4096
"""A string whose first characters are this many of base64 without a blank is a file, not a text (as in `_ENCODED`)."""
_LEAST_NUMBER = 10**8
_MOST_WITHIN = 3
"""How deep JSON within a string of JSON within a string is looked into; deeper it is a text as any other."""
_decode = msgspec.json.Decoder().decode
_OPENERS = frozenset("{[")
_SUSPECT = _OPENERS | set(" \t\r\n\v\f")
"""What a string begins with that may be JSON."""
_ENCODED = re.compile(r"(?:data:[A-Za-z0-9.+/;=-]{1,100},)?[A-Za-z0-9+/=_-]{4096}")


class Strings(msgspec.Struct, frozen=True):
    """The strings of a piece of JSON, joined."""

    text: str
    starts: tuple[int, ...]
    """Where each string begins in `text`."""
    ends: tuple[int, ...] = ()
    """Where each ends; empty unless asked for."""

    def place(self, offset: int) -> tuple[int, int]:
        """The string an offset falls into, and the offset within it."""
        part = max(bisect_right(self.starts, offset) - 1, 0)
        return part, offset - (self.starts[part] if self.starts else 0)


def strings_of(data: bytes) -> Strings:
    """The strings of a piece of JSON. Raises msgspec.DecodeError or RecursionError for what is none."""
    pieces: list[str] = []
    _walk(_decode(data), pieces, 0)
    return Strings("".join(pieces), tuple(accumulate(map(len, pieces), initial=0))[:-1:2])


def strings_in(value: object) -> Strings:
    """The strings of JSON that is decoded already, with their ends."""
    pieces: list[str] = []
    _walk(value, pieces, 0)
    places = list(accumulate(map(len, pieces), initial=0))
    return Strings("".join(pieces), tuple(places[:-1:2]), tuple(places[1::2]))


def rewritten(value: object, texts: Iterator[str]) -> object:
    """Decoded JSON with other texts for its strings: `texts` has one for each that `strings_in` gave, in that order.

    Numbers and files keep their value, whatever `texts` says of them.
    """
    return _rewrite(value, texts, 0)


def joined(texts: tuple[str, ...]) -> Strings:
    """Texts that are read already, a line end between them."""
    starts: list[int] = []
    offset = 0
    for text in texts:
        starts.append(offset)
        offset += len(text) + 1
    return Strings("\n".join(texts), tuple(starts))


def is_encoded_file(text: str) -> bool:
    """Whether a string is a file in base64: long, without a blank or a line end, nothing but its characters."""
    return len(text) >= LONGEST_WORD and " " not in text and "\n" not in text and _ENCODED.match(text) is not None


def _within(text: str, depth: int) -> object:
    """The object or list that a string spells as JSON; None: it spells none, or its strings stand in it as they are."""
    first = text[:1]
    if first in _SUSPECT and first not in _OPENERS:
        first = text.lstrip()[:1]
    if first not in _OPENERS or depth >= _MOST_WITHIN or "\\" not in text:
        return None
    try:
        return cast("object", _decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _walk(root: object, pieces: list[str], depth: int) -> None:
    """Strings and what stands behind each, alternating. Nesting is bounded by the decoder, which counts it too."""
    if isinstance(root, str):
        within = _within(root, depth)
        if within is None:
            pieces += ("" if is_encoded_file(root) else root, "\n")
        else:
            _walk(within, pieces, depth + 1)
    elif isinstance(root, dict):
        for key, value in root.items():
            if type(value) is str and value[:1] not in _SUSPECT and len(value) < LONGEST_WORD:
                pieces += (key, ': "', value, '"\n')
            else:
                _walk_entry(key, value, pieces, depth)
    elif isinstance(root, list):
        for value in root:
            _walk(value, pieces, depth)
    elif type(root) is int and abs(root) >= _LEAST_NUMBER:
        pieces += (str(root), "\n")


def _walk_entry(key: str, value: object, pieces: list[str], depth: int) -> None:
    if isinstance(value, str):
        within = _within(value, depth)
        if within is None:
            pieces += (key, ': "', "" if is_encoded_file(value) else value, '"\n')
        else:
            pieces += (key, "\n")
            _walk(within, pieces, depth + 1)
    elif type(value) is int and abs(value) >= _LEAST_NUMBER:
        pieces += (key, ': "', str(value), '"\n')
    else:
        pieces += (key, "\n")
        if isinstance(value, dict | list):
            _walk(value, pieces, depth)


def _rewrite(root: object, texts: Iterator[str], depth: int) -> object:
    """The same walk, taking one text where `_walk` gave one."""
    if isinstance(root, str):
        within = _within(root, depth)
        if within is None:
            text = next(texts)
            return root if is_encoded_file(root) else text
        written = _rewrite(within, texts, depth + 1)
        return root if written == within else msgspec.json.encode(written).decode()
    if isinstance(root, dict):
        # A key comes before what stands under it.
        return {next(texts): _rewrite(value, texts, depth) for key, value in root.items()}
    if isinstance(root, list):
        return [_rewrite(value, texts, depth) for value in root]
    if type(root) is int and abs(root) >= _LEAST_NUMBER:
        next(texts)
    return root
