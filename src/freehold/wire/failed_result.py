"""Says in words that a tool failed, for the formats whose tool results are only text.

Promised: a text that does not begin with the mark, in whatever case, is given it. That it begins with a word such as "errors"
is what a tool said, not that it failed.
"""

MARK = "Error:"


def mark_failed(text: str) -> str:
    """The text of a failed result, its mark in front."""
    if text[: len(MARK)].lower() == MARK.lower():
        return text
    return f"{MARK} {text or 'the tool failed'}"
