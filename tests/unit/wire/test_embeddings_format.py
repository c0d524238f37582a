import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse

from freehold.fault import FaultError, Kind
from freehold.wire import embeddings


def body_of(said: object, **fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": said, **fields})


@pytest.mark.parametrize(
    ("said", "texts", "tokens"),
    [
        ("hi", ("hi",), ()),
        (["a", "b"], ("a", "b"), ()),
        ([1, 2, 3], (), ((1, 2, 3),)),
        ([[1], [2, 3]], (), ((1,), (2, 3))),
    ],
)
def test_all_four_forms_of_input_are_read(said: object, texts: tuple[str, ...], tokens: tuple[tuple[int, ...], ...]):
    envelope = embeddings.peek(body_of(said))
    assert (envelope.texts, envelope.token_arrays) == (texts, tokens)
    assert envelope.inputs == len(texts) + len(tokens)
    assert (envelope.encoding_format, envelope.dimensions, envelope.user) == ("float", None, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"","input":"x"}', "model"),
        (body_of(""), "input"),
        (body_of([]), "input"),
        (body_of(["a", ""]), "input[1]"),
        (body_of(["a", [1]]), "input[1]"),
        (body_of(["a", 1]), "input[1]"),
        (body_of([[1], []]), "input[1]"),
        (body_of([[-1]]), "input[0]"),
        (body_of(["x"] * 2049), "input"),
        (body_of(5), "input"),
        (body_of([True]), "input[0]"),
        (body_of("x", dimensions=0), "dimensions"),
        (body_of("x", encoding_format="hex"), "encoding_format"),
    ],
)
def test_a_refusal_names_the_field(body: bytes, param: str):
    with pytest.raises(FaultError) as caught:
        embeddings.peek(body)
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.INVALID_REQUEST, param)


def test_a_relay_edits_only_the_model():
    body = b'{"input": ["a"], "model": "asked", "x": 1.50}'
    envelope = embeddings.peek(body)
    assert embeddings.relay_request(envelope, "asked") == (body, ())
    assert embeddings.relay_request(envelope, "served") == (b'{"input":["a"],"model":"served","x":1.50}', ("model",))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_reply_is_what_the_official_client_reads(
    encoding: embeddings.EncodingFormat, fits_openai: Callable[[str, object], None]
):
    vectors = [[0.5, -1.25, 0.0], [1.0, 2.0, 3.0]]
    written = json.loads(embeddings.write_reply(vectors, model="m", encoding_format=encoding, prompt_tokens=7))
    if encoding == "float":
        fits_openai("CreateEmbeddingResponse", written)
        assert [one.embedding for one in CreateEmbeddingResponse.model_validate(written).data] == vectors
    else:
        packed = [base64.b64decode(one["embedding"]) for one in written["data"]]
        assert [list(struct.unpack("<3f", one)) for one in packed] == vectors
    assert written["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert [one["index"] for one in written["data"]] == [0, 1]


def test_a_relayed_reply_says_its_usage_and_carries_the_asked_model():
    body = embeddings.write_reply([[0.5]], model="up", encoding_format="float", prompt_tokens=3)
    renamed, shown = embeddings.relay_reply(body, "asked")
    assert json.loads(renamed) == {**json.loads(body), "model": "asked"}
    assert (shown.vectors, shown.prompt_tokens, shown.answered_model, shown.edits) == (1, 3, "up", ("reply_model",))
    same, shown = embeddings.relay_reply(body, "up")
    assert same is body
    assert shown.edits == ()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", Kind.INVALID_REPLY),
        (b"{}", Kind.INVALID_REPLY),
        (b'{"data":{}}', Kind.INVALID_REPLY),
        (b'{"data":[],"model":"m"}', Kind.INVALID_REPLY),
        (b'{"error":{"message":"x","code":429}}', Kind.RATE_LIMITED),
    ],
)
def test_what_is_no_embeddings_reply_is_a_fault(body: bytes, kind: Kind):
    with pytest.raises(FaultError) as caught:
        embeddings.relay_reply(body, "m")
    assert caught.value.fault.kind is kind
