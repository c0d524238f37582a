"""Recognising the client program and its session from what it sends of its own accord.

Promised: the first known sign wins, in the order below; an id that is too long or not printable is as good as none.
A session id only groups requests: it never identifies anybody and grants nothing. Not done: guessing from the prompt.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

LONGEST_ID = 200

_CODEX_CLASSES = {"compact": "compaction", "memory_consolidation": "auxiliary"}
"""What Codex says in `x-openai-subagent`; whatever else stands there is a sub-agent."""
_PARENT_HEADERS = ("x-claude-code-agent-id", "x-codex-parent-thread-id", "x-parent-session-id")
"""Headers that sub-agents alone send: Claude Code's, Codex's, opencode's."""

_PART_HEADERS = ("x-claude-code-agent-id", "thread-id")
"""Headers that tell the conversations within a session apart: Claude Code's sub-agents, Codex's threads."""

REQUEST_CLASSES = frozenset({"main", "subagent", "workflow", "compaction", "auxiliary"})

_SESSION_HEADERS: tuple[tuple[str, str | None], ...] = (
    ("x-freehold-session", None),
    ("x-claude-code-session-id", "claude-code"),
    ("session-id", "codex"),
    ("session_id", "codex"),
    ("thread-id", "codex"),
    ("x-session-affinity", "opencode"),
    ("x-session-id", None),
)
"""Headers that carry a session id, and the client a header gives away."""

_PROGRAMS: dict[str, str] = {
    "claude-cli": "claude-code",
    "codex": "codex",
    "codex_exec": "codex",
    "codex_cli_rs": "codex",
    "codex-tui": "codex",
    "opencode": "opencode",
    "qwencode": "qwen-code",
    "qwen-code": "qwen-code",
    "continue": "continue",
    "aider": "aider",
    "litellm": "litellm",
    "langchain": "langchain",
    "pydantic-ai": "pydantic-ai",
    "ollama-python": "ollama-python",
    "openai/python": "openai-python",
    "asyncopenai/python": "openai-python",
    "openai/js": "openai-js",
    "anthropic/python": "anthropic-python",
    "asyncanthropic/python": "anthropic-python",
    "anthropic/js": "anthropic-js",
    "ai-sdk": "ai-sdk",
    "ai": "ai-sdk",
    "curl": "curl",
}
"""By the lower-cased product of `user-agent`, with what follows its slash where one company has several."""

TOOL_AGENTS = frozenset({"claude-code", "codex", "opencode", "qwen-code", "continue"})
"""Clients whose every ordinary turn offers tools, so that a request without any is one of their side jobs."""


class Client(msgspec.Struct, frozen=True):
    """What was recognised; None: nothing."""

    agent: str | None
    session: str | None
    request_class: str | None


def recognise(headers: Mapping[str, str], session_hint: str | None) -> Client:
    """The client of a request. `headers` have lower-case names; `session_hint` is what the body carries, unchecked."""
    agent = _agent(headers)
    session: str | None = None
    for name, owner in _SESSION_HEADERS:
        if name in headers:
            agent = agent or owner
            session = _checked(headers[name])
            if session is not None:
                break
    if session is None and session_hint:
        session = _from_body(session_hint)
    return Client(agent, session, _request_class(headers))


def part_of(headers: Mapping[str, str]) -> str:
    """Which conversation of its session a request belongs to; empty: the session has one, or does not say."""
    said = next((headers[name] for name in _PART_HEADERS if name in headers), None)
    return "" if said is None else _checked(said) or ""


def agent_of(headers: Mapping[str, str]) -> str | None:
    """The client program alone, where no body was read. `headers` as in `recognise`."""
    return recognise(headers, None).agent


def _agent(headers: Mapping[str, str]) -> str | None:
    if "x-claude-code-session-id" in headers:
        return "claude-code"
    originator = headers.get("originator")
    if originator is not None and originator.startswith("codex"):
        return "codex"
    user_agent = headers.get("user-agent")
    if not user_agent:
        return None
    first, _, _ = user_agent[:64].lower().partition(" ")
    return _PROGRAMS.get(first) or _PROGRAMS.get(first.partition("/")[0])


def _request_class(headers: Mapping[str, str]) -> str | None:
    said = headers.get("x-claude-code-request-class")
    if said is not None and said in REQUEST_CLASSES:
        return said
    told = headers.get("x-openai-subagent")
    if told is not None:
        return _CODEX_CLASSES.get(told, "subagent")
    return "subagent" if any(name in headers for name in _PARENT_HEADERS) else None


def _checked(value: str) -> str | None:
    value = value.strip()
    return value if 0 < len(value) <= LONGEST_ID and value.isprintable() else None


def _from_body(hint: str) -> str | None:
    """`metadata.user_id` as JSON with a `session_id`, as `..._session_<uuid>`, or a plain id (`prompt_cache_key`)."""
    if len(hint) > 4 * LONGEST_ID:
        return None
    if hint.startswith("{"):
        try:
            found: Any = msgspec.json.decode(hint)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return None
        inner = found.get("session_id") if isinstance(found, dict) else None
        return _checked(inner) if isinstance(inner, str) else None
    _, mark, tail = hint.rpartition("_session_")
    return _checked(tail) if mark else _checked(hint)
