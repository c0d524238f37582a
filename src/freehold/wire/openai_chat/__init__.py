"""OpenAI Chat Completions, spoken both ways. This package satisfies `wire.codec.Codec`.

`envelope` splits a request, `request_in` and `request_out` read and write it, `reader` and `writer` do the same for replies,
`relay` passes both through, `chunks` holds the shapes of replies.
"""

from freehold.chat import WireFormat
from freehold.wire.codec import Asked, Pipe, Reader, Writer
from freehold.wire.openai_chat.envelope import describe, peek
from freehold.wire.openai_chat.reader import ChatReader
from freehold.wire.openai_chat.relay import RelayPipe, relay_request, relay_whole
from freehold.wire.openai_chat.request_in import read_request
from freehold.wire.openai_chat.request_out import write_request
from freehold.wire.openai_chat.writer import ChatWriter, write_whole
from freehold.wire.openai_faults import read_fault, write_fault
from freehold.wire.sse import KEEP_ALIVE, STREAM_TYPE

FORMAT: WireFormat = "openai_chat"
PATH = "/chat/completions"


def relay_pipe(asked: Asked) -> Pipe:
    """See `wire.codec.Codec.relay_pipe`."""
    return RelayPipe(asked)


def reader() -> Reader:
    """See `wire.codec.Codec.reader`."""
    return ChatReader()


def writer(asked: Asked) -> Writer:
    """See `wire.codec.Codec.writer`."""
    return ChatWriter(asked)


__all__ = [
    "FORMAT",
    "KEEP_ALIVE",
    "PATH",
    "STREAM_TYPE",
    "describe",
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
