"""What kind of side job a request is: a title, a compaction, a count, a search; None: none, or nobody can tell.

Recognised by what clients say in headers, by the shape of the request, and by the user's text where it was read anyway.
Promised: a request of the main loop is never taken for a side job because of its text. Not done: guessing at what a model
is asked inside a conversation with tools.
"""

from collections.abc import Callable

from freehold.features import Auxiliary, Task
from freehold.routing.agents import TOOL_AGENTS, Client
from freehold.routing.task_rules import Signals
from freehold.wire.codec import Envelope

LOOKED_AT_BYTES = 2000
"""The schema of a title is a few hundred bytes long."""

_BY_REASON: dict[str, Auxiliary] = {
    "count-tokens": "token_count",
    "client-says-compaction": "compaction",
    "title": "title",
    "compaction": "compaction",
}
_SCHEMA_FIELDS = ("output_config", "output_format", "response_format", "text", "format")
_SEARCH = b'"web_search'


def name_auxiliary(
    task: Task, reason: str, client: Client, envelope: Envelope, signals: Callable[[], Signals | None]
) -> Auxiliary | None:
    """The kind. `signals` reads the user's last text, and is asked only where a side job is known to be one."""
    if task is not Task.AUXILIARY:
        if envelope.tools == 1 and client.agent in TOOL_AGENTS and _offers_search_alone(envelope):
            return "web_search"
        return None
    known = _BY_REASON.get(reason)
    if known is not None:
        return known
    if envelope.schema and _asks_for_title(envelope):
        return "title"
    said = signals()
    return "other" if said is None else _BY_REASON.get(said.reason, "other")


def _asks_for_title(envelope: Envelope) -> bool:
    """Structured output whose schema holds a title: how Claude Code asks for one."""
    for field in _SCHEMA_FIELDS:
        raw = envelope.top.get(field)
        if raw is not None and len(raw) < LOOKED_AT_BYTES and b'"title"' in bytes(raw):
            return True
    return False


def _offers_search_alone(envelope: Envelope) -> bool:
    """The only tool is the vendor's own search: Claude Code asks for its searches so."""
    raw = envelope.top.get("tools")
    if raw is None or len(raw) > LOOKED_AT_BYTES:
        return False
    tool = bytes(raw)
    return _SEARCH in tool and b"input_schema" not in tool and b"parameters" not in tool
