"""What of an upstream's own report is believed, and fit to be kept.

Promised: a report that no model can have earned is none, and a name is one short line of printable characters. Not done:
estimating what was not reported; who counted the answer does that.
"""

from freehold.chat import Usage

MOST_TOKENS = 1_000_000_000
"""A report of more is no report."""
LONGEST_NAME = 200


def shown(name: str | None) -> str | None:
    """A name as an upstream says it, fit to be shown: of one line, and not long."""
    if name is None or (len(name) <= LONGEST_NAME and name.isprintable()):
        return name
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])


def believed(usage: Usage | None) -> Usage | None:
    """None for a report that no model can have earned: it would be charged, and no column holds it."""
    if (
        usage is None
        or max(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens) <= MOST_TOKENS
    ):
        return usage
    return None
