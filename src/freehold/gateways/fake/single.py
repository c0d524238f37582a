"""The fake's single-shot endpoints: embeddings, the list of models, counts of tokens. Pure."""

import base64
import hashlib
import math
import struct
from typing import Annotated, Literal

import msgspec

from freehold.fault import Kind, faulty
from freehold.gateways.fake.answer import CREATED_S, count_tokens

DIMENSIONS = 64


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """The fields of an OpenAI embeddings request the fake looks at."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] = DIMENSIONS


def embed(body: bytes) -> bytes:
    """Answer an embeddings request. Raises FaultError(INVALID_REQUEST)."""
    try:
        asked = msgspec.json.decode(body, type=EmbeddingRequest)
    except msgspec.DecodeError as error:
        raise faulty(Kind.INVALID_REQUEST, f"the embeddings request is not valid: {error}") from None
    texts = _texts(asked.input)
    tokens = sum(count_tokens(text) for text in texts)
    data: list[dict[str, str | int | list[float]]] = []
    for index, text in enumerate(texts):
        vector = vectorise(text, asked.dimensions)
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed if asked.encoding_format == "base64" else vector})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": asked.model, "usage": usage})


class OllamaEmbedRequest(msgspec.Struct, frozen=True):
    """The fields of an Ollama embed request the fake looks at."""

    model: str
    input: str | list[str]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] = DIMENSIONS


def embed_as_ollama(body: bytes) -> bytes:
    """Answer an Ollama embed request. Raises FaultError(INVALID_REQUEST)."""
    try:
        asked = msgspec.json.decode(body, type=OllamaEmbedRequest)
    except msgspec.DecodeError as error:
        raise faulty(Kind.INVALID_REQUEST, f"the embed request is not valid: {error}") from None
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = [vectorise(text, asked.dimensions) for text in texts]
    counted = sum(count_tokens(text) for text in texts)
    return msgspec.json.encode({"model": asked.model, "embeddings": vectors, "prompt_eval_count": counted})


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    """One text for each vector; token ids stand as words."""
    if isinstance(given, str):
        return [given]
    ids = [str(one) for one in given if isinstance(one, int)]
    if ids:
        return [" ".join(ids)]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in given if not isinstance(one, int)]


def vectorise(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 in which texts that share words lie close: each word adds a direction of its own."""
    total = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        digest = hashlib.shake_128(word.encode()).digest(dimensions)
        total = [value + byte - 127.5 for value, byte in zip(total, digest, strict=True)]
    norm = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / norm for value in total]


def list_models(names: tuple[str, ...]) -> bytes:
    """The list of models, with what both OpenAI's and Anthropic's clients read from it."""
    data = [
        {
            "id": name,
            "object": "model",
            "type": "model",
            "created": CREATED_S,
            "created_at": "2026-01-01T00:00:00Z",
            "owned_by": "fake",
            "display_name": name,
        }
        for name in names
    ]
    ends = {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return msgspec.json.encode({"object": "list", "data": data, **ends})


def complete_count(body: bytes) -> bytes:
    """A count request as a messages request: the same but for `max_tokens`, which a count does not have."""
    try:
        top = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return body  # the codec says what is wrong with it
    return msgspec.json.encode({"max_tokens": 1, **top})
