"""Cards and national ids among runs of digits.

A run is digits with at most one mark between two of them. Its groups are compared with the ways a number is written
(`SHAPES`), once for each outline that a text has (its digits all alike), so the work is a constant for each group. A
number whose check alone says little (Luhn passes one in ten) must stand as its owners write it or behind a word that
names it.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from freehold.routing.detectors import checksums
from freehold.routing.detectors.anchored import WORD

LEAST_DIGITS = 7
NEAR_CHARS = 64
"""How far before a number the word that names it may stand."""
SEEN_BEFORE = 9
"""What decides where numbers may stand lies within so many characters before a group; `SEEN_BEHIND`, after its beginning: the
longest number, and a group of six more."""
SEEN_BEHIND = 33
# Digits that go on from a letter are no number of their own (a NIE's X, Y or Z apart): hashes are full of them.
_RUN = re.compile(rf"[0-9](?<![0-9A-Wa-z_][0-9])(?:[ ./+-]?[0-9]){{{LEAST_DIGITS - 1},}}")
_AS_ZERO = bytes(48 if 48 <= code < 58 else 97 for code in range(256))
_MARKS = b" ./+-"
_BLANKED = bytes.maketrans(_MARKS, b" " * len(_MARKS))
_ENOUGH = b"0" * LEAST_DIGITS
_OUTLINE = bytes(48 if 48 <= code < 58 else code for code in range(256))
_BLANK, _DASH = b" -"
_WORD_BYTES = frozenset(map(ord, WORD))
_LETTERS = frozenset(map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A number as it is written."""

    kind: str
    groups: tuple[int, ...]
    """Digits in each group."""
    marks: str = ""
    """What stands between groups: one of these, the same everywhere; `exactly` where they differ."""
    exactly: str = ""
    """Each mark in its place."""
    is_valid: Callable[[str], bool] | None = None
    is_valid_with: Callable[[str, str], bool] | None = None
    """For a number that ends in a letter; `before` may stand for its first digit."""
    before: str = ""
    """Letters that may stand before it, each for the digit of its place (a Spanish NIE's X, Y, Z)."""
    words: tuple[str, ...] = ()
    """One of these must stand near before it, in any case."""


_card = checksums.is_card
SHAPES: tuple[Shape, ...] = (
    *(Shape(kind="card", groups=(size,), is_valid=_card) for size in range(13, 20)),
    *(
        Shape(kind="card", groups=groups, marks=" -", is_valid=_card)
        for groups in ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 13))
    ),
    Shape(kind="us-ssn", groups=(3, 2, 4), marks="-", is_valid=checksums.is_us_ssn),
    Shape(kind="us-ssn", groups=(3, 2, 4), marks=" ", is_valid=checksums.is_us_ssn, words=("ssn", "social security")),
    Shape(kind="us-ssn", groups=(9,), is_valid=checksums.is_us_ssn, words=("ssn", "social security")),
    *(
        Shape(
            kind="de-tax-id",
            groups=groups,
            marks=" ",
            is_valid=checksums.is_de_tax_id,
            words=("steuer-id", "steuerid", "idnr", "identifikationsnummer", "steuernummer", "tax id", "tin"),
        )
        for groups in ((11,), (2, 3, 3, 3))
    ),
    Shape(kind="fr-nir", groups=(15,), is_valid=checksums.is_fr_nir),
    Shape(kind="fr-nir", groups=(13, 2), marks=" ", is_valid=checksums.is_fr_nir),
    Shape(kind="fr-nir", groups=(1, 2, 2, 2, 3, 3, 2), marks=" ", is_valid=checksums.is_fr_nir),
    Shape(kind="pl-pesel", groups=(11,), is_valid=checksums.is_pl_pesel, words=("pesel",)),
    Shape(kind="nl-bsn", groups=(9,), is_valid=checksums.is_nl_bsn, words=("bsn", "burgerservice", "sofinummer")),
    Shape(kind="be-national-id", groups=(2, 2, 2, 3, 2), exactly="..-.", is_valid=checksums.is_be_national),
    Shape(
        kind="be-national-id",
        groups=(11,),
        is_valid=checksums.is_be_national,
        words=("rijksregister", "registre national", "national number", "nrn", "insz", "niss"),
    ),
    Shape(kind="no-id", groups=(11,), is_valid=checksums.is_no_fodselsnummer, words=("dselsnummer", "personnummer", "fnr")),
    Shape(kind="no-id", groups=(6, 5), marks=" ", is_valid=checksums.is_no_fodselsnummer),
    Shape(kind="se-id", groups=(6, 4), marks="-+", is_valid=checksums.is_se_personnummer),
    Shape(kind="se-id", groups=(8, 4), marks="-", is_valid=lambda digits: checksums.is_se_personnummer(digits[2:])),
    Shape(kind="fi-id", groups=(6, 3), marks="-+", is_valid_with=checksums.is_fi_hetu),
    Shape(kind="fi-id", groups=(6, 4), marks="-+", is_valid=lambda digits: checksums.is_fi_hetu(digits[:9], digits[9])),
    Shape(kind="es-id", groups=(8,), is_valid_with=checksums.is_es_dni),
    Shape(kind="es-id", groups=(7,), before="XYZ", is_valid_with=checksums.is_es_dni),
    *(
        Shape(kind="uk-nhs", groups=groups, marks=" -", is_valid=checksums.is_uk_nhs, words=("nhs",))
        for groups in ((10,), (3, 3, 4))
    ),
    Shape(kind="ch-ahv", groups=(13,), is_valid=checksums.is_ch_ahv),
    Shape(kind="ch-ahv", groups=(3, 4, 4, 2), marks=".", is_valid=checksums.is_ch_ahv),
    Shape(kind="br-cpf", groups=(3, 3, 3, 2), exactly="..-", is_valid=checksums.is_br_cpf),
    Shape(kind="br-cpf", groups=(11,), is_valid=checksums.is_br_cpf, words=("cpf",)),
    *(
        Shape(
            kind="in-aadhaar", groups=groups, marks=" -", is_valid=checksums.is_in_aadhaar, words=("aadhaar", "aadhar", "uidai")
        )
        for groups in ((12,), (4, 4, 4))
    ),
    Shape(kind="cn-id", groups=(18,), is_valid=lambda digits: checksums.is_cn_resident(digits[:17], digits[17])),
    Shape(kind="cn-id", groups=(17,), is_valid_with=checksums.is_cn_resident),
    *(
        Shape(kind="ca-sin", groups=groups, marks=" -", is_valid=checksums.is_ca_sin, words=("sin ", "sin:", "social insurance"))
        for groups in ((9,), (3, 3, 3))
    ),
    *(
        Shape(kind="au-tfn", groups=groups, marks=" ", is_valid=checksums.is_au_tfn, words=("tfn", "tax file"))
        for groups in ((9,), (3, 3, 3))
    ),
)


