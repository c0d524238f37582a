"""Moderations: whether texts or images are harmful.

Source: OpenAI's `CreateModerationRequest` and `CreateModerationResponse`. An image's address is passed on to vendors
alone, and never fetched here.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.singles.shape import SingleEnvelope, SingleShot, check_model, read_json

DEFAULT_MODEL = "omni-moderation-latest"
MOST_INPUTS = 2048


class _Input(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class _Asked(msgspec.Struct, frozen=True):
    input: str | list[str | _Input]
    model: str | None = None


_ASKED = msgspec.json.Decoder(_Asked)


def peek_moderation(body: bytes, _content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    sent, read = read_json(body, _ASKED)
    inputs = [read.input] if isinstance(read.input, str) else read.input
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise faulty(Kind.INVALID_REQUEST, f"input: must hold 1 to {MOST_INPUTS} entries", param="input")
    texts = [one if isinstance(one, str) else one.text for one in inputs]
    return SingleEnvelope(
        sent=sent,
        model=check_model(read.model, DEFAULT_MODEL),
        names_model=read.model is not None,
        texts=tuple(text for text in texts if text is not None),
        inputs=len(inputs),
        images=sum(not isinstance(one, str) and one.type == "image_url" for one in inputs),
    )


MODERATIONS = SingleShot(operation="moderation", path="/moderations", peek=peek_moderation, holds="results")
