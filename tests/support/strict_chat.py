"""What a strict local chat template and server refuse in a Chat Completions request: the reasons, none where all is well."""

import re
from collections.abc import Iterator
from typing import Any

_TOP = {
    "model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice",
    "parallel_tool_calls", "stop", "seed", "presence_penalty", "frequency_penalty", "response_format", "n", "user", "logprobs",
    "top_logprobs", "reasoning_effort",
}  # fmt: skip
_MESSAGE = {
    "system": {"role", "content"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "tool_calls", "reasoning_content", "name"},
    "tool": {"role", "content", "tool_call_id"},
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAY_FOLLOW = {
    None: {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"tool", "assistant"},
}
Json = dict[str, Any]


def refusals(body: Json, window: int) -> list[str]:
    """`window`: more may not be asked for as the length of an answer."""
    return [*_top(body, window), *_tools(body), *_messages(body.get("messages", []))]


def _top(body: Json, window: int) -> Iterator[str]:
    for key in sorted(set(body) - _TOP):
        yield f"unknown field {key}"
    if body.get("max_tokens") is not None and not 1 <= body["max_tokens"] <= window:
        yield f"max_tokens {body['max_tokens']} is more than the window"
    if not body.get("messages"):
        yield "no messages"


def _tools(body: Json) -> Iterator[str]:
    if "tools" in body and not body["tools"]:
        yield "empty tools"
    if not body.get("tools"):
        yield from (f"{key} without tools" for key in ("tool_choice", "parallel_tool_calls") if key in body)
    for tool in body.get("tools") or ():
        if tool.get("type") != "function" or set(tool) != {"type", "function"}:
            yield f"a tool of type {tool.get('type')} with {sorted(tool)}"
        elif _NAME.fullmatch(tool["function"]["name"]) is None:
            yield f"tool name {tool['function']['name']}"


def _messages(messages: list[Json]) -> Iterator[str]:
    before: str | None = None
    awaited: list[str] = []
    for at, message in enumerate(messages):
        role = message.get("role")
        if role not in _MESSAGE:
            yield f"messages[{at}]: role {role}"
            continue
        yield from (f"messages[{at}]: unknown field {key}" for key in sorted(set(message) - _MESSAGE[role]))
        if role not in _MAY_FOLLOW[before]:
            yield f"messages[{at}]: {role} after {before}"
        if not isinstance(message.get("content"), str) and not (role == "assistant" and message.get("tool_calls")):
            yield f"messages[{at}]: content of {role} is no string"
        if awaited and role != "tool":
            yield f"messages[{at}]: calls without results"
        if role == "tool":
            if message.get("tool_call_id") in awaited:
                awaited.remove(message["tool_call_id"])
            else:
                yield f"messages[{at}]: a result without a call"
        calls = message.get("tool_calls") or []
        awaited = awaited if role == "tool" else [call["id"] for call in calls]
        before = role
    if awaited:
        yield "the last calls have no results"
    if before == "assistant":
        yield "nothing to answer"
