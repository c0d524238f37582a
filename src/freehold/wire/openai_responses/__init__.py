"""OpenAI's Responses format, spoken both ways, without anything stored. This package satisfies `wire.codec.Codec`.

`peek` splits a request; `request_in` with `items_in` and `request_out` with `items_out` read and write it, `tools` says
what becomes of tools that are no functions. `reader` reads replies (`shapes`), `writer` writes them (`items`, `echo`);
`thinking` says whose encrypted thinking is whose; `relay` passes both through. Errors are OpenAI's (`wire.openai_faults`).
"""

from freehold.chat import WireFormat
from freehold.wire.codec import Asked, Pipe, Reader, Writer
from freehold.wire.openai_faults import read_fault, write_fault
from freehold.wire.openai_responses.peek import describe, peek
from freehold.wire.openai_responses.reader import ResponsesReader
from freehold.wire.openai_responses.relay import RelayPipe, relay_request, relay_whole
from freehold.wire.openai_responses.request_in import read_request
from freehold.wire.openai_responses.request_out import write_request
from freehold.wire.openai_responses.writer import ResponsesWriter, write_whole
from freehold.wire.sse import KEEP_ALIVE, STREAM_TYPE

FORMAT: WireFormat = "openai_responses"
PATH = "/responses"


def relay_pipe(asked: Asked) -> Pipe:
    """See `wire.codec.Codec.relay_pipe`."""
    return RelayPipe(asked)


def reader() -> Reader:
    """See `wire.codec.Codec.reader`."""
    return ResponsesReader()


def writer(asked: Asked) -> Writer:
    """See `wire.codec.Codec.writer`."""
    return ResponsesWriter(asked)


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
