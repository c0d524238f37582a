"""Side jobs are recognised by headers and shapes, as real clients send them; the main loop never is one."""

import json
from typing import Any

import pytest

from freehold.chat import WireFormat
from freehold.features import Auxiliary, Caller, Features, Label
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.wire.formats import CODECS

CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, cli)", "x-claude-code-session-id": "s1"}
CODEX = {"originator": "codex_exec", "session-id": "s2"}
OPENCODE = {"user-agent": "opencode/1.18.33", "x-session-affinity": "ses_3"}
READ = {"name": "Read", "description": "reads a file", "input_schema": {"type": "object"}}
CALL = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}
TITLE_SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def item(text: str) -> list[dict[str, Any]]:
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]


def title_of_claude() -> dict[str, Any]:
    form = {"format": {"type": "json_schema", "schema": TITLE_SCHEMA}}
    return {"max_tokens": 128000, "tools": [], "output_config": form, "messages": said("<session>fix the bug</session>")}


SEARCH = {
    "max_tokens": 9,
    "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "tool", "name": "web_search"},
    "messages": said("search the web for msgspec"),
}
COMPACT = "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another model."

CASES: list[tuple[str, WireFormat, dict[str, str], dict[str, Any], Auxiliary | None]] = [
    ("claude's title", "anthropic_messages", CLAUDE, title_of_claude(), "title"),
    ("its title, as its header says", "anthropic_messages", CLAUDE | {"x-claude-code-request-class": "auxiliary"}, title_of_claude(), "title"),
    ("its compaction", "anthropic_messages", CLAUDE | {"x-claude-code-request-class": "compaction"}, {"max_tokens": 9, "tools": [READ], "messages": said("go on")}, "compaction"),
    ("its search", "anthropic_messages", CLAUDE, SEARCH, "web_search"),
    ("another side job of it", "anthropic_messages", CLAUDE, {"max_tokens": 9, "messages": said("is this a new topic?")}, "other"),
    ("its main loop", "anthropic_messages", CLAUDE, {"max_tokens": 9, "tools": [READ], "messages": said("generate a title for this conversation")}, None),
    ("its sub-agent", "anthropic_messages", CLAUDE | {"x-claude-code-agent-id": "a"}, {"max_tokens": 9, "tools": [READ], "messages": said("look")}, None),
    ("codex's compaction by text", "openai_responses", CODEX, {"tools": [], "input": item(COMPACT)}, "compaction"),
    ("codex's compaction by header", "openai_responses", CODEX | {"x-openai-subagent": "compact"}, {"input": item("go on")}, "compaction"),
    ("codex's main loop", "openai_responses", CODEX, {"tools": [CALL], "input": item("fix it")}, None),
    ("opencode's title", "openai_chat", OPENCODE, {"messages": said("Generate a title for this conversation:\n")}, "title"),
    ("somebody's title", "openai_chat", {}, {"messages": said("Generate a concise title for the chat above.")}, "title"),
    ("a page with a title", "openai_chat", {}, {"messages": said("Write a page."), "response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": TITLE_SCHEMA}}}, None),
    ("a chat", "openai_chat", {}, {"messages": said("What does git rebase do?")}, None),
]  # fmt: skip


def gathered(form: WireFormat, headers: dict[str, str], body: dict[str, Any], operation: str | None = None) -> Features:
    codec = CODECS[form]
    envelope = codec.peek(json.dumps({"model": "auto", **body}).encode())
    detectors = Detectors(LabelSettings(default=Label.INTERNAL))
    return gather(
        envelope, codec.describe, Caller(), headers, FactsCache(bytes(32)), len, detectors, exact=False, operation=operation
    )


@pytest.mark.parametrize(("form", "headers", "body", "kind"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_a_side_job_is_known_by_what_its_client_sends(
    form: WireFormat, headers: dict[str, str], body: dict[str, Any], kind: Auxiliary | None
) -> None:
    assert gathered(form, headers, body).auxiliary == kind


def test_a_token_count_is_one_whoever_asks() -> None:
    body = {"max_tokens": 9, "messages": said("hello")}
    assert gathered("anthropic_messages", {}, body, operation="count_tokens").auxiliary == "token_count"
