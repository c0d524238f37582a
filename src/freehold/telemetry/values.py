"""What may stand in a log line: values made safe to print.

Promised: no `Secret`, nothing under a name that holds secrets or prompts, nothing that looks like a key; no control
character reaches a terminal; no value is longer than a line. A type that is not listed is shown by its name only, so
that a whole request or a client object cannot slip in; so is an exception that is neither ours nor the operating system's,
since a `KeyError` or a `ValueError` quotes what it was looking at. Pure.
"""

import re
from enum import Enum

from freehold.fault import FaultError
from freehold.secret import Secret

MASK = "***"
LONGEST = 500
"""Characters of one text; the rest is counted."""
_LONGEST_KEY = 512
"""Looked at behind the cut, so that a key across it is seen as one."""
_MOST_ITEMS = 20

Safe = str | int | float | bool | list["Safe"] | dict[str, "Safe"] | None

MASKED_NAMES = frozenset(
    {
        *("api_key", "apikey", "x_api_key", "authorization", "proxy_authorization", "cookie", "set_cookie"),
        *("password", "secret", "token", "key_value", "bearer", "credentials"),
        *("prompt", "messages", "content", "body", "text", "answer", "completion", "arguments", "input", "output", "system"),
    }
)
"""Field names (lower case, `_` for `-`) whose values are never shown: they hold secrets, or people's words."""

_KEYS = re.compile(
    r"""(?ix)
    \b(?:bearer|basic)\s+[a-z0-9._~+/=-]{8,}      # credentials of an Authorization header
    | \b(?:sk|pk|rk|fh|gsk|xai|hf|ghp|gho|github_pat|glpat|xox[abprs])[-_][a-z0-9_-]{8,}   # keys by their vendors' prefixes
    | \bAKIA[0-9A-Z]{12,} | \bAIza[0-9a-z_-]{20,}
    | \beyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{5,}(?:\.[a-z0-9_-]*)?                    # a JSON web token
    | (?<=://)[^\s/@:]+:[^\s/@]+(?=@)              # user and password of a URL
    """
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]")


def safe_text(text: str) -> str:
    """The text on one line, without keys and control characters, shortened."""
    shown = _KEYS.sub(MASK, text[: LONGEST + _LONGEST_KEY])
    if len(text) > LONGEST:
        shown = f"{shown[:LONGEST]}... ({len(text) - LONGEST} more)"
    return _UNPRINTABLE.sub(_escaped, shown)


def safe_value(name: str, value: object) -> Safe:
    """The value as it may be shown under this name."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Secret) or name.lower().replace("-", "_") in MASKED_NAMES:
        return MASK
    match value:
        case Enum():
            return safe_value(name, value.value)
        case int() | float():
            return value
        case str():
            return safe_text(value)
        case BaseException():
            return safe_text(told(value))
        case list() | tuple() | set() | frozenset():
            shown = [safe_value(name, item) for item in list(value)[:_MOST_ITEMS]]
            return [*shown, f"... ({len(value) - _MOST_ITEMS} more)"] if len(value) > _MOST_ITEMS else shown
        case dict():
            return {safe_text(str(key)): safe_value(str(key), item) for key, item in list(value.items())[:_MOST_ITEMS]}
        case _:
            return f"<{type(value).__name__}>"


def told(error: BaseException) -> str:
    """What is said of an exception: its type, and its words where they are ours or the operating system's."""
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of {', '.join(dict.fromkeys(told(one) for one in error.exceptions))}"
    if isinstance(error, FaultError):
        return f"{name}: {error.fault.kind}: {error.fault.recorded}"
    if isinstance(error, OSError):
        return f"{name}: {error.strerror}" if error.strerror else name
    return f"{name}: {error}" if type(error).__module__.partition(".")[0] == "freehold" else name


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
