"""A chain of lines: each holds the hash of the one before, so that no change, removal, insertion or reordering goes unseen. Pure.

A line is one JSON object in UTF-8; its hash is the SHA-256 of its bytes without the line's end. Fields of every line: `n` (from
1), `prev` (the hash of the line before; of the first line: the head of the chain it goes on from, or 64 zeros) and `event`. The
last line's event is `end`, so that a cut shows too. The head is the hash of the last line.

Promised: `check` finds every difference from what `Chain` made, but for one: a chain that was made anew from some line on, which is
a whole chain of its own. Against that, keep the head where the file's owner cannot write.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

NO_CHAIN = "0" * 64
END = "end"
_HEX = frozenset("0123456789abcdef")
_encode = msgspec.json.Encoder().encode


class _Link(msgspec.Struct, frozen=True):
    n: int
    prev: str
    event: str


_decode = msgspec.json.Decoder(_Link).decode


class BrokenChainError(ValueError):
    """`line` (from 1) is the first that does not follow from those before it."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


class Checked(msgspec.Struct, frozen=True):
    """A whole chain."""

    lines: int
    after: str
    """The head it goes on from; `NO_CHAIN`: it begins here."""
    head: str


class Chain:
    """Makes the lines."""

    def __init__(self, after: str = NO_CHAIN) -> None:
        if not is_hash(after):
            raise ValueError("a head is 64 hexadecimal digits")
        self.head = after
        self.lines = 0

    def link(self, event: str, facts: Mapping[str, object]) -> bytes:
        """The next line, without its end."""
        self.lines += 1
        line = _line(self.lines, self.head, event, facts)
        self.head = hash_of(line)
        return line

    def close(self) -> bytes:
        """The last line."""
        return self.link(END, {})


def check(lines: Iterable[bytes]) -> Checked:
    """Walk the lines of a file, each with its newline. Raises BrokenChainError."""
    after, head, number, is_over = NO_CHAIN, NO_CHAIN, 0, False
    for line in lines:
        number += 1
        if is_over:
            raise BrokenChainError(number, "stands behind the last line")
        link = _read(line, number)
        if number == 1:
            after = head = link.prev
        _compare(link, number, head)
        is_over = link.event == END
        if is_over and line[:-1] != _line(number, head, END, {}):
            raise BrokenChainError(number, "was changed")
        head = hash_of(line[:-1])
    if not is_over:
        raise BrokenChainError(number + 1, "the end is missing: the file was cut")
    return Checked(number, after, head)


def _read(line: bytes, number: int) -> _Link:
    if not line.endswith(b"\n"):
        raise BrokenChainError(number, "has no end: the file was cut")
    try:
        link = _decode(line[:-1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BrokenChainError(number, "is no line of a chain") from None
    if not is_hash(link.prev):
        raise BrokenChainError(number, "names no line before it")
    return link


def _compare(link: _Link, number: int, head: str) -> None:
    if link.prev != head:
        raise BrokenChainError(number, "does not follow: the line before was changed, or lines are missing or were added")
    if link.n != number:
        raise BrokenChainError(number, f"was line {link.n} when it was written")


def _line(number: int, prev: str, event: str, facts: Mapping[str, object]) -> bytes:
    return _encode({"n": number, "prev": prev, "event": event, **facts})


def hash_of(line: bytes) -> str:
    """Of the line's bytes."""
    return hashlib.sha256(line).hexdigest()


def is_hash(text: str) -> bool:
    """Whether it has the form of one."""
    return len(text) == len(NO_CHAIN) and _HEX.issuperset(text)
