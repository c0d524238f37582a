"""Cards and national ids among the digits of a text.

A text is reduced to classes of characters, all digits alike. An automaton finds every way a number is written
(`number_shapes`) in that outline, with one character before and one behind, in one pass; only what stands there is looked
at. What is found is a number of its own: no part of a longer run (digits with at most one mark between two of them), no row
of equal groups. A number whose check alone says little (Luhn passes one in ten) must stand as its owners write it or behind
a word that names it.
"""

from collections.abc import Iterable
from itertools import product

import msgspec
from ahocorasick_rs import BytesAhoCorasick, Implementation

from freehold.routing.detectors.anchored import WORD
from freehold.routing.detectors.number_shapes import SHAPES, Shape

LEAST_DIGITS = 7
NEAR_CHARS = 64
"""How far before a number the word that names it may stand."""
_MARKS = b" ./+-"
_AS_ZERO = bytes(48 if 48 <= code < 58 else 97 for code in range(256))
_ENOUGH = b"0" * LEAST_DIGITS


def _class_of(code: int) -> int:
    """The class of a character, spelled as one of it. X, Y and Z may stand for the first digit of a Spanish number."""
    letter = chr(code)
    if code >= 128 or not (letter.isalnum() or letter in " ./+-$_"):
        return ord("?")
    return ord("0" if letter.isdigit() else letter if not letter.isalpha() else "Z" if letter in "XYZ" else "a")


_CLASSES = bytes(map(_class_of, range(256)))
_PAD = b"?" * 32
"""Before an outline, so that looking back from a number stays within it: longer than any group, and its neighbour's."""
_ALONE = "? ./+-$"
"""What may stand right before and behind a number: no letter, digit or `_`."""
_ZERO, _BLANK = b"0 "
_MARKED = frozenset(b"./+-$")
_WORDLY = frozenset(b"0aZ_")
_CUTS = frozenset(b"0a_")
"""Before a group: it is no group of the run, as digits that go on from a letter are no number (a NIE's apart)."""
_ON = frozenset(b".+-")
_WITHIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVW")
"""Digits behind one of these begin no run, so what follows them is not looked at as the rest of anything."""


class Way(msgspec.Struct, frozen=True):
    """How numbers of some shapes are written, whatever stands around them."""

    shapes: tuple[Shape, ...]
    first: int
    """Digits of the first group."""
    in_blanks: bool
    """A blank stands behind the first group."""
    marks: str
    """What stands between its digits, each once."""


class Outline(msgspec.Struct, frozen=True):
    """A way, with the class of the character before and behind it."""

    way: int
    before: int
    behind: int
    is_apart: bool
    """What stands around it says by itself that nothing goes on there."""


class Numbers:
    """The shapes of the kinds that are looked for. Holds tables made once and is not changed afterwards."""

    __slots__ = ("_automaton", "_outlines", "_ways")

    def __init__(self, kinds: frozenset[str]) -> None:
        by_way: dict[tuple[str, str, str], list[Shape]] = {}
        for shape in SHAPES:
            if shape.kind in kinds:
                for written in _written(shape):
                    around = _around(shape)
                    by_way.setdefault((written, *around), []).append(shape)
        ways, outlines = [], {}
        for (written, befores, behinds), shapes in by_way.items():
            first = shapes[0].groups[0]
            ways.append(Way(tuple(shapes), first, written[first : first + 1] == " ", "".join(sorted({*written} - {"0"}))))
            for before, behind in product(befores, behinds):
                is_apart = before in "?Z" and behind in "?aZ$"
                outlines[before + written + behind] = Outline(len(ways) - 1, ord(before), ord(behind), is_apart)
        self._ways, self._outlines = tuple(ways), tuple(outlines.values())
        patterns = [outline.encode() for outline in outlines]
        self._automaton = BytesAhoCorasick(patterns, implementation=Implementation.DFA) if patterns else None

    def __bool__(self) -> bool:
        return self._automaton is not None

    def find(self, text: str, most: int) -> list[tuple[str, int, int]]:
        """Kind, beginning and end of each number, `most` of a kind."""
        flat = text.encode("latin-1", "replace")  # one byte for each character, whatever the text
        # A translation and one search tell most texts apart in less time than the automaton takes.
        if self._automaton is None or _ENOUGH not in flat.translate(_AS_ZERO, _MARKS):
            return []
        outline = b"%b%b??" % (_PAD, flat.translate(_CLASSES))
        hits = self._automaton.find_matches_as_indexes(outline, overlapping=True)
        return self._look_at(_Reading(text, flat, most), outline, hits) if hits else []

    def _look_at(self, reading: "_Reading", outline: bytes, hits: Iterable[tuple[int, int, int]]) -> list[tuple[str, int, int]]:
        outlines, ways, text, names, pad = self._outlines, self._ways, reading.text, reading.names, len(_PAD)
        live: dict[int, tuple[tuple[Shape, ...], set[str]]] = {}
        for index, before, end in hits:
            around = outlines[index]
            way = ways[around.way]
            known = live.get(around.way)
            if known is None:
                known = live[around.way] = (tuple([one for one in way.shapes if names.has(one)]), set())
            shapes, wrong = known
            if not shapes or not (around.is_apart or _is_apart(text, outline, around, way, before, end - 1)):
                continue
            first, last = before + 1 - pad, end - 1 - pad
            spelled = text[first:last]
            if spelled not in wrong and reading.is_wrong(way, shapes, spelled, first):
                wrong.add(spelled)
        return reading.found


