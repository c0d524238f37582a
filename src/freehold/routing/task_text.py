"""A user's text, cut into what the task rules look at.

Promised: linear in the text; lower case throughout, so that case never decides.
"""

import re
from collections.abc import Callable

from ahocorasick_rs import AhoCorasick

from freehold.routing import task_phrases as phrases
from freehold.routing import task_words as words

CLAUSE_WORDS = 24
"""Words of a clause that are looked at."""

_WORD = re.compile(r"[^\W_]+(?:[+#]{1,2}|(?:['-][^\W_]+){0,3})")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:[+#]{1,2}|(?:['-][a-z0-9]+){1,3})?")
"""The same words in lower-case ASCII, found faster."""
_JOINTS = re.compile(r"[+#'-]")
"""What may stand within a word; where there is none, words are what lies between letters and digits of others."""
_APART = bytes(code if chr(code).isalnum() and code < 128 else 32 for code in range(256))
_CLAUSE_END = re.compile(r"[.!?:;\n](?:(?<=\n)|(?=\s)|$)")
_PATH = re.compile(
    r"[\w/-]{1,120}\.(?:[jt]sx?|py|go|rs|java|kt|rb|php|cs|cpp|cc|c|h|hpp|swift|scala|vue|svelte|sql|ya?ml|toml|json|md|html|css)\b"
)


FindWords = Callable[[str], list[str]]


def ascii_words(text: str) -> list[str]:
    """The words of lower-case ASCII. Cutting at all that is no letter or digit takes a fifth of the time of a pattern."""
    if _JOINTS.search(text) is not None:
        return _ASCII_WORD.findall(text)
    return text.encode().translate(_APART).decode().split()


_BITS = {name: 1 << place for place, name in enumerate(phrases.LISTS)}
_PHRASES = [(phrase, _BITS[name]) for name, those in phrases.LISTS.items() for phrase in those]
_SCANNER = AhoCorasick([phrase for phrase, _ in _PHRASES])
_BIT_OF = [bit for _, bit in _PHRASES]


def _found(text: str) -> int:
    """The lists of phrases of which the text holds one, as bits; one pass for all of them."""
    found = 0
    for place, _, _ in _SCANNER.find_matches_as_indexes(text, overlapping=True):
        found |= _BIT_OF[place]
    return found


class Text:
    """A text and its parts."""

    __slots__ = ("_said", "_shown", "all", "clauses", "has_fence", "heads", "near", "prose")

    def __init__(self, text: str) -> None:
        self.all = text.lower() if text.isascii() else text.lower().replace("\u2019", "'")
        pieces = self.all.split("```")
        self.has_fence = len(pieces) > 1
        self.prose = " \n".join(pieces[::2])
        """What stands outside of code fences."""
        self.near = _ends(self.prose)
        """Of a long prose its beginning and end: where people put what they want."""
        find_words = ascii_words if self.near.isascii() else _WORD.findall
        self.clauses = [_clause(*one, find_words) for one in _telling(_CLAUSE_END.split(self.near), find_words)]
        """The words of the clauses that tell most, most telling first."""
        self.heads = [(_family(clause[0]), clause) for clause in self.clauses]
        """With the family that each clause's first word speaks for."""
        self._said = _found(self.near)
        self._shown = self._said if self.near == self.all else _found(self.all)

    def says(self, name: str) -> bool:
        """Whether the near prose holds one of the phrases of this list of `task_phrases`."""
        return bool(self._said & _BITS[name])

    def says_failure(self) -> bool:
        """Whether it shows the output of something that failed, or says that it failed."""
        if self.shows_trace() or self.says("FIX_PHRASES"):
            return True
        return any(not words.ERROR_WORDS.isdisjoint(clause) for clause in self.clauses)

    def shows_trace(self) -> bool:
        """Whether it holds the output of something that failed."""
        return bool(self._shown & _BITS["TRACE_MARKS"])

    def shows(self, name: str) -> bool:
        """Whether the whole text, code included, holds one of the phrases of this list."""
        return bool(self._shown & _BITS[name])

    def is_diff(self) -> bool:
        """Whether it holds a unified diff."""
        text = self.all
        return "diff --git " in text or ("\n@@ " in text and "\n+++ " in text)

    def files_named(self) -> int:
        """Distinct file paths in the prose."""
        return len(set(_PATH.findall(self.prose)))


def _family(word: str) -> str:
    family = words.VERBS.get(word)
    if family is None and "-" in word:
        family = words.VERBS.get(word.partition("-")[0])
    return family or ""


def _ends(prose: str) -> str:
    return prose if len(prose) <= 3000 else f"{prose[:2000]}\n{prose[-1000:]}"


def _clause(text: str, found: list[str], find_words: FindWords) -> list[str]:
    """Of its words those from the first telling one on: after courtesies, or after a comma."""
    clause = _without_courtesy(found[:CLAUSE_WORDS])
    if "," in text and not _family(clause[0]):
        for piece in text.split(",")[1:4]:
            later = _without_courtesy(find_words(piece)[:CLAUSE_WORDS])
            if later and _family(later[0]) not in {"", "question"}:
                return later
    return clause


def _telling(clauses: list[str], find_words: FindWords) -> list[tuple[str, list[str]]]:
    """The clauses to look at, of those that hold a word: the first, the last, the second, the third, the last but one.

    Each with its words.
    """
    known: dict[int, list[str]] = {}
    first = _some(clauses, range(len(clauses)), 3, known, find_words)
    last = _some(clauses, range(len(clauses) - 1, -1, -1), 2, known, find_words)
    order = [*first[:1], *last[:1], *first[1:], *last[1:]]
    return [(clauses[index], known[index]) for index in dict.fromkeys(order)]


def _some(clauses: list[str], places: range, count: int, known: dict[int, list[str]], find_words: FindWords) -> list[int]:
    """The places of the first `count` clauses that hold a word; their words are made known."""
    found: list[int] = []
    for place in places:
        if place not in known:
            known[place] = find_words(clauses[place])
        if known[place]:
            found.append(place)
            if len(found) == count:
                break
    return found


def _without_courtesy(clause: list[str]) -> list[str]:
    if clause and clause[0] == "your" and clause[1:4] == ["task", "is", "to"]:
        clause = clause[4:] or clause
    if not clause or clause[0] not in words.POLITE:
        return clause
    start = 0
    while start < len(clause) - 1 and clause[start] in words.POLITE:
        start += 1
    return clause[start:]
