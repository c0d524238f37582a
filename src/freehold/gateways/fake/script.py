"""What a fake runtime is told to do: acts, and the directives that spell them inside a prompt.

A directive stands in the last user message: `[[fake: say=hello]]`, `[[fake: slow=20ms]]`; several may stand there.
An unknown or malformed one raises ValueError: a test with a typing error must not pass by accident. Pure.
"""

import json
import re
from typing import Any, Literal, get_args

import msgspec

Place = Literal["before-headers", "after-headers", "before-content", "mid", "in-tool"]
ErrorPlace = Literal["first", "mid"]
UsageStory = Literal["true", "lie", "none"]

_OPEN = "[[fake:"
_DECODER = json.JSONDecoder()
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")


class Called(msgspec.Struct, frozen=True):
    """One tool call of the answer. `arguments` is JSON text, written as it is, also when it is not valid."""

    name: str
    arguments: str = "{}"


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is answered. What is not set is answered sensibly from the request itself."""

    say: str | None = None
    """The text; None with no tools: an answer made from the request."""
    tools: tuple[Called, ...] = ()
    think: str | None = None
    json: bool = False
    """`say` is JSON and goes out whatever output format was asked for."""
    refuse: bool = False
    empty: bool = False
    truncate: bool = False
    """Half the answer, ended as if the token limit was reached."""
    repeat: bool = False
    """The same line again and again."""
    stall: Place | None = None
    """Go silent there until the client leaves."""
    cut: Place | None = None
    """Close the connection there."""
    error_event: ErrorPlace | None = None
    """An error event before the first content or amid it; for a whole answer an error object under 200."""
    status: int | None = None
    retry_after: str | None = None
    html: bool = False
    slow_s: float = 0.0
    """Before each event."""
    usage: UsageStory = "true"
    """`lie`: one token in, one out, whatever was said. `none`: nothing is reported where the format allows."""
    model: str | None = None
    """The model the answer names."""
    raw: bytes | None = None
    """Written as they are in place of an answer; then the connection is closed."""


_CHOICES = {
    "stall": get_args(Place),
    "break": get_args(Place),
    "error-event": get_args(ErrorPlace),
    "usage": get_args(UsageStory),
}
_FIELDS = {"break": "cut", "error-event": "error_event", "retry-after": "retry_after"}

_NOTHING = Act()

NAMED: dict[str, Act] = {
    "fake-chat": _NOTHING,
    "fake-echo": _NOTHING,
    "fake-tools": _NOTHING,
    "fake-think": Act(think="The question is read twice. The answer is short."),
    "fake-slow": Act(slow_s=0.02),
    "fake-refuse": Act(refuse=True),
    "fake-empty": Act(empty=True),
    "fake-repeat": Act(repeat=True),
    "fake-truncate": Act(truncate=True),
    "fake-down": Act(status=503, retry_after="2"),
    "fake-stall": Act(stall="before-headers"),
    "fake-break": Act(cut="mid"),
    "fake-embed": _NOTHING,
}
"""Models the fake lists, and what each does. Every other name is served too, as `fake-chat` is."""


def read_directives(text: str, start: Act = _NOTHING) -> Act:
    """The act a text asks for, on top of `start`. Raises ValueError naming the directive that makes no sense."""
    changes: dict[str, Any] = {}
    tools: list[Called] = []
    at = text.find(_OPEN)
    while at >= 0:
        words, end = _split(text, at + len(_OPEN))
        for key, value in words:
            _apply(key, value, changes, tools)
        at = text.find(_OPEN, end)
    if tools:
        changes["tools"] = tuple(tools)
    return msgspec.structs.replace(start, **changes) if changes else start


def strip_directives(text: str) -> str:
    """The text without its directives."""
    kept: list[str] = []
    begin = 0
    at = text.find(_OPEN)
    while at >= 0:
        kept.append(text[begin:at])
        _, begin = _split(text, at + len(_OPEN))
        at = text.find(_OPEN, begin)
    kept.append(text[begin:])
    return "".join(kept).strip()


def _split(text: str, at: int) -> tuple[list[tuple[str, str]], int]:
    """The key-value pairs of the directive whose inside starts at `at`, and where it ends."""
    close = text.find("]]", at)
    if close < 0:
        raise ValueError("a fake directive is not closed by ]]")
    key = text[at:close].strip().partition("=")[0].strip()
    if key in {"json", "tool"}:
        brace = text.find("{", at)
        if key == "tool" and (brace < 0 or brace > close):
            return [(key, text[at:close].partition("=")[2].strip())], close + 2
        try:
            _, end = _DECODER.raw_decode(text, brace)
        except (ValueError, IndexError):
            raise ValueError(f"the fake directive {key} holds no JSON object") from None
        close = text.find("]]", end)
        return [(key, text[at:close].partition("=")[2].strip())], close + 2
    inside = text[at:close].strip()
    if key in {"say", "think"}:
        if "=" not in inside:
            raise ValueError(f"the fake directive {key} says nothing")
        return [(key, inside.partition("=")[2])], close + 2
    pairs = [word.partition("=") for word in inside.split()]
    return [(name, value) for name, _, value in pairs], close + 2


def _apply(key: str, value: str, changes: dict[str, Any], tools: list[Called]) -> None:
    match key:
        case "say" | "think":
            changes[key] = value
        case "json":
            changes.update(say=value, json=True)
        case "tool":
            name, _, arguments = value.partition(" ")
            tools.append(Called(name, arguments.strip() or "{}"))
        case "html" | "empty" | "refuse" | "truncate" | "repeat" if not value:
            changes[key] = True
        case "stall" | "break" | "error-event" | "usage" if value in _CHOICES[key]:
            changes[_FIELDS.get(key, key)] = value
        case "status" if value.isdigit() and 200 <= int(value) <= 599:
            changes[key] = int(value)
        case "retry-after" | "model" if value:
            changes[_FIELDS.get(key, key)] = value
        case "slow" if (found := _DURATION.fullmatch(value)) is not None:
            changes["slow_s"] = float(found[1]) / (1000 if found[2] == "ms" else 1)
        case _:
            raise ValueError(f"there is no fake directive {key}={value}" if value else f"there is no fake directive {key}")
