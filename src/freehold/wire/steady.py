"""Takes out of a prompt what changes with every request and says nothing to a model, so that its beginning stays the same.

An engine reads again only what stands behind the first difference to the prompt before. Claude Code begins its system prompt
with a line of billing facts of which one changes every time, so every prompt would be read whole. Known beginning:
`x-anthropic-billing-header: cc_version=...; cc_entrypoint=...; cch=...;`. The line is the vendor's business: local runtimes
alone are spared it.

Promised: only system text that begins so is touched, and of it only that line; whatever else there is stays. Nothing found
costs a look at the first letters of two blocks. Deliberately not done: dates and surroundings, which models are told for
a reason and which change once a day; ids and keys beside the prompt, which no template shows.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Envelope

LOOKED_AT_BYTES = 320
"""The line stands within so many bytes of its block's beginning, whatever order its keys have."""

_NAME = b"x-anthropic-billing-header:"
_LINE = re.compile(r"x-anthropic-billing-header:(?:[ \t]*[A-Za-z_][\w-]*=[^;\s]*(?:;|$|(?=\s)))*\s*")
_TEXTS = ("system", "instructions")
"""Fields that are system text as a whole."""
_TURNS = ("messages", "input")
_SYSTEM_ROLES = frozenset({"system", "developer"})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def steady(envelope: Envelope, peek: Callable[[bytes], Envelope]) -> Envelope:
    """The request with a prompt that begins as it did the last time; the same value where it does already.

    `peek` is the format's own.
    """
    for block in envelope.blocks[:2]:
        if _NAME in bytes(memoryview(block)[:LOOKED_AT_BYTES]):
            changed = _steady_fields(envelope)
            return peek(_encode({**envelope.top, **changed})) if changed else envelope
    return envelope


def _steady_fields(envelope: Envelope) -> dict[str, msgspec.Raw]:
    changed: dict[str, msgspec.Raw] = {}
    try:
        for key in _TEXTS:
            if key in envelope.top:
                said = _decode(envelope.top[key])
                if (left := _without_line(said)) != said:
                    changed[key] = msgspec.Raw(_encode(left))
        for key in _TURNS:
            if bytes(envelope.top.get(key, b""))[:1] == b"[":
                _take_turns(changed, key, envelope.top[key])
    except UNREADABLE:
        return {}  # whoever reads it says what is wrong with it
    return changed


def _take_turns(changed: dict[str, msgspec.Raw], key: str, raw: msgspec.Raw) -> None:
    """System turns among the first two; one of which nothing is left goes."""
    turns = _LIST.decode(raw)
    kept: list[msgspec.Raw] = []
    for at, turn in enumerate(turns):
        if at > 1 or _NAME not in bytes(memoryview(turn)[:LOOKED_AT_BYTES]):
            kept.append(turn)
            continue
        message = _decode(turn)
        if not isinstance(message, dict) or message.get("role") not in _SYSTEM_ROLES:
            kept.append(turn)
            continue
        content = _without_line(message.get("content"))
        if content == message.get("content"):
            kept.append(turn)
        elif content or len(turns) == 1:
            kept.append(msgspec.Raw(_encode({**message, "content": content})))
    if kept != turns:
        changed[key] = msgspec.Raw(_encode(kept))


def _without_line(said: Any) -> Any:
    if isinstance(said, str):
        found = _LINE.match(said)
        return said if found is None else said[found.end() :]
    if not isinstance(said, list):
        return said
    kept: list[object] = []
    for part in said:
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str) or _LINE.match(text) is None:
            kept.append(part)
            continue
        rest = _without_line(text)
        if rest:
            kept.append({**part, "text": rest})
    return kept