class Place(msgspec.Struct, frozen=True):
    """What may stand at a group of digits, by the outline around it."""

    shapes: tuple[Shape, ...]
    size: int
    """Characters to its last digit."""
    marks: str
    """What its digits are written with, each once."""
    behind: tuple[int, int] | None
    """The run's first group, from here, where it stands right before and may be the beginning of a bank account."""


class Numbers:
    """The shapes of the kinds that are looked for."""

    __slots__ = ("_by_first",)

    def __init__(self, kinds: frozenset[str]) -> None:
        self._by_first: dict[int, dict[int, dict[tuple[int, ...], tuple[Shape, ...]]]] = {}
        """By the size of the first group, how many groups there are, and their sizes."""
        for shape in SHAPES:
            if shape.kind in kinds:
                by_groups = self._by_first.setdefault(shape.groups[0], {}).setdefault(len(shape.groups), {})
                by_groups[shape.groups] = (*by_groups.get(shape.groups, ()), shape)

    def __bool__(self) -> bool:
        return bool(self._by_first)

    def find(self, text: str, most: int) -> list[tuple[str, int, int]]:
        """Kind, beginning and end of each number, `most` of a kind."""
        # A translation and one search tell most texts apart in a sixth of the time the expression takes.
        if _ENOUGH not in text.encode("utf-8", "replace").translate(_AS_ZERO, _MARKS):
            return []
        flat = text.encode("latin-1", "replace")  # one byte for each character, whatever the text
        outline = b"?%b?" % flat.translate(_OUTLINE)
        names = _Names(flat.lower())
        counts: dict[str, int] = {}
        places_in: dict[bytes, tuple[tuple[int, Place], ...]] = {}
        places_at: dict[tuple[int, bytes], tuple[Place, ...]] = {}
        found: list[tuple[str, int, int]] = []
        for run in _RUN.finditer(text):
            start, end = run.span()
            around = outline[start : end + 2]
            places = places_in.get(around)
            if places is None:
                places = places_in[around] = tuple(self._places(around, names, places_at))
            for offset, place in places:
                first, digits = start + offset, ""
                for shape in place.shapes:
                    kind = shape.kind
                    if counts.get(kind, 0) >= most or (shape.words and not names.is_near(shape, first)):
                        continue
                    digits = digits or _digits_at(text, first, place)
                    if not digits:
                        break
                    span = _span_of(text, first, first + place.size, digits, shape)
                    if span is not None:
                        counts[kind] = counts.get(kind, 0) + 1
                        found.append((kind, *span))
        return found

    def _places(
        self, around: bytes, names: "_Names", places_at: dict[tuple[int, bytes], tuple[Place, ...]]
    ) -> Iterator[tuple[int, Place]]:
        """Where a number may stand in a run, by its outline with one character before and one behind it."""
        sizes = list(map(len, around[1:-1].translate(_BLANKED).split()))
        first = 1
        for at, size in enumerate(sizes):
            by_count = self._by_first.get(size)
            if by_count is not None and (not at or around[first - 1] == _BLANK):
                for count, by_groups in by_count.items():
                    if tuple(sizes[at : at + count]) in by_groups:
                        key = (min(first, SEEN_BEFORE), around[max(first - SEEN_BEFORE, 0) : first + SEEN_BEHIND])
                        places = places_at.get(key)
                        if places is None:
                            places = places_at[key] = tuple(self._places_at(around, names, sizes, at, first))
                        for place in places:
                            yield first - 1, place
                        break
            first += size + 1

    def _places_at(self, around: bytes, names: "_Names", sizes: list[int], at: int, first: int) -> Iterator[Place]:
        for count, by_groups in self._by_first[sizes[at]].items():
            groups = tuple(sizes[at : at + count])
            shapes = by_groups.get(groups)
            if shapes is None:
                continue
            last = first + sum(groups) + count - 1
            if _is_apart(around, sizes, at, groups, first, last):
                marks = around[first:last].replace(b"0", b"").decode()
                shapes = tuple([one for one in shapes if names.has(one) and _is_written(around, one, first, last, marks)])
                if shapes:
                    behind = (1 - first, 1 - first + sizes[0]) if at == 1 and marks[:1] == " " else None
                    yield Place(shapes, last - first, "".join(dict.fromkeys(marks)), behind)


