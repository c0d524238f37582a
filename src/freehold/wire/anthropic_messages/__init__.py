"""The Messages format of Anthropic, spoken both ways. This package satisfies `wire.codec.Codec`.

`peek` splits a request, `request_in` and `request_out` (with `turns`) read and write it, `reader` and `writer` do the same
for replies, `relay` passes both through, `faults` reads and writes errors; `shapes`, `spelling` and `places` are shared.
"""

from freehold.chat import WireFormat
from freehold.wire.anthropic_messages.faults import read_fault, write_fault
from freehold.wire.anthropic_messages.peek import describe, peek
from freehold.wire.anthropic_messages.reader import MessagesReader
from freehold.wire.anthropic_messages.relay import RelayPipe, has_unsigned_thinking, relay_request, relay_whole
from freehold.wire.anthropic_messages.request_in import read_request
from freehold.wire.anthropic_messages.request_out import write_request
from freehold.wire.anthropic_messages.writer import MessagesWriter, write_whole
from freehold.wire.codec import Asked, Pipe, Reader, Writer
from freehold.wire.sse import KEEP_ALIVE, STREAM_TYPE

FORMAT: WireFormat = "anthropic_messages"
PATH = "/messages"


def relay_pipe(asked: Asked) -> Pipe:
    """See `wire.codec.Codec.relay_pipe`."""
    return RelayPipe(asked)


def reader() -> Reader:
    """See `wire.codec.Codec.reader`."""
    return MessagesReader()


def writer(asked: Asked) -> Writer:
    """See `wire.codec.Codec.writer`."""
    return MessagesWriter(asked)


__all__ = [
    "FORMAT",
    "KEEP_ALIVE",
    "PATH",
    "STREAM_TYPE",
    "describe",
    "has_unsigned_thinking",
    "peek",
    "read_fault",
    "read_request",
    "reader",
    "relay_pipe",
    "relay_request",
    "relay_whole",
    "write_fault",
    "write_request",
    "write_whole",
    "writer",
]
