"""Naming the kind of work: a deterministic, explainable classifier of requests.

Promised: the same request gives the same task; the reason is one of `REASONS` and never text of the prompt; the time is
linear in at most 16 KB of text, by look-ups of words and substrings rather than patterns. Not done: learning, and
judging how hard the work is.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from freehold.features import Task
from freehold.routing import task_words as words
from freehold.routing.agents import TOOL_AGENTS

EXAMINED_CHARS = 16_384
"""Of a longer text the first and the last half of this many characters are looked at."""
CLAUSE_WORDS = 24
"""Words of a clause that are looked at."""
WIDE_FILES = 10
"""So many distinct files named make a refactoring a wide one."""


class Signals(msgspec.Struct, frozen=True):
    """What a user's text asks for. No text."""

    task: Task
    reason: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the whole request besides its text."""

    operation: str = "chat"
    tools: int = 0
    result_is_last: bool = False
    """The last message carries the result of a tool."""
    agent: str | None = None
    request_class: str | None = None


REASONS: dict[str, str] = {
    "count-tokens": "the client only counts tokens",
    "embeddings-endpoint": "texts are to be embedded",
    "client-says-auxiliary": "the client's headers name a side job",
    "client-says-compaction": "the client's headers name a compaction of its history",
    "agent-without-tools": "a tool-using client offers no tools: one of its side jobs",
    "tool-result": "the last message is the result of a tool",
    "agent-with-tools": "a recognised coding agent offers its tools",
    "title": "a title for a conversation is asked for",
    "compaction": "a summary of the conversation so far is asked for",
    "fim-markers": "the text holds fill-in-the-middle or cursor marks",
    "asks-to-complete": "code is to be completed",
    "code-only": "the message is code and nothing else",
    "threat-words": "it speaks of threats, attackers or trust boundaries",
    "wide-words": "a refactoring of the whole code base",
    "wide-files": "a refactoring that names ten or more files",
    "architecture-words": "a system's design or its trade-offs",
    "asks-to-translate": "a text or code is to be put into another language",
    "asks-to-summarise": "a summary is asked for",
    "asks-to-extract": "data is to be taken out of a text",
    "asks-to-classify": "a text is to be put into classes",
    "asks-for-tests": "tests are to be written",
    "asks-for-documentation": "doc comments are to be written",
    "asks-to-review": "a judgement of code is asked for",
    "asks-to-fix": "something fails and is to be fixed",
    "error-output": "the text holds the output of something that failed",
    "asks-to-explain": "an explanation is asked for",
    "asks-to-edit": "code is to be written or changed",
    "diff-only": "the text is a diff",
    "no-sign": "nothing telling was found",
    "no-text": "the request has no text of a user",
}
"""Every reason there is, and what it means."""


def classify(signals: Signals | None, facts: Facts) -> tuple[Task, str]:
    """The task and the reason, a key of `REASONS`. What the whole request shows goes before what its text says."""
    if facts.operation == "count_tokens":
        return Task.AUXILIARY, "count-tokens"
    if facts.operation == "embeddings":
        return Task.EMBEDDING, "embeddings-endpoint"
    if facts.request_class == "auxiliary":
        return Task.AUXILIARY, "client-says-auxiliary"
    if facts.request_class == "compaction":
        return Task.AUXILIARY, "client-says-compaction"
    if facts.result_is_last:
        return Task.AGENT_TURN, "tool-result"
    if facts.agent in TOOL_AGENTS:
        if facts.tools:
            return Task.AGENT_TURN, "agent-with-tools"
        if facts.request_class is None:
            return Task.AUXILIARY, "agent-without-tools"
    if signals is None:
        return Task.CHAT, "no-text"
    return signals.task, signals.reason


class _Text:
    """A user's text, cut into what the rules look at. Lower case throughout."""

    __slots__ = ("all", "clauses", "code", "heads", "prose", "vocabulary")

    def __init__(self, text: str) -> None:
        self.all = text.lower()
        pieces = self.all.split("```")
        self.prose = " \n".join(pieces[::2]).replace("\u2019", "'") if len(pieces) > 1 else self.all.replace("\u2019", "'")
        self.code = len(pieces) > 1
        clauses = [clause for clause in map(_WORD.findall, _CLAUSE_END.split(_ends(self.prose))) if clause]
        self.clauses = [_without_courtesy(clause[:CLAUSE_WORDS]) for clause in _telling(clauses)]
        self.vocabulary = {word for clause in self.clauses for word in clause}
        self.heads = [(words.VERBS.get(clause[0]), clause) for clause in self.clauses if clause]

    def says(self, phrases: Sequence[str]) -> bool:
        """Whether the prose holds one of the phrases."""
        prose = self.prose
        return any(phrase in prose for phrase in phrases)

    def failed(self) -> bool:
        """Whether it shows the output of something that failed, or says so."""
        return self.shows_trace() or self.says(words.FIX_PHRASES) or not words.ERROR_WORDS.isdisjoint(self.vocabulary)

    def shows_trace(self) -> bool:
        """Whether it holds the output of something that failed."""
        text = self.all
        return any(mark in text for mark in words.TRACE_MARKS)

    def is_diff(self) -> bool:
        """Whether it holds a unified diff."""
        text = self.all
        return "diff --git " in text or ("\n@@ " in text and "\n+++ " in text)


