"""How much text lies in a stretch of an answer's stream, in whatever format, cut anywhere. Pure.

Promised: linear in the length; a string that is cut at either end is left out. Not done: telling whose text it is. The keys
are those under which formats send pieces of answers, reasoning and calls.
"""

import contextlib
import re

import msgspec

_KEYS = "content|text|reasoning_content|reasoning|thinking|refusal|partial_json|arguments|delta|input|response"
_STRING = re.compile(rb'"(?:%s)"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")' % _KEYS.encode(), re.DOTALL)
_read = msgspec.json.Decoder(str).decode


def texts_in(data: bytes) -> tuple[int, int]:
    """How many pieces of text there are, empty ones aside, and how long they are together, in bytes of UTF-8."""
    count = size_bytes = 0
    for string in _STRING.findall(data):
        size = len(string) - 2
        if size and b"\\" in string:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # else nobody can read it: its length is as good
                size = len(_read(string).encode("utf-8", "surrogatepass"))
        if size:
            count += 1
            size_bytes += size
    return count, size_bytes
