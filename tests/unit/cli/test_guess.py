"""The endpoint that a body is meant for is told by its own fields."""

import json

import pytest

from freehold.cli.guess import SHAPES, content_type_of, guess
from freehold.runtime import Abilities
from freehold.server.rehearsal import ENDPOINTS

ABLE = {
    "m": (Abilities(),),
    "e": (Abilities(chat=False, embeddings=True),),
    "i": (Abilities(chat=False, image_generation=True),),
    "s": (Abilities(chat=False, speech=True),),
    "everything": (Abilities(embeddings=True, moderation=True),),
}
HI = [{"role": "user", "content": "hi"}]
FORM = '--{0}\r\nContent-Disposition: form-data; name="{1}"; filename="x"\r\n\r\nxx\r\n'


def guessed(body: object) -> tuple[str, ...]:
    return guess(json.dumps(body).encode(), lambda model: ABLE.get(model, ()))


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        ({"model": "m", "messages": HI}, "/v1/chat/completions"),
        ({"model": "m", "messages": HI, "max_tokens": 9}, "/v1/chat/completions"),
        ({"messages": HI}, "/v1/chat/completions"),
        ({"model": "m", "messages": [{"role": "system", "content": "x"}, *HI], "max_tokens": 9}, "/v1/chat/completions"),
        ({"model": "m", "messages": HI, "max_tokens": 9, "system": "be brief", "temperature": 0}, "/v1/messages"),
        ({"model": "m", "messages": HI, "max_tokens": 9, "tools": [{"name": "f", "input_schema": {}}]}, "/v1/messages"),
        (
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "/v1/messages",
        ),
        ({"model": "m", "messages": HI, "options": {"num_ctx": 4096}}, "/api/chat"),
        ({"model": "m", "prompt": "def f"}, "/v1/completions"),
        ({"model": "unknown", "prompt": "def f", "max_tokens": 9}, "/v1/completions"),
        ({"model": "m", "prompt": "def f", "suffix": "return", "options": {}}, "/api/generate"),
        ({"model": "e", "prompt": "a text", "options": {}}, "/api/embeddings"),
        ({"model": "i", "prompt": "a cat"}, "/v1/images/generations"),
        ({"model": "unknown", "prompt": "a cat", "size": "1024x1024"}, "/v1/images/generations"),
        ({"model": "i", "prompt": "a hat", "images": [{"image_url": "https://x"}]}, "/v1/images/edits"),
        ({"model": "m", "input": "hi"}, "/v1/responses"),
        ({"model": "unknown", "input": HI}, "/v1/responses"),
        ({"model": "unknown", "input": [{"type": "function_call_output", "output": ""}]}, "/v1/responses"),
        ({"model": "unknown", "input": "hi", "instructions": "x", "max_output_tokens": 9}, "/v1/responses"),
        ({"model": "e", "input": "a text"}, "/v1/embeddings"),
        ({"model": "e", "input": ["a text", "another"]}, "/v1/embeddings"),
        ({"model": "unknown", "input": [[1, 2], [3]]}, "/v1/embeddings"),
        ({"model": "unknown", "input": "a text", "encoding_format": "float"}, "/v1/embeddings"),
        ({"model": "e", "input": "a text", "truncate": True}, "/api/embed"),
        ({"input": "is it harmful?"}, "/v1/moderations"),
        ({"model": "unknown", "input": [{"type": "text", "text": "x"}]}, "/v1/moderations"),
        ({"model": "s", "input": "say it"}, "/v1/audio/speech"),
        ({"model": "unknown", "input": "say it", "voice": "alloy"}, "/v1/audio/speech"),
        ({"model": "r", "query": "q", "documents": ["a"]}, "/v1/rerank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_is_taken_for_what_it_looks_like(body: object, endpoint: str):
    assert guessed(body) == (endpoint,)


@pytest.mark.parametrize(
    ("body", "some"),
    [
        ({"model": "unknown", "input": "hi"}, {"/v1/responses", "/v1/embeddings", "/v1/moderations"}),
        ({"model": "everything", "input": ["hi"]}, {"/v1/embeddings", "/v1/moderations"}),
        ({"model": "unknown", "prompt": "x"}, {"/v1/completions", "/v1/images/generations"}),
    ],
)
def test_what_fits_several_is_not_taken_for_one_of_them(body: object, some: set[str]):
    assert some <= set(guessed(body))


def test_what_fits_nothing_is_taken_for_nothing():
    assert guessed({"model": "m"}) == guessed({}) == ()
    assert guess(b"--", lambda _: ()) == guess(b"--x\r\n", lambda _: ()) == ()


def test_what_cannot_be_read_is_left_to_the_reader_of_chats():
    for body in (b"", b"[1]", b"{", b'{"model": "caf\xe9"}'):
        assert guess(body, lambda _: ()) == ("/v1/chat/completions",)


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        (("file", "model"), "/v1/audio/transcriptions"),
        (("image[]", "image[]", "prompt"), "/v1/images/edits"),
        (("image", "n"), "/v1/images/variations"),
    ],
)
def test_a_form_is_told_by_its_fields_and_its_boundary_by_its_beginning(fields: tuple[str, ...], endpoint: str):
    boundary = "==a b'()+_,-./:=?"
    body = ("".join(FORM.format(boundary, name) for name in fields) + f"--{boundary}--\r\n").encode()
    assert content_type_of(body) == f'multipart/form-data; boundary="{boundary}"'
    assert guess(body, lambda _: ()) == (endpoint,)


def test_every_endpoint_that_is_guessed_can_be_rehearsed():
    assert {shape.endpoint for shape in SHAPES} <= set(ENDPOINTS)
