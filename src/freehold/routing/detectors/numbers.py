"""Cards and national ids among runs of digits.

A run is digits with at most one mark between two of them. Its groups are compared with the ways a number is written
(`SHAPES`), so the work is a constant for each group. A number whose check alone says little (Luhn passes one in ten)
must stand as its owners write it or behind a word that names it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec

from freehold.routing.detectors import checksums
from freehold.routing.detectors.anchored import WORD

LEAST_DIGITS = 7
NEAR_CHARS = 64
"""How far before a number the word that names it may stand."""
# Digits that go on from a letter are no number of their own (a NIE's X, Y or Z apart): hashes are full of them.
_RUN = re.compile(rf"[0-9](?<![0-9A-Wa-z_][0-9])(?:[ ./+-]?[0-9]){{{LEAST_DIGITS - 1},}}")
_GROUP = re.compile(r"[0-9]+")
_AS_ZERO = bytes(48 if 48 <= code < 58 else 97 for code in range(256))
_MARKS = b" ./+-"
_ENOUGH = b"0" * LEAST_DIGITS


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


class Numbers:
    """The shapes of the kinds that are looked for."""

    __slots__ = ("_by_first", "_kinds", "_named")

    def __init__(self, kinds: frozenset[str]) -> None:
        self._by_first: dict[int, tuple[Shape, ...]] = {}
        for shape in SHAPES:
            if shape.kind in kinds:
                first = shape.groups[0]
                self._by_first[first] = (*self._by_first.get(first, ()), shape)
        self._named = {first: _words_of(shapes) for first, shapes in self._by_first.items() if any(one.words for one in shapes)}
        """By the size of a first group: finds the words that name such numbers."""
        self._kinds = {word: shape.kind for shape in SHAPES for word in shape.words}

    def __bool__(self) -> bool:
        return bool(self._by_first)

    def find(self, text: str, most: int) -> list[tuple[str, int, int]]:
        """Kind, beginning and end of each number, `most` of a kind."""
        # A translation and one search tell most texts apart in a sixth of the time the expression takes.
        if _ENOUGH not in text.encode("utf-8", "replace").translate(_AS_ZERO, _MARKS):
            return []
        counts: dict[str, int] = {}
        found: list[tuple[str, int, int]] = []
        for run in _RUN.finditer(text):
            for one in self._in_run(text, *run.span(), counts, most):
                counts[one[0]] = counts.get(one[0], 0) + 1
                found.append(one)
        return found

    def _in_run(self, text: str, start: int, end: int, counts: dict[str, int], most: int) -> Iterator[tuple[str, int, int]]:
        spans = [one.span() for one in _GROUP.finditer(text, start, end)]
        sizes = [last - first for first, last in spans]
        for at, size in enumerate(sizes):
            shapes = self._by_first.get(size)
            if shapes is None:
                continue
            apart: tuple[int, bool] = (0, False)
            named: set[str] | None = None
            for shape in shapes:
                count = len(shape.groups)
                if (count > 1 and tuple(sizes[at : at + count]) != shape.groups) or counts.get(shape.kind, 0) >= most:
                    continue
                if apart[0] != count:
                    apart = (count, _is_apart(text, spans, sizes, at, count))
                if not apart[1]:
                    continue
                if shape.words:
                    named = self._near(text, spans[at][0], size) if named is None else named
                    if shape.kind not in named:
                        continue
                found = _fits(text, shape, spans[at : at + count])
                if found is not None:
                    yield (shape.kind, *found)

    def _near(self, text: str, first: int, size: int) -> set[str]:
        """The kinds of this size that a word before a number names."""
        find_words = self._named.get(size)
        if find_words is None:
            return set()
        kinds = self._kinds
        return {kinds[word.lower()] for word in find_words(text, max(first - NEAR_CHARS, 0), first)}


def _words_of(shapes: Sequence[Shape]) -> Callable[[str, int, int], list[str]]:
    words = dict.fromkeys(word for shape in shapes for word in shape.words)
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE | re.ASCII).findall


def _is_apart(text: str, spans: list[tuple[int, int]], sizes: list[int], at: int, count: int) -> bool:
    """Whether the groups are a number of their own: not the middle of a longer one, a date, or a row of equal groups."""
    first, last = spans[at][0], spans[at + count - 1][1]
    mark = text[spans[at][1]] if count > 1 else ""
    before, after = at - 1, at + count
    if before >= 0:
        if text[first - 1] != " " or (mark == " " and (sizes[before] == sizes[at] or _is_of_iban(text, *spans[before]))):
            return False
    elif first and text[first - 1] in "./-+_$" and first > 1 and text[first - 2] in WORD:
        return False
    if after >= len(sizes):
        return True
    return text[last] in " /" and not (text[last] == mark and sizes[after] == sizes[at])


def _is_of_iban(text: str, start: int, end: int) -> bool:
    """Whether a group ends four characters that begin with letters: the groups behind it go on with a bank account."""
    return (
        start > 0
        and text[start - 1].isupper()
        and end >= 4
        and text[end - 4 : end].isalnum()
        and text[end - 5 : end - 4] in ("", " ")
    )


def _fits(text: str, shape: Shape, spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    start, end = spans[0][0], spans[-1][1]
    if len(spans) == 1:
        marks, digits = "", text[start:end]
    else:
        marks = "".join(text[one[1] : other[0]] for one, other in pairwise(spans))
        digits = "".join(text[first:last] for first, last in spans)
    if shape.exactly:
        if marks != shape.exactly:
            return None
    elif marks and (marks[0] not in shape.marks or len(set(marks)) > 1):
        return None
    if shape.before:
        start -= 1
        if start < 0 or text[start] not in shape.before:
            return None
        digits = str(shape.before.index(text[start])) + digits
    valid_end = _valid_end(text, end, digits, shape)
    if valid_end is None or (start and text[start - 1] in WORD) or (valid_end < len(text) and text[valid_end] in WORD):
        return None
    return start, valid_end


def _valid_end(text: str, end: int, digits: str, shape: Shape) -> int | None:
    """Where the number ends, its letter included; None: the check fails."""
    if shape.is_valid_with is not None:
        at = end + (text[end : end + 1] == "-" and shape.kind == "es-id")
        if not text[at : at + 1].isascii() or not text[at : at + 1].isalnum() or not shape.is_valid_with(digits, text[at]):
            return None
        return at + 1
    return end if shape.is_valid is not None and shape.is_valid(digits) else None