_WORD = re.compile(r"[^\W_]+(?:[+#]{1,2}|(?:['-][^\W_]+){0,3})")
_CLAUSE_END = re.compile(r"[.!?:;](?=\s|$)|\n")
_PATH = re.compile(
    r"[\w/-]{1,120}\.(?:[jt]sx?|py|go|rs|java|kt|rb|php|cs|cpp|cc|c|h|hpp|swift|scala|vue|svelte|sql|ya?ml|toml|json|md|html|css)\b"
)
_CODE_LINE = re.compile(
    r"[;{}\])>]\s*$|^\s*(?:def |class |import |from |return |func |fn |let |const |var |if |for |while |public |private |#include|@|//)"
)


def read(texts: Sequence[str]) -> Signals:
    """What a user's own text asks for."""
    whole = "\n".join(texts)
    if "<" in whole:
        whole = _without_wrappers(whole)
    whole = whole.strip()
    if not whole:
        return Signals(Task.CHAT, "no-text")
    if len(whole) > EXAMINED_CHARS:
        half = EXAMINED_CHARS // 2
        whole = f"{whole[:half]}\n{whole[-half:]}"
    text = _Text(whole)
    return _by_marks(text) or _by_request(text) or _by_shape(text, whole)


def _without_wrappers(text: str) -> str:
    """The text less what a client's program put in, tag and all."""
    for tag in words.WRAPPERS:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if opening not in text:
            continue
        kept = []
        for piece in text.split(opening):
            before, mark, after = piece.partition(closing)
            kept.append(after if mark else before)
        text = "\n".join(kept)
    return text


def _ends(prose: str) -> str:
    """Where people put what they want: the beginning and the end."""
    return prose if len(prose) <= 3000 else f"{prose[:2000]}\n{prose[-1000:]}"


def _telling(clauses: list[list[str]]) -> list[list[str]]:
    """The clauses to look at, most telling first: the first, the last, the second, the third, the last but one."""
    if len(clauses) <= 2:
        return clauses
    order = (0, len(clauses) - 1, 1, 2, len(clauses) - 2)
    return [clauses[index] for index in dict.fromkeys(order)]


def _without_courtesy(clause: list[str]) -> list[str]:
    start = 0
    while start < len(clause) - 1 and clause[start] in words.POLITE:
        start += 1
    return clause[start:]


def _by_marks(text: _Text) -> Signals | None:
    """What a single mark decides."""
    if any(mark in text.all for mark in words.FIM_MARKS):
        return Signals(Task.COMPLETION, "fim-markers")
    if text.says(words.TITLE_PHRASES):
        return Signals(Task.AUXILIARY, "title")
    if text.says(words.COMPACTION_PHRASES):
        return Signals(Task.AUXILIARY, "compaction")
    return None