class _Reading:
    """What is found in one text."""

    __slots__ = ("_counts", "_full", "_most", "_wrong", "found", "names", "text")

    def __init__(self, text: str, flat: bytes, most: int) -> None:
        self.text, self.names, self._most = text, _Names(flat), most
        self.found: list[tuple[str, int, int]] = []
        self._counts: dict[str, int] = {}
        self._full: set[str] = set()
        """Kinds of which enough is found."""
        self._wrong: set[str] = set()
        """Numbers with letters that are none, with what stands around them."""

    def is_wrong(self, way: Way, shapes: tuple[Shape, ...], spelled: str, first: int) -> bool:
        """Notes what digits are; True: nothing, wherever they stand."""
        digits, is_wrong, last = spelled, True, first + len(spelled)
        for mark in way.marks:
            digits = digits.replace(mark, "")
        for shape in shapes:
            if shape.kind in self._full or (shape.words and not self.names.is_near(shape, first)):
                is_wrong = False
            elif shape.is_valid is None:
                is_wrong = False
                self._read_lettered(shape, digits, first, last)
            elif shape.is_valid(digits):
                is_wrong = False
                self._note(shape.kind, first, last)
        return is_wrong

    def _read_lettered(self, shape: Shape, digits: str, first: int, last: int) -> None:
        seen = self.text[max(first - 2, 0) : last + 3]  # all that the answer depends on
        if seen in self._wrong:
            return
        span = _lettered(self.text, first, last, digits, shape)
        if span is None:
            self._wrong.add(seen)
        else:
            self._note(shape.kind, *span)

    def _note(self, kind: str, start: int, end: int) -> None:
        self.found.append((kind, start, end))
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count >= self._most:
            self._full.add(kind)


def _written(shape: Shape) -> list[str]:
    """The digits of a shape, zeros all, with their marks."""
    zeros = ["0" * size for size in shape.groups]
    if shape.exactly:
        return ["".join(a + b for a, b in zip(zeros, (*shape.exactly, ""), strict=True))]
    return [mark.join(zeros) for mark in shape.marks] if len(zeros) > 1 else zeros


def _around(shape: Shape) -> tuple[str, str]:
    """The classes that may stand right before a shape, and right behind it."""
    letters = "aZ-" if shape.kind == "es-id" else "aZ"
    return "Z" if shape.before else _ALONE, _ALONE if shape.is_valid_with is None else letters


def _is_apart(text: str, outline: bytes, around: Outline, way: Way, before: int, behind: int) -> bool:
    """Whether digits are a number of their own: no middle of a longer one, no row of equals, no rest of a bank account."""
    first = way.first
    if around.before == _BLANK:
        # Groups that a blank parts from what is before may be a number, if they do not go on with a row of equals.
        if way.in_blanks and outline[before - 1] == _ZERO:
            is_equal = outline[before - first : before].count(b"0") == first and outline[before - first - 1] not in _CUTS
            if is_equal or _is_of_iban(text, before - len(_PAD)):
                return False
    elif around.before in _MARKED and outline[before - 1] in _WORDLY:
        return False
    if outline[behind + 1] != _ZERO or around.behind not in _MARKS:
        return True
    if around.behind in _ON:
        return False
    row = outline[behind + 1 : behind + 2 + first]
    return not (way.in_blanks and around.behind == _BLANK and row.count(b"0", 0, first) == first and row[first] != _ZERO)


class _Names:
    """Which words stand before the numbers of a text; asked from its beginning to its end, each word is read over once."""

    __slots__ = ("_by_kind", "_text")

    def __init__(self, flat: bytes) -> None:
        self._text = flat.lower()
        self._by_kind: dict[str, list[_Name]] = {}

    def has(self, shape: Shape) -> bool:
        """Whether the text has a word for a shape at all, or it needs none."""
        if not shape.words:
            return True
        known = self._by_kind.get(shape.kind)
        if known is None:
            words = (word.encode() for word in shape.words)
            known = [_Name(word, -NEAR_CHARS - 1, place) for word in words if (place := self._text.find(word)) >= 0]
            self._by_kind[shape.kind] = known
        return bool(known)

    def is_near(self, shape: Shape, first: int) -> bool:
        """Whether such a word stands near before a number."""
        near = first - NEAR_CHARS
        for name in self._by_kind[shape.kind]:
            # It cannot reach into the number: no word has a digit.
            if name.stood >= near or (name.next < first and self._read_on(name, near, first)):
                return True
        return False

    def _read_on(self, name: "_Name", near: int, first: int) -> bool:
        text, word = self._text, name.word
        stood, following = text.rfind(word, max(near, 0), first), text.find(word, first)
        name.next = following if following >= 0 else len(text)
        if stood >= 0:
            name.stood = stood
        return stood >= 0


class _Name(msgspec.Struct):
    """A word, where it stood last, and where it stands next."""

    word: bytes
    stood: int
    next: int


def _lettered(text: str, first: int, last: int, digits: str, shape: Shape) -> tuple[int, int] | None:
    """Where the number is, its letters included, if it is one."""
    if shape.before:
        first -= 1
        digits = str(shape.before.index(text[first])) + digits
        if first and text[first - 1] in WORD:
            return None
    at = last + (text[last : last + 1] == "-" and shape.kind == "es-id")
    letter = text[at : at + 1]
    if not letter.isascii() or not letter.isalnum() or text[at + 1 : at + 2] in WORD or shape.is_valid_with is None:
        return None
    return (first, at + 1) if shape.is_valid_with(digits, letter) else None


def _is_of_iban(text: str, end: int) -> bool:
    """Whether four characters end here that begin with letters: the groups behind them go on with a bank account."""
    head = text[max(end - 4, 0) : end]
    letters = head.rstrip("0123456789")
    return (
        len(head) == 4 > len(letters) > 0
        and head.isalnum()
        and letters[-1].isupper()
        and letters[-1] not in _WITHIN
        and text[max(end - 5, 0) : end - 4] in ("", " ")
    )
