"""A user's text, cut into what the task rules look at.

Promised: linear in the text; lower case throughout, so that case never decides.
"""

import re
from collections.abc import Sequence

from freehold.routing import task_phrases as phrases
from freehold.routing import task_words as words

CLAUSE_WORDS = 24
"""Words of a clause that are looked at."""

_WORD = re.compile(r"[^\W_]+(?:[+#]{1,2}|(?:['-][^\W_]+){0,3})")
_CLAUSE_END = re.compile(r"[.!?:;](?=\s|$)|\n")
_PATH = re.compile(
    r"[\w/-]{1,120}\.(?:[jt]sx?|py|go|rs|java|kt|rb|php|cs|cpp|cc|c|h|hpp|swift|scala|vue|svelte|sql|ya?ml|toml|json|md|html|css)\b"
)


class Text:
    """A text and its parts."""

    __slots__ = ("all", "clauses", "has_fence", "heads", "near", "prose")

    def __init__(self, text: str) -> None:
        self.all = text.lower() if text.isascii() else text.lower().replace("\u2019", "'")
        pieces = self.all.split("```")
        self.has_fence = len(pieces) > 1
        self.prose = " \n".join(pieces[::2])
        """What stands outside of code fences."""
        self.near = _ends(self.prose)
        """Of a long prose its beginning and end: where people put what they want."""
        clauses = [clause for clause in _CLAUSE_END.split(self.near) if _WORD.search(clause)]
        self.clauses = [_clause(clause) for clause in _telling(clauses)]
        """The words of the clauses that tell most, most telling first."""
        self.heads = [(_family(clause[0]), clause) for clause in self.clauses]
        """With the family that each clause's first word speaks for."""

    def says(self, those: Sequence[str]) -> bool:
        """Whether the near prose holds one of the phrases."""
        near = self.near
        for phrase in those:  # noqa: SIM110 - a plain loop: half the time of a generator, on the way of every new message
            if phrase in near:
                return True
        return False

    def says_failure(self) -> bool:
        """Whether it shows the output of something that failed, or says that it failed."""
        if self.shows_trace() or self.says(phrases.FIX_PHRASES):
            return True
        return any(not words.ERROR_WORDS.isdisjoint(clause) for clause in self.clauses)

    def shows_trace(self) -> bool:
        """Whether it holds the output of something that failed."""
        text = self.all
        return any(mark in text for mark in phrases.TRACE_MARKS)

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


def _clause(text: str) -> list[str]:
    """Its words, from the first telling one on: after courtesies, or after a comma."""
    clause = _without_courtesy(_WORD.findall(text)[:CLAUSE_WORDS])
    if "," in text and not _family(clause[0]):
        for piece in text.split(",")[1:4]:
            later = _without_courtesy(_WORD.findall(piece)[:CLAUSE_WORDS])
            if later and _family(later[0]) not in {"", "question"}:
                return later
    return clause


def _telling(clauses: list[str]) -> list[str]:
    """The clauses to look at: the first, the last, the second, the third, the last but one."""
    if len(clauses) <= 2:
        return clauses
    order = (0, len(clauses) - 1, 1, 2, len(clauses) - 2)
    return [clauses[index] for index in dict.fromkeys(order)]


def _without_courtesy(clause: list[str]) -> list[str]:
    if clause[:4] == ["your", "task", "is", "to"]:
        clause = clause[4:] or clause
    start = 0
    while start < len(clause) - 1 and clause[start] in words.POLITE:
        start += 1
    return clause[start:]
