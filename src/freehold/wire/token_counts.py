"""Token counts of the Messages format (`/messages/count_tokens`): one request, one number.

Promised: the body is a Messages body that need not say `max_tokens`, so `describe` and `read_request` of
`wire.anthropic_messages` read its blocks and its whole. Not done: counting; who has the tokenizer counts.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.anthropic_messages.peek import peek_uncounted as peek
from freehold.wire.body import UNREADABLE

PATH = "/messages/count_tokens"


class _Count(msgspec.Struct):
    input_tokens: int


_read_count = msgspec.json.Decoder(_Count).decode


def write_count(input_tokens: int) -> bytes:
    """The answer's body."""
    return b'{"input_tokens":%d}' % input_tokens


def read_count(body: bytes) -> int:
    """An upstream's answer. Raises FaultError(INVALID_REPLY)."""
    try:
        return _read_count(body).input_tokens
    except UNREADABLE:
        raise faulty(Kind.INVALID_REPLY, 'the runtime\'s token count is not `{"input_tokens": n}`') from None


__all__ = ["PATH", "peek", "read_count", "write_count"]
