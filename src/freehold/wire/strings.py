"""Every text in a piece of JSON, whatever its shape, as one text to look through.

Wire formats grow fields; what is looked through for secrets must not depend on knowing them all. Promised: each string
and each long number of the piece stands in `text` once, keys included, in document order; a key and its value stay
together (`key: "value"`). Left out: long runs of base64, which are files and images, and numbers below nine digits.
"""

import re
from bisect import bisect_right

import msgspec

LONGEST_WORD = 4096
"""A string whose first characters are this many of base64 without a blank is a file, not a text (as in `_ENCODED`)."""
_LEAST_NUMBER = 10**8
_decode = msgspec.json.Decoder().decode
_ENCODED = re.compile(r"(?:data:[A-Za-z0-9.+/;=-]{1,100},)?[A-Za-z0-9+/=_-]{4096}")


class Strings(msgspec.Struct, frozen=True):
    """The strings of a piece of JSON, joined."""

    text: str
    starts: tuple[int, ...]
    """Where each string begins in `text`."""

    def place(self, offset: int) -> tuple[int, int]:
        """The string an offset falls into, and the offset within it."""
        part = max(bisect_right(self.starts, offset) - 1, 0)
        return part, offset - (self.starts[part] if self.starts else 0)


def strings_of(data: bytes) -> Strings:
    """The strings of a piece of JSON. Raises msgspec.DecodeError or RecursionError for what is none."""
    pieces: list[str] = []
    _walk(_decode(data), pieces)
    starts: list[int] = []
    offset = 0
    for index, piece in enumerate(pieces):
        if not index % 2:
            starts.append(offset)
        offset += len(piece)
    return Strings("".join(pieces), tuple(starts))


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


def _walk(root: object, pieces: list[str]) -> None:
    """Strings and what stands behind each, alternating. Depth is bounded by the decoder, which counts it too."""
    if isinstance(root, str):
        pieces += ("" if is_encoded_file(root) else root, "\n")
    elif isinstance(root, dict):
        for key, value in root.items():
            if isinstance(value, str):
                pieces += (key, ': "', "" if is_encoded_file(value) else value, '"\n')
            elif type(value) is int and abs(value) >= _LEAST_NUMBER:
                pieces += (key, ': "', str(value), '"\n')
            else:
                pieces += (key, "\n")
                if isinstance(value, dict | list):
                    _walk(value, pieces)
    elif isinstance(root, list):
        for value in root:
            _walk(value, pieces)
    elif type(root) is int and abs(root) >= _LEAST_NUMBER:
        pieces += (str(root), "\n")
