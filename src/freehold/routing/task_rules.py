"""The rules that read a request out of its clauses: each family of verbs has one.

Promised: pure functions of the text; a rule that cannot tell returns None and the next clause is asked.
"""

from collections.abc import Callable

import msgspec

from freehold.features import Task
from freehold.routing import task_words as words
from freehold.routing.task_text import Text

WIDE_FILES = 10
"""So many distinct files named make a refactoring a wide one."""


class Signals(msgspec.Struct, frozen=True):
    """What a user's text asks for. No text."""

    task: Task
    reason: str


Rule = Callable[[Text, list[str]], Signals | None]

_ARCHITECTURE = Signals(Task.ARCHITECTURE, "architecture-words")
_AUXILIARY = Signals(Task.AUXILIARY, "title")
_CHAT = Signals(Task.CHAT, "no-sign")
_CLASSIFY = Signals(Task.CLASSIFY, "asks-to-classify")
_COMPLETE = Signals(Task.COMPLETION, "asks-to-complete")
_DOCUMENT = Signals(Task.DOCSTRING, "asks-for-documentation")
_EDIT = Signals(Task.EDIT, "asks-to-edit")
_EXPLAIN = Signals(Task.EXPLAIN, "asks-to-explain")
_EXTRACT = Signals(Task.EXTRACT, "asks-to-extract")
_FIX = Signals(Task.FIX_FROM_ERROR, "asks-to-fix")
_REVIEW = Signals(Task.REVIEW, "asks-to-review")
_SUMMARISE = Signals(Task.SUMMARISE, "asks-to-summarise")
_TEST = Signals(Task.TEST, "asks-for-tests")
_THREAT = Signals(Task.THREAT_MODEL, "threat-words")
_TRANSLATE = Signals(Task.TRANSLATE, "asks-to-translate")

_MADE_BY_FAMILY: dict[str, Signals] = {
    "test": _TEST,
    "docstring": _DOCUMENT,
    "translate": _TRANSLATE,
    "summarise": _SUMMARISE,
    "architecture": _ARCHITECTURE,
    "review": _REVIEW,
    "explain": _EXPLAIN,
    "auxiliary": _AUXILIARY,
}
_MADE = {word: _MADE_BY_FAMILY[family] for word, family in words.OBJECTS.items()}
_NAMES = frozenset(_MADE)


def by_request(text: Text) -> Signals | None:
    """What the user asks for in so many words: work on given content first, then threats, then clause by clause."""
    for family, clause in text.heads[:2]:
        signals = _content_work(family, clause)
        if signals is not None:
            return signals
    if text.says("THREAT_PHRASES"):
        return _THREAT
    if text.says("COMPLETION_PHRASES") and not text.shows_trace():
        return _COMPLETE
    for family, clause in text.heads:
        rule = _RULES.get(family)
        signals = None if rule is None else rule(text, clause)
        if signals is not None:
            return signals
    return _by_manner(text)


def _by_manner(text: Text) -> Signals | None:
    """Questions, phrases and bare objects, where no clause begins with a telling verb."""
    if text.says("REVIEW_PHRASES"):
        return _REVIEW
    for family, clause in text.heads:
        signals = _question(text, clause) if family == "question" else None
        if signals is not None:
            return signals
    if text.says("EXPLAIN_PHRASES"):
        return _EXPLAIN
    if text.shows_trace():
        return _FIX
    for _, clause in text.heads:
        signals = _named_object(clause[:6])
        if signals is None and clause[0] in words.ARTICLES and not words.ARTEFACTS.isdisjoint(clause[1:5]):
            signals = _EDIT
        if signals is not None:
            return signals
    return None


def _content_work(family: str, clause: list[str]) -> Signals | None:
    """Work on a given text: whatever the text says, that is what is asked."""
    match family:
        case "translate" if clause[0] != "port" or _names_language(clause):
            return _TRANSLATE
        case "convert" if _names_language(clause):
            return _TRANSLATE
        case "summarise":
            return _SUMMARISE
        case "extract":
            return _EXTRACT if words.PIECES_OF_CODE.isdisjoint(clause) else _EDIT
        case "classify":
            return _CLASSIFY
        case "question" | "weigh" | "list" | "assign" if _sorts(clause):
            return _CLASSIFY
        case "list" | "make":
            named = _named_object(clause[1:6])
            return named if named is _SUMMARISE or named is _TRANSLATE else None
        case _:
            return None


