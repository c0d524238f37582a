"""OpenAI Completions, spoken both ways. This package satisfies `wire.codec.Codec`.

`envelope` splits a request, `request` reads it for other formats, `fim` writes a prompt that fills in the middle, `reader`
and `writer` read and write replies, `relay` passes both through, `chunks` holds the shapes of replies.
"""

from freehold.chat import WireFormat
from freehold.wire.codec import Asked, Pipe, Reader, Writer
from freehold.wire.openai_completions.envelope import describe, peek
from freehold.wire.openai_completions.reader import CompletionReader
from freehold.wire.openai_completions.relay import RelayPipe, relay_request, relay_whole
from freehold.wire.openai_completions.request import read_request, write_request
from freehold.wire.openai_completions.writer import CompletionWriter, write_whole
from freehold.wire.openai_faults import read_fault, write_fault
from freehold.wire.sse import KEEP_ALIVE, STREAM_TYPE

FORMAT: WireFormat = "openai_completions"
PATH = "/completions"


def relay_pipe(asked: Asked) -> Pipe:
    """See `wire.codec.Codec.relay_pipe`."""
    return RelayPipe(asked)


def reader() -> Reader:
    """See `wire.codec.Codec.reader`."""
    return CompletionReader()


def writer(asked: Asked) -> Writer:
    """See `wire.codec.Codec.writer`."""
    return CompletionWriter(asked)


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
