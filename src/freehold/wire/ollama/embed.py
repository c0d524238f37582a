"""Ollama's embeddings, single-shot: `/api/embed`, the older `/api/embeddings`, and both directions of `/api/embed` upstream.

Source: Ollama's docs/openapi.yaml (`EmbedRequest`, `EmbedResponse`) and its api.md for the older form. A client's request becomes
one of OpenAI's shape, which is what is routed. Promised: an input is never cut: `truncate` is off upstream, and a client's
wish to have its text cut is not followed. Vectors pass as the runtime gave them; nothing is normalised here.
"""

from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire import embeddings
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.ollama.faults import read_fault

PATH = "/api/embed"
_encode = msgspec.json.Encoder().encode
_NOTHING = msgspec.Raw(b"")


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[str] | None = None
    dimensions: int | None = None


class _OldRequest(msgspec.Struct, frozen=True):
    model: str
    prompt: str | None = None


class _Vector(msgspec.Struct, frozen=True):
    embedding: msgspec.Raw
    index: int = 0


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    """A reply of OpenAI's shape, as dispatch gives it."""

    model: str
    data: list[_Vector]
    usage: _Usage | None = None


class _Reply(msgspec.Struct, frozen=True):
    """What an Ollama runtime answers."""

    embeddings: list[list[float]] | None = None
    model: str | None = None
    prompt_eval_count: int | None = None
    error: msgspec.Raw = _NOTHING


class Vectors(msgspec.Struct, frozen=True):
    """A runtime's reply, read."""

    vectors: list[list[float]]
    prompt_tokens: int | None
    model: str | None


_REQUEST = msgspec.json.Decoder(_Request)
_OLD = msgspec.json.Decoder(_OldRequest)
_ANSWER = msgspec.json.Decoder(_Answer)
_REPLY = msgspec.json.Decoder(_Reply)


def peek(body: bytes) -> EmbeddingsEnvelope:
    """A request of `/api/embed`. Raises FaultError(INVALID_REQUEST) naming the field."""
    split_top(body)
    try:
        read = _REQUEST.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    asked: dict[str, Any] = {"model": read.model, "input": read.input or []}
    if read.dimensions is not None:
        asked["dimensions"] = read.dimensions
    return embeddings.peek(_encode(asked))


def peek_old(body: bytes) -> EmbeddingsEnvelope:
    """A request of `/api/embeddings`. Raises FaultError(INVALID_REQUEST) naming the field."""
    split_top(body)
    try:
        read = _OLD.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if not read.prompt:
        raise faulty(Kind.INVALID_REQUEST, "prompt: must not be empty", param="prompt")
    return embeddings.peek(_encode({"model": read.model, "input": read.prompt}))


def write_answer(body: bytes, *, total_ns: int) -> bytes:
    """The answer of `/api/embed` from one of OpenAI's shape."""
    answer = _ANSWER.decode(body)
    vectors = [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
    written: dict[str, object] = {"model": answer.model, "embeddings": vectors, "total_duration": total_ns}
    if answer.usage is not None and answer.usage.prompt_tokens is not None:
        written["prompt_eval_count"] = answer.usage.prompt_tokens
    return _encode(written)


def write_old_answer(body: bytes, *, total_ns: int) -> bytes:  # noqa: ARG001 - the older form has no place for it
    """The answer of `/api/embeddings` from one of OpenAI's shape."""
    return _encode({"embedding": _ANSWER.decode(body).data[0].embedding})


def write_request(envelope: EmbeddingsEnvelope, model: str, window: int | None) -> bytes:
    """The request for a runtime that speaks Ollama. Raises FaultError(UNSUPPORTED) for token ids."""
    if envelope.token_arrays:
        said = "input: Ollama embeds no token ids; send the texts, or pick a model that is served in OpenAI's format"
        raise faulty(Kind.UNSUPPORTED, said, param="input")
    body: dict[str, object] = {"model": model, "input": list(envelope.texts), "truncate": False}
    if envelope.dimensions is not None:
        body["dimensions"] = envelope.dimensions
    if window is not None:
        body["options"] = {"num_ctx": window}
    return _encode(body)


def read_reply(body: bytes) -> Vectors:
    """What the runtime answered. Raises FaultError(INVALID_REPLY), or what an error object means."""
    try:
        read = _REPLY.decode(body)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no embeddings reply: {error}") from None
    if read.error and bytes(read.error) != b"null":
        raise FaultError(read_fault(200, {}, body))
    if not read.embeddings:
        raise faulty(Kind.INVALID_REPLY, "the runtime's embeddings reply holds no vectors")
    return Vectors(read.embeddings, read.prompt_eval_count, read.model)