def _by_request(text: _Text) -> Signals | None:
    """What the user asks for in so many words: work on content first, then threats, then the clauses in order."""
    for family, clause in text.heads[:2]:
        signals = _content_work(family, clause)
        if signals is not None:
            return signals
    if text.says(words.THREAT_PHRASES):
        return Signals(Task.THREAT_MODEL, "threat-words")
    if text.says(words.COMPLETION_PHRASES) and not text.shows_trace():
        return Signals(Task.COMPLETION, "asks-to-complete")
    for family, clause in text.heads:
        rule = _RULES.get(family or "")
        signals = rule(text, clause) if rule is not None else None
        if signals is not None:
            return signals
    for family, clause in text.heads:
        signals = _question(text, clause) if family == "question" else _named_object(clause[:6])
        if signals is not None:
            return signals
    return None


def _content_work(family: str | None, clause: list[str]) -> Signals | None:
    """Work on a given text: whatever the text says, that is what is asked."""
    if family == "translate" and (clause[0] != "port" or _names_language(clause)):
        return Signals(Task.TRANSLATE, "asks-to-translate")
    if family == "convert" and _names_language(clause):
        return Signals(Task.TRANSLATE, "asks-to-translate")
    if family == "summarise":
        return Signals(Task.SUMMARISE, "asks-to-summarise")
    if family == "extract":
        if words.PIECES_OF_CODE.isdisjoint(clause):
            return Signals(Task.EXTRACT, "asks-to-extract")
        return Signals(Task.EDIT, "asks-to-edit")
    if family == "classify":
        return Signals(Task.CLASSIFY, "asks-to-classify")
    return None


def _names_language(clause: list[str]) -> bool:
    return any(
        word in words.LANGUAGES
        and clause[index - 1] in {"to", "into", "in", "ins", "auf", "nach", "en", "al", "para", "zu", "idiomatic"}
        for index, word in enumerate(clause)
        if index
    )


def _named_object(clause: list[str]) -> Signals | None:
    """What is to be made, by its name."""
    for word in clause:
        made = _MADE.get(words.OBJECTS.get(word, ""))
        if made is not None:
            return made
    return None


_MADE: dict[str, Signals] = {
    "test": Signals(Task.TEST, "asks-for-tests"),
    "docstring": Signals(Task.DOCSTRING, "asks-for-documentation"),
    "translate": Signals(Task.TRANSLATE, "asks-to-translate"),
    "summarise": Signals(Task.SUMMARISE, "asks-to-summarise"),
    "architecture": Signals(Task.ARCHITECTURE, "architecture-words"),
    "review": Signals(Task.REVIEW, "asks-to-review"),
    "explain": Signals(Task.EXPLAIN, "asks-to-explain"),
    "auxiliary": Signals(Task.AUXILIARY, "title"),
}
_EDIT = Signals(Task.EDIT, "asks-to-edit")
_FIX = Signals(Task.FIX_FROM_ERROR, "asks-to-fix")
_EXPLAIN = Signals(Task.EXPLAIN, "asks-to-explain")
_ARCHITECTURE = Signals(Task.ARCHITECTURE, "architecture-words")


def _rework(text: _Text, clause: list[str]) -> Signals | None:
    """Refactor, rename, migrate, replace: wide when it says so or names many files."""
    if text.says(words.WIDE_PHRASES):
        return Signals(Task.WIDE_REFACTOR, "wide-words")
    if len(set(_PATH.findall(text.prose))) >= WIDE_FILES:
        return Signals(Task.WIDE_REFACTOR, "wide-files")
    return _EDIT


def _change(text: _Text, clause: list[str]) -> Signals | None:
    named = _named_object(clause[1:6])
    if named is not None and named.task in {Task.TEST, Task.DOCSTRING}:
        return named
    return _rework(text, clause)