class _Names:
    """Which words stand before the numbers of a text; asked from its beginning to its end, each word is read over once."""

    __slots__ = ("_by_kind", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
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
            if name.next < first:  # it cannot reach into the number: no word has a digit
                self._read_on(name, near, first)
            if name.stood >= near:
                return True
        return False

    def _read_on(self, name: "_Name", near: int, first: int) -> None:
        find, word = self._text.find, name.word
        name.stood, name.next = name.next, find(word, name.next + 1)
        if 0 <= name.next < first:
            name.stood = max(self._text.rfind(word, max(near, 0), first), name.next)
            name.next = find(word, name.stood + 1)
        if name.next < 0:
            name.next = len(self._text)


class _Name(msgspec.Struct):
    """A word, where it stood last, and where it stands next."""

    word: bytes
    stood: int
    next: int


def _is_written(around: bytes, shape: Shape, first: int, last: int, marks: str) -> bool:
    """Whether the marks are those of the shape, and what stands right before and behind it is what may stand there."""
    if shape.exactly:
        if marks != shape.exactly:
            return False
    elif marks and (marks[0] not in shape.marks or len(set(marks)) > 1):
        return False
    before, behind = around[first - 1], around[last]
    if chr(before) not in shape.before if shape.before else before in _WORD_BYTES:
        return False
    if shape.is_valid_with is None:
        return behind not in _WORD_BYTES
    return behind in _LETTERS or (behind == _DASH and shape.kind == "es-id")


def _is_apart(around: bytes, sizes: list[int], at: int, groups: tuple[int, ...], first: int, last: int) -> bool:
    """Whether groups, a blank or nothing before them, are a number of their own: no middle of a longer one, no row of equals."""
    mark = around[first + groups[0]] if len(groups) > 1 else None
    if at and mark == _BLANK and sizes[at - 1] == groups[0]:
        return False
    after = at + len(groups)
    behind = around[last]
    return after >= len(sizes) or (behind in b" /" and not (behind == mark and sizes[after] == groups[0]))


def _digits_at(text: str, first: int, place: Place) -> str:
    """The digits of a number; none where it goes on from what stands before."""
    if place.behind is not None:
        if _is_of_iban(text, first + place.behind[0], first + place.behind[1]):
            return ""
    elif first > 1 and text[first - 1] in "./-+_$" and text[first - 2] in WORD:
        return ""
    digits = text[first : first + place.size]
    for mark in place.marks:
        digits = digits.replace(mark, "")
    return digits


def _span_of(text: str, first: int, last: int, digits: str, shape: Shape) -> tuple[int, int] | None:
    """Where the number is, its letters included, if it is one."""
    if shape.is_valid_with is None:
        return (first, last) if shape.is_valid is not None and shape.is_valid(digits) else None
    if shape.before:
        first -= 1
        digits = str(shape.before.index(text[first])) + digits
        if first and text[first - 1] in WORD:
            return None
    at = last + (text[last : last + 1] == "-" and shape.kind == "es-id")
    letter = text[at : at + 1]
    if not letter.isascii() or not letter.isalnum() or text[at + 1 : at + 2] in WORD or not shape.is_valid_with(digits, letter):
        return None
    return first, at + 1


def _is_of_iban(text: str, start: int, end: int) -> bool:
    """Whether a group ends four characters that begin with letters: the groups behind it go on with a bank account."""
    return (
        start > 0
        and text[start - 1].isupper()
        and end >= 4
        and text[end - 4 : end].isalnum()
        and text[end - 5 : end - 4] in ("", " ")
    )
