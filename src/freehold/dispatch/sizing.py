"""How much a request as sent can use at most: what its reservation is reckoned from. Pure.

Input: exact where the model's own vocabulary is at hand, else a token for each byte that is sent (no byte-level tokenizer
makes more), and never more than the deployment's window holds. What a vendor puts beside it (the words around tools, the
tokens of an image or a file) is bounded by what vendors document; what a request only points at (a file's id, a stored
conversation) by the window alone. Not done: a vendor's own tools, which go round by themselves (docs/budgets.md).
"""

import re
from collections.abc import Mapping

import msgspec

from freehold.costs.bound import Most
from freehold.features import Features
from freehold.fit.tokens import EXACT
from freehold.runtime import Placed

TOKENS_PER_MESSAGE = 8
"""Around each message; OpenAI's own guide counts 3 or 4."""
TOKENS_AROUND = 32
TOKENS_FOR_TOOLS = 4096
"""Anthropic adds up to 530 to the system prompt where there are tools, and up to 2,700 for its own kinds of tools."""
TOKENS_PER_IMAGE = 50_000
"""OpenAI charges up to 48,169 for one image of the largest size on its small models; others charge less than 6,000."""
TOKENS_PER_IMAGE_MADE = 16_384
"""Of one image in an answer; the largest of `gpt-image-1` has 6,240."""
LOWEST_BYTES_PER_S = 500
"""Of speech in any format that is taken: 4 kbit/s."""
HEARD_TOKENS_PER_S = 32
"""Vendors count 10 to 25 tokens for a second of audio."""
SPOKEN_TOKENS_PER_BYTE = 10
"""A letter spoken takes one or two."""
UNSTATED_ANSWER_TOKENS = 32_768
"""Sent as the limit where neither the client nor the configuration bounds an answer, and something must."""

UNKNOWN_WINDOW_TOKENS = 1_048_576
"""The largest window that is sold."""

POINTING_FIELDS = frozenset({"previous_response_id", "conversation", "container", "mcp_servers"})
"""At the top of a body: what is charged for is kept elsewhere."""
UNCOUNTED_FIELDS = frozenset({"prediction", "functions", "web_search_options", "audio"})
_POINTS = re.compile(
    rb'"(?:file_id|file_url|file_data|input_file|file|document|input_audio|input_video|video_url|container_upload|item_reference)"'
)
_MAY_HIDE = re.compile(rb"\\u00(?:[46][1-9a-fA-F]|5[0-9aAfF]|7[0-9aA])")
"""A letter written as an escape, which no encoder does by itself: then words are not found by looking for them."""


def most_of_chat(
    features: Features, placed: Placed, body: bytes, top: Mapping[str, msgspec.Raw], *, answer_tokens: int | None
) -> Most:
    """A chat or completion whose body is sent like this. `answer_tokens`: the longest that one choice may be."""
    hides = _MAY_HIDE.search(body) is not None
    points = hides or _POINTS.search(body) is not None or not POINTING_FIELDS.isdisjoint(top)
    points = points or (features.wire_format == "openai_responses" and "prompt" in top)
    window = placed.deployment.abilities.context
    around = (TOKENS_FOR_TOOLS if features.tools else 0) + max(features.images, features.fetches) * TOKENS_PER_IMAGE
    if _is_counted(features, placed, top) and not points:
        counted = features.prompt_tokens + features.messages * TOKENS_PER_MESSAGE + TOKENS_AROUND
    else:
        counted = len(body)
    return Most(
        input_tokens=_within(counted + around, window, points=points),
        output_tokens=answer_tokens,
        choices=max(features.choices, 1),
        predicted_tokens=len(bytes(top["prediction"])) if _is_said(top, "prediction") else 0,
        writes_cache=hides or b'"cache_control"' in body or b'"cachePoint"' in body,
        writes_cache_1h=hides or (b'"cache_control"' in body and b'"1h"' in body),
        hears=hides or b'"input_audio"' in body,
        sees=features.images > 0,
        speaks="audio" in top,
        dearer=features.dearer,
    )


def _is_said(top: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in top and bytes(top[name]) != b"null"


def _is_counted(features: Features, placed: Placed, top: Mapping[str, msgspec.Raw]) -> bool:
    """Whether all that this very model reads was counted with its own vocabulary."""
    return (
        features.prompt_tokens_exact
        and placed.model.tokenizer in EXACT
        and features.asked_model in {placed.model.id, placed.id, placed.deployment.served_as}
        and features.wire_format == "openai_chat"
        and not features.schema
        and UNCOUNTED_FIELDS.isdisjoint(top)
    )


def most_of_single(features: Features, placed: Placed, body: bytes, text_bytes: int) -> Most:
    """Any other operation whose body is sent like this; `text_bytes` are those of its texts, without its files."""
    most = _most_of_single(features, placed, body, text_bytes)
    return msgspec.structs.replace(most, dearer=features.dearer) if features.dearer else most


def _most_of_single(features: Features, placed: Placed, body: bytes, text_bytes: int) -> Most:
    able = placed.deployment.abilities
    images = features.images * TOKENS_PER_IMAGE
    match features.operation:
        case "image_generation":
            made = max(features.choices, 1)
            counted = text_bytes + TOKENS_AROUND + images
            longest = able.max_output or TOKENS_PER_IMAGE_MADE
            return Most(input_tokens=counted, output_tokens=longest, choices=made, images=made, sees=images > 0)
        case "transcription":
            seconds = max(len(body) / LOWEST_BYTES_PER_S, 1.0)
            heard = _within(text_bytes + int(seconds * HEARD_TOKENS_PER_S) + TOKENS_AROUND, able.context, points=False)
            said = able.max_output or int(seconds * HEARD_TOKENS_PER_S) + TOKENS_AROUND
            return Most(input_tokens=heard, output_tokens=said, audio_s=seconds, hears=True)
        case "speech":
            said = able.max_output or text_bytes * SPOKEN_TOKENS_PER_BYTE + TOKENS_AROUND
            return Most(input_tokens=text_bytes + TOKENS_AROUND, output_tokens=said, audio_s=float(text_bytes), speaks=True)
        case _:
            # Each input has the window to itself, so it bounds nothing here.
            return Most(input_tokens=len(body) + images, output_tokens=0)


def _within(counted: int, window: int | None, *, points: bool) -> int:
    """No more than the window holds. What a request points at may fill it; without a known window nothing bounds that."""
    if points:
        return max(counted, UNKNOWN_WINDOW_TOKENS) if window is None else window
    return counted if window is None else min(counted, window)


def answer_bound(features: Features, placed: Placed, ceiling: int | None) -> tuple[int, bool]:
    """The longest answer of one choice as it would be sent, and whether a limit has to be sent for that to be true."""
    wanted = features.max_tokens
    stated = wanted if ceiling is None else ceiling if wanted is None else min(wanted, ceiling)
    if stated is not None:
        return max(stated, 1), False
    able = placed.deployment.abilities
    known = able.max_output if able.max_output is not None else able.context
    return (UNSTATED_ANSWER_TOKENS, True) if known is None else (known, False)