def _make(text: _Text, clause: list[str]) -> Signals | None:
    named = _named_object(clause[1:10])
    if named is not None:
        return named
    if not words.SMALL_TALK.isdisjoint(clause[1:8]):
        return Signals(Task.CHAT, "no-sign")
    return _EDIT


def _fix(text: _Text, clause: list[str]) -> Signals | None:
    return _FIX if text.failed() or clause[0] in {"debug", "troubleshoot", "diagnose"} else _EDIT


def _complete(text: _Text, clause: list[str]) -> Signals | None:
    if text.code or not words.CODE_THINGS.isdisjoint(clause):
        return Signals(Task.COMPLETION, "asks-to-complete")
    return None


def _explain(text: _Text, clause: list[str]) -> Signals | None:
    return _EXPLAIN


def _review(text: _Text, clause: list[str]) -> Signals | None:
    return Signals(Task.REVIEW, "asks-to-review")


def _test(text: _Text, clause: list[str]) -> Signals | None:
    return Signals(Task.TEST, "asks-for-tests")


def _document(text: _Text, clause: list[str]) -> Signals | None:
    return Signals(Task.DOCSTRING, "asks-for-documentation")


def _design(text: _Text, clause: list[str]) -> Signals | None:
    return _ARCHITECTURE if words.CODE_THINGS.isdisjoint(clause) else _EDIT


def _weigh(text: _Text, clause: list[str]) -> Signals | None:
    if text.says(words.ARCHITECTURE_PHRASES):
        return _ARCHITECTURE
    return _named_object(clause[1:8])


def _list(text: _Text, clause: list[str]) -> Signals | None:
    if not {"bug", "bugs", "issue", "issues", "problem", "problems", "vulnerabilities", "mistake", "mistakes"}.isdisjoint(clause):
        return Signals(Task.REVIEW, "asks-to-review")
    if "how" in clause[:4] or "example" in clause:
        return _EXPLAIN
    if not {"all", "every", "each", "from", "mentioned"}.isdisjoint(clause):
        return Signals(Task.EXTRACT, "asks-to-extract")
    return None


def _question(text: _Text, clause: list[str]) -> Signals | None:
    if text.failed():
        return _FIX
    if text.says(words.ARCHITECTURE_PHRASES):
        return _ARCHITECTURE
    if len(clause) >= 4 or text.code:
        return _EXPLAIN
    return None


_RULES: dict[str, Callable[[_Text, list[str]], Signals | None]] = {
    "refactor": _rework,
    "convert": _rework,
    "edit": _change,
    "make": _make,
    "fix": _fix,
    "complete": _complete,
    "explain": _explain,
    "review": _review,
    "test": _test,
    "document": _document,
    "design": _design,
    "weigh": _weigh,
    "list": _list,
    "extract": lambda _, clause: _content_work("extract", clause),
    "classify": lambda _, clause: _content_work("classify", clause),
    "translate": lambda text, clause: _content_work("translate", clause) or _rework(text, clause),
    "summarise": lambda _, clause: _content_work("summarise", clause),
}


def _by_shape(text: _Text, whole: str) -> Signals:
    """What the text looks like, where it asks for nothing in particular."""
    if text.says(words.ARCHITECTURE_PHRASES):
        return _ARCHITECTURE
    if text.shows_trace() or text.says(words.FIX_PHRASES):
        return Signals(Task.FIX_FROM_ERROR, "error-output")
    if text.is_diff():
        return Signals(Task.REVIEW, "diff-only")
    if _is_code(text, whole):
        return Signals(Task.COMPLETION, "code-only")
    return Signals(Task.CHAT, "no-sign")


def _is_code(text: _Text, whole: str) -> bool:
    """Whether there is nothing but code: a fence with no prose around it, or lines that look like code."""
    if text.code:
        return not text.prose.strip()
    lines = [line for line in whole[:4000].splitlines() if line.strip()]
    return len(lines) >= 2 and 2 * sum(_CODE_LINE.search(line) is not None for line in lines) >= len(lines)
