"""Makes turns alternate, for chat templates that refuse anything else (Mistral's and Gemma's `raise_exception`).

Neighbours of one role become one message, and what the user said behind tool results goes behind the last of them: such
templates allow only the assistant there. Nothing is lost but a message's `name` that differs from its neighbour's.
"""

from typing import Any

Written = dict[str, Any]
_MERGED = ("user", "assistant")


def alternate(messages: list[Written]) -> list[Written]:
    """The messages of a Chat Completions request, with no two neighbours that a template would refuse."""
    done: list[Written] = []
    for message in messages:
        before = done[-1] if done else None
        if before is not None and _may_merge(before, message):
            done[-1] = _merged(before, message)
        else:
            done.append(message)
    return done


def _may_merge(before: Written, message: Written) -> bool:
    if before["role"] == "tool":
        return message["role"] == "user" and isinstance(before["content"], str) and isinstance(message["content"], str)
    return before["role"] == message["role"] and message["role"] in _MERGED and not before.get("tool_calls")


def _merged(before: Written, message: Written) -> Written:
    merged = {**before, **{key: value for key, value in message.items() if key not in {"role", "content", "name"}}}
    if message.get("reasoning_content") and before.get("reasoning_content"):
        merged["reasoning_content"] = f"{before['reasoning_content']}\n\n{message['reasoning_content']}"
    if before["role"] != "tool" and before.get("name") != message.get("name"):
        merged.pop("name", None)
    merged["content"] = _joined(before["content"], message["content"])
    return merged


def _joined(first: object, second: object) -> object:
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_parts(first), *_parts(second)]


def _parts(content: object) -> list[object]:
    return list(content) if isinstance(content, list) else [{"type": "text", "text": content}]
