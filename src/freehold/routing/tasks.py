"""Naming the kind of work: a deterministic, explainable classifier of requests.

Promised: the same request gives the same task; the reason is one of `REASONS` and never text of the prompt; the time is
linear in at most 16 KB of text, by look-ups of words and substrings rather than patterns. Not done: learning, and
judging how hard the work is.
"""

import re
from collections.abc import Sequence

import msgspec

from freehold.features import Task
from freehold.routing import task_phrases as phrases
from freehold.routing.agents import TOOL_AGENTS
from freehold.routing.task_rules import Signals, by_request
from freehold.routing.task_text import Text

EXAMINED_CHARS = 16_384
"""Of a longer text the first and the last half of this many characters are looked at."""


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
    "completions-endpoint": "a text is to be gone on with, or filled in",
    "embeddings-endpoint": "texts are to be embedded",
    "images-endpoint": "images are to be made",
    "transcription-endpoint": "speech is to be written down",
    "speech-endpoint": "a text is to be spoken",
    "moderation-endpoint": "texts or images are to be judged for harm",
    "rerank-endpoint": "documents are to be put in order",
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
    decided = by_facts(facts)
    if decided is not None:
        return decided
    return (Task.CHAT, "no-text") if signals is None else (signals.task, signals.reason)


def by_facts(facts: Facts) -> tuple[Task, str] | None:
    """What the whole request decides; None: its text has to be read."""
    if facts.operation == "count_tokens":
        return Task.AUXILIARY, "count-tokens"
    if facts.operation == "completion":
        return Task.COMPLETION, "completions-endpoint"
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
    return None


_CODE_LINE = re.compile(
    r"[;{}\])>,]\s*$|^\s*(?:def |class |import |from |return |func |fn |let |const |var |if |for |while |public |private |#include|@|//)"
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
    text = Text(whole)
    return _by_marks(text) or by_request(text) or _by_shape(text, whole)


def _without_wrappers(text: str) -> str:
    """The text less what a client's program put in, tag and all."""
    for tag in phrases.WRAPPERS:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if opening not in text:
            continue
        before, *wrapped = text.split(opening)
        kept = [before]
        for piece in wrapped:
            inside, mark, after = piece.partition(closing)
            kept.append(after if mark else inside)
        text = "\n".join(kept)
    return text


def _by_marks(text: Text) -> Signals | None:
    """What a single mark decides."""
    if text.shows("FIM_MARKS"):
        return Signals(Task.COMPLETION, "fim-markers")
    if text.says("TITLE_PHRASES") or (text.clauses and {"title", "conversation"} <= set(text.clauses[0])):
        return Signals(Task.AUXILIARY, "title")
    if text.says("COMPACTION_PHRASES"):
        return Signals(Task.AUXILIARY, "compaction")
    return None


def _by_shape(text: Text, whole: str) -> Signals:
    """What the text looks like, where it asks for nothing in particular."""
    if text.says("ARCHITECTURE_PHRASES"):
        return Signals(Task.ARCHITECTURE, "architecture-words")
    if text.says_failure():
        return Signals(Task.FIX_FROM_ERROR, "error-output")
    if text.is_diff():
        return Signals(Task.REVIEW, "diff-only")
    if _is_code(text, whole):
        return Signals(Task.COMPLETION, "code-only")
    return Signals(Task.CHAT, "no-sign")


def _is_code(text: Text, whole: str) -> bool:
    """Whether there is nothing but code: a fence with no prose around it, or lines that look like code."""
    if text.has_fence:
        return not text.prose.strip()
    lines = [line for line in whole[:4000].splitlines() if line.strip()]
    return len(lines) >= 2 and 2 * sum(_CODE_LINE.search(line) is not None for line in lines) >= len(lines)
