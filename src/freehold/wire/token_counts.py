"""Token counts of the Messages format (`/messages/count_tokens`): one request, one number.

Promised: the body is a Messages body that need not say `max_tokens`, so `describe` and `read_request` of
`wire.anthropic_messages` read its blocks and its whole. Not done: counting; who has the tokenizer counts.
"""

from freehold.wire.anthropic_messages.peek import peek_uncounted as peek

PATH = "/messages/count_tokens"


def write_count(input_tokens: int) -> bytes:
    """The answer's body."""
    return b'{"input_tokens":%d}' % input_tokens


__all__ = ["PATH", "peek", "write_count"]
