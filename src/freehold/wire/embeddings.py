"""OpenAI embeddings, single-shot: split a request, relay it, and write a reply from vectors.

Source: OpenAI's `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. Promised: what passes has one to 2,048 inputs, none
of them empty; a relay keeps the client's bytes but for `model`; base64 is little-endian float32, as the official clients read it.
Not done: nothing is tokenized, cut or normalised here.
"""

import sys
from array import array
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.openai_faults import read_fault

PATH = "/embeddings"
MOST_INPUTS = 2048

EncodingFormat = Literal["float", "base64"]
EditName = Literal["model", "reply_model"]

_encode = msgspec.json.Encoder().encode
_NOTHING = msgspec.Raw(b"")


class EmbeddingsEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A request, checked."""

    body: bytes
    top: dict[str, msgspec.Raw]
    model: str
    texts: tuple[str, ...]
    """The inputs as texts; empty where the client sent token ids."""
    token_arrays: tuple[tuple[int, ...], ...]
    """The inputs as token ids; empty where the client sent texts."""
    encoding_format: EncodingFormat
    dimensions: int | None
    user: str | None

    @property
    def inputs(self) -> int:
        """How many vectors the reply holds."""
        return len(self.texts) + len(self.token_arrays)


class EmbeddingsReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a relayed reply showed."""

    vectors: int
    prompt_tokens: int | None
    """As reported; None where the runtime reports no usage."""
    answered_model: str | None
    edits: tuple[EditName, ...]


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: EncodingFormat | None = None
    dimensions: int | None = None
    user: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None


class _Reply(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _NOTHING


_REQUEST = msgspec.json.Decoder(_Request)
_REPLY = msgspec.json.Decoder(_Reply)
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])


def peek(body: bytes) -> EmbeddingsEnvelope:
    """Split and check a client's body. Raises FaultError(INVALID_REQUEST) naming the field."""
    top = split_top(body)
    try:
        read = _REQUEST.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if not read.model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    if read.dimensions is not None and read.dimensions < 1:
        raise faulty(Kind.INVALID_REQUEST, "dimensions: must be at least 1", param="dimensions")
    texts, token_arrays = _read_input(read.input)
    return EmbeddingsEnvelope(
        body=body,
        top=top,
        model=read.model,
        texts=texts,
        token_arrays=token_arrays,
        encoding_format=read.encoding_format or "float",
        dimensions=read.dimensions,
        user=read.user,
    )


def relay_request(envelope: EmbeddingsEnvelope, model: str) -> tuple[bytes, tuple[EditName, ...]]:
    """The client's body with only `model` edited; the very same bytes where it already is the runtime's name."""
    if envelope.model == model:
        return envelope.body, ()
    return _encode({**envelope.top, "model": msgspec.Raw(_encode(model))}), ("model",)


def relay_reply(body: bytes, asked_model: str) -> tuple[bytes, EmbeddingsReply]:
    """A runtime's reply with only `model` edited. Raises FaultError(INVALID_REPLY), or what an error object means."""
    try:
        if not body.isascii():
            body.decode()  # what stays raw JSON is not looked at otherwise
        read = _REPLY.decode(body)
        if read.error and bytes(read.error) != b"null":
            raise FaultError(read_fault(200, {}, body))
        if not read.data:
            raise faulty(Kind.INVALID_REPLY, "the runtime's embeddings reply holds no vectors")
        edits: tuple[EditName, ...] = ()
        if read.model is not None and read.model != asked_model:
            edits = ("reply_model",)
            top = _TOP.decode(body)
            top["model"] = msgspec.Raw(_encode(asked_model))
            body = _encode(top)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no embeddings reply: {error}") from None
    shown = EmbeddingsReply(
        vectors=len(read.data),
        prompt_tokens=read.usage.prompt_tokens if read.usage is not None else None,
        answered_model=read.model or None,
        edits=edits,
    )
    return body, shown


def write_reply(vectors: Sequence[Sequence[float]], *, model: str, encoding_format: EncodingFormat, prompt_tokens: int) -> bytes:
    """A reply from vectors, in the order of the inputs."""
    data: list[dict[str, Any]] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _pack(vector) if encoding_format == "base64" else list(vector),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return _encode({"object": "list", "data": data, "model": model, "usage": usage})


def _pack(vector: Sequence[float]) -> str:
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return b64encode(packed.tobytes()).decode()


def _read_input(said: str | list[str | int | list[int]]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Texts or token arrays: one text, a list of texts, one list of token ids, or a list of such lists."""
    inputs: list[Any] = [said] if isinstance(said, str) else said
    if inputs and all(isinstance(one, int) for one in inputs):
        inputs = [inputs]
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise faulty(Kind.INVALID_REQUEST, f"input: must hold 1 to {MOST_INPUTS} entries", param="input")
    kind = type(inputs[0])
    for at, one in enumerate(inputs):
        if type(one) is not kind or not one or isinstance(one, int):
            param = "input" if isinstance(said, str) else f"input[{at}]"
            complaint = "must not be empty" if one in ("", []) else "texts and token ids must not be mixed"
            raise faulty(Kind.INVALID_REQUEST, f"{param}: {complaint}", param=param)
        if kind is list and any(token < 0 for token in one):
            raise faulty(Kind.INVALID_REQUEST, f"input[{at}]: token ids are not negative", param=f"input[{at}]")
    if kind is str:
        return tuple(inputs), ()
    return (), tuple(tuple(one) for one in inputs)
