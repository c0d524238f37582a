"""Ollama's `/api/generate`, spoken both ways: a second codec of the same format. This module satisfies `wire.codec.Codec`.

A prompt is a chat of one user message, with `system` before it. With a `suffix` it is no chat but a text with a gap, which a
runtime that speaks Completions fills in too. `raw`, `template` and `context` have no meaning elsewhere: they reach a runtime that
speaks Ollama, and every other one refuses them.
"""

from freehold.chat import Reply, WireFormat
from freehold.wire.codec import Asked, Pipe, Reader, Writer
from freehold.wire.ndjson import KEEP_ALIVE, STREAM_TYPE
from freehold.wire.ollama.envelope import describe
from freehold.wire.ollama.envelope import peek_generate as peek
from freehold.wire.ollama.faults import read_fault, write_fault
from freehold.wire.ollama.reader import ReplyReader
from freehold.wire.ollama.relay import LineRelay, relay_request, relay_whole
from freehold.wire.ollama.request_in import read_generate_request as read_request
from freehold.wire.ollama.request_out import write_generate_request as write_request
from freehold.wire.ollama.writer import ReplyWriter, write_load_answer, write_reply

FORMAT: WireFormat = "ollama"
PATH = "/api/generate"


def relay_pipe(asked: Asked) -> Pipe:
    """See `wire.codec.Codec.relay_pipe`."""
    return LineRelay(asked)


def reader() -> Reader:
    """See `wire.codec.Codec.reader`."""
    return ReplyReader()


def writer(asked: Asked) -> Writer:
    """See `wire.codec.Codec.writer`."""
    return ReplyWriter(asked, is_chat=False)


def write_whole(reply: Reply, asked: Asked) -> bytes:
    """See `wire.codec.Codec.write_whole`."""
    return write_reply(reply, asked, is_chat=False)


def write_load(asked: Asked, *, unloads: bool) -> bytes:
    """The answer to a request without a prompt."""
    return write_load_answer(asked, is_chat=False, unloads=unloads)


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
    "write_load",
    "write_request",
    "write_whole",
    "writer",
]