def _sorts(clause: list[str]) -> bool:
    """Whether a clause speaks of classes and of the one thing to be put into them."""
    return not words.CLASS_WORDS.isdisjoint(clause) and not words.GIVEN_WORDS.isdisjoint(clause)


def _names_language(clause: list[str]) -> bool:
    return any(clause[index] in words.LANGUAGES and clause[index - 1] in words.INTO for index in range(1, len(clause)))


def _named_object(clause: list[str]) -> Signals | None:
    """What is to be made, by its name."""
    if _NAMES.isdisjoint(clause):
        return None
    return next(_MADE[word] for word in clause if word in _NAMES)


def _rework(text: Text, clause: list[str]) -> Signals | None:
    """Change what is there: wide when it says so or names many files."""
    named = _named_object(clause[1:6])
    if named is _DOCUMENT or (named is _TEST and clause[0] not in words.MOVING):
        return named
    if text.says("WIDE_PHRASES"):
        return Signals(Task.WIDE_REFACTOR, "wide-words")
    if text.files_named() >= WIDE_FILES:
        return Signals(Task.WIDE_REFACTOR, "wide-files")
    return _EDIT


def _make(text: Text, clause: list[str]) -> Signals | None:
    """Make something new: what it is decides."""
    named = _named_object(clause[1:10])
    if named is not None:
        return named
    if not words.SMALL_TALK.isdisjoint(clause[1:8]) and not text.has_fence:
        return _CHAT
    return _EDIT


def _fix(text: Text, clause: list[str]) -> Signals | None:
    return _FIX if text.says_failure() or clause[0] in {"debug", "troubleshoot", "diagnose"} else _EDIT


def _complete(text: Text, clause: list[str]) -> Signals | None:
    return _COMPLETE if text.has_fence or not words.CODE_THINGS.isdisjoint(clause) else None


def _design(text: Text, clause: list[str]) -> Signals | None:
    if _named_object(clause[1:5]) is _ARCHITECTURE or text.says("ARCHITECTURE_PHRASES"):
        return _ARCHITECTURE
    return _ARCHITECTURE if words.CODE_THINGS.isdisjoint(clause) else _EDIT


def _weigh(text: Text, clause: list[str]) -> Signals | None:
    return _ARCHITECTURE if text.says("ARCHITECTURE_PHRASES") else _named_object(clause[1:8])


def _list(text: Text, clause: list[str]) -> Signals | None:
    del text
    if not words.FLAWS.isdisjoint(clause):
        return _REVIEW
    if "how" in clause[:4] or "example" in clause:
        return _EXPLAIN
    if not words.ALL_OF.isdisjoint(clause):
        return _EXTRACT
    return _named_object(clause[1:6])


def _tell(text: Text, clause: list[str]) -> Signals | None:
    return None if words.ASKING.isdisjoint(clause) else _question(text, clause)


def _question(text: Text, clause: list[str]) -> Signals | None:
    """A question is for an explanation unless something failed or a system's shape is asked for."""
    if text.says("REVIEW_PHRASES"):
        return _REVIEW
    if text.says_failure():
        return _FIX
    if text.says("ARCHITECTURE_PHRASES"):
        return _ARCHITECTURE
    if clause[0] in words.FACTUAL and not text.has_fence:
        return None
    return _EXPLAIN if len(clause) >= 4 or text.has_fence else None


def _always(signals: Signals) -> Rule:
    def rule(text: Text, clause: list[str]) -> Signals | None:
        del text, clause
        return signals

    return rule


def _on_content(family: str) -> Rule:
    def rule(text: Text, clause: list[str]) -> Signals | None:
        return _content_work(family, clause) or _rework(text, clause)

    return rule


_RULES: dict[str, Rule] = {
    "refactor": _rework,
    "convert": _rework,
    "edit": _rework,
    "make": _make,
    "fix": _fix,
    "complete": _complete,
    "explain": _always(_EXPLAIN),
    "review": _always(_REVIEW),
    "test": _always(_TEST),
    "document": _always(_DOCUMENT),
    "design": _design,
    "weigh": _weigh,
    "list": _list,
    "tell": _tell,
    "extract": _on_content("extract"),
    "classify": _on_content("classify"),
    "translate": _on_content("translate"),
    "summarise": _on_content("summarise"),
}
