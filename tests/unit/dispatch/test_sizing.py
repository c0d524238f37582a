"""How much a request as sent can use: never less than any vendor can count, and no more than its window where that is known."""

import json
from typing import Any

import msgspec
import pytest

from freehold.dispatch.sizing import (
    TOKENS_FOR_TOOLS,
    TOKENS_PER_IMAGE,
    UNKNOWN_WINDOW_TOKENS,
    UNSTATED_ANSWER_TOKENS,
    answer_bound,
    most_of_chat,
    most_of_single,
)
from freehold.fit.tokens import load_counter
from freehold.runtime import Abilities, Deployment, Egress, Model, Placed, Vendor
from freehold.wire.body import split_top
from support.records import features

TEXT = "Wie viele Tokens hat dieser Satz? 数えてみましょう。 def f(x): return x ** 2 " * 20


def place(context: int | None = 200_000, tokenizer: str | None = None, **abilities: Any) -> Placed:
    return Placed(
        deployment=Deployment(id="v/m", model="m", runtime="v", served_as="m", abilities=Abilities(context=context, **abilities)),
        runtime=Vendor(name="v"),
        model=Model(id="m", tokenizer=tokenizer),
        egress=Egress.VENDOR,
    )


def chat(placed: Placed, body: dict[str, Any], **known: Any) -> Any:
    sent = json.dumps(body).encode()
    top = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in body.items()}
    return most_of_chat(features(**({"asked_model": "m"} | known)), placed, sent, top, answer_tokens=100)


def body(content: Any = TEXT, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base"])
def test_bytes_are_never_fewer_than_tokens(tokenizer: str):
    counted = load_counter(tokenizer).count(TEXT)
    assert chat(place(), body()).input_tokens == len(json.dumps(body())) >= counted


def test_an_exact_count_is_taken_where_all_of_it_was_counted_for_this_very_model():
    known = {"prompt_tokens": 500, "prompt_tokens_exact": True, "messages": 1}
    assert chat(place(tokenizer="o200k_base"), body(), **known).input_tokens < 600
    for placed, sent, more in (
        (place(), body(), {}),
        (place(tokenizer="o200k_base"), body(), {"asked_model": "auto"}),
        (place(tokenizer="o200k_base"), body(), {"schema": True}),
        (place(tokenizer="o200k_base"), body(prediction={"type": "content", "content": TEXT}), {}),
        (place(tokenizer="o200k_base"), body(), {"wire_format": "anthropic_messages"}),
    ):
        assert chat(placed, sent, **(known | more)).input_tokens >= len(json.dumps(sent))


def test_the_window_bounds_what_bytes_do_not():
    assert chat(place(context=1000), body(TEXT * 20)).input_tokens == 1000
    assert chat(place(), body(), images=3).input_tokens == len(json.dumps(body())) + 3 * TOKENS_PER_IMAGE
    assert chat(place(), body(), tools=1).input_tokens == len(json.dumps(body())) + TOKENS_FOR_TOOLS


POINTING = [
    body([{"type": "file", "file": {"file_id": "file-1"}}]),
    body([{"type": "document", "source": {"type": "url", "url": "https://x"}}]),
    body(previous_response_id="resp_1"),
    body(conversation="conv_1"),
    body([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]),
]


@pytest.mark.parametrize("sent", POINTING, ids=lambda sent: str(sent)[-60:])
def test_what_a_request_only_points_at_may_fill_the_window(sent: dict[str, Any]):
    assert chat(place(), sent).input_tokens == 200_000
    assert chat(place(context=None), sent).input_tokens == UNKNOWN_WINDOW_TOKENS


def test_words_spelled_with_escapes_hide_nothing():
    plain = json.dumps(body([{"type": "file", "file": {"file_id": "file-1"}}]))
    hidden = plain.replace('"file_id"', '"file\\u005fid"').replace('"file"', '"fil\\u0065"').encode()
    most = most_of_chat(features(), place(), hidden, split_top(hidden), answer_tokens=1)
    assert most.input_tokens == 200_000
    assert most.writes_cache


def test_escapes_that_encoders_write_hide_nothing():
    sent = json.dumps(body("é")).replace("hi", "").encode() + b'"\\u003ca\\u003e \\u0026 \\u0027 \\u00e9"'
    assert not most_of_chat(features(), place(), sent, {}, answer_tokens=1).writes_cache


def test_cache_writes_count_where_the_request_marks_some():
    marked = body([{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}])
    assert chat(place(), marked).writes_cache
    assert not chat(place(), marked).writes_cache_1h
    for_an_hour = body([{"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
    assert chat(place(), for_an_hour).writes_cache_1h
    assert not chat(place(), body()).writes_cache


def test_every_choice_is_paid_for():
    assert chat(place(), body(), choices=4).choices == 4


@pytest.mark.parametrize(
    ("wanted", "able", "ceiling", "bound"),
    [
        (500, place(), None, (500, False)),
        (500, place(), 300, (300, False)),
        (None, place(), 300, (300, False)),
        (None, place(max_output=8000), None, (8000, False)),
        (None, place(), None, (200_000, False)),
        (None, place(context=None), None, (UNSTATED_ANSWER_TOKENS, True)),
    ],
)
def test_an_answer_is_bounded_by_what_is_sent_else_by_what_is_known_else_by_a_limit_of_ours(
    wanted: int | None, able: Placed, ceiling: int | None, bound: tuple[int, bool]
):
    assert answer_bound(features(max_tokens=wanted), able, ceiling) == bound


def single(operation: str, sent: bytes, *, text_bytes: int = 0, placed: Placed | None = None, **known: Any) -> Any:
    return most_of_single(features(operation=operation, **known), placed or place(), sent, text_bytes)


def test_images_are_bounded_by_their_number_and_not_by_the_bytes_that_came_with_them():
    most = single("image_generation", b"x" * 4_000_000, text_bytes=40, choices=3, images=2)
    assert (most.images, most.choices, most.sees) == (3, 3, True)
    assert most.input_tokens < 2 * TOKENS_PER_IMAGE + 200


def test_an_upload_is_bounded_by_the_longest_speech_that_fits_into_it():
    wav_minute = 16_000 * 2 * 60
    assert single("transcription", b"x" * wav_minute).audio_s >= 60
    assert single("transcription", b"x" * (750 * 3600)).audio_s >= 3600  # an hour at 6 kbit/s


def test_every_input_of_an_embedding_counts_though_it_has_the_window_to_itself():
    assert single("embeddings", b"x" * 9000, placed=place(context=512)).input_tokens == 9000


def test_a_predicted_answer_may_be_charged_as_output_beside_the_answer():
    assert chat(place(), body(prediction={"type": "content", "content": TEXT})).predicted_tokens >= len(TEXT.encode())
    assert chat(place(), body(prediction=None)).predicted_tokens == chat(place(), body()).predicted_tokens == 0


def test_what_is_only_named_by_an_address_counts_as_an_image():
    assert chat(place(), body(), fetches=2, images=1).input_tokens >= 2 * TOKENS_PER_IMAGE
