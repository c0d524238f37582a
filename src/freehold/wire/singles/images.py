"""Images: generations, edits and variations.

Source: OpenAI's `CreateImageRequest`, `CreateImageEditRequest`, `EditImageBodyJsonParam`, `CreateImageVariationRequest`,
`ImagesResponse` and their stream events. An edit comes as a form with files or as JSON that points at images; an
address in it is passed on to vendors alone and never fetched by us.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.multipart import is_multipart
from freehold.wire.singles.shape import (
    SingleEnvelope,
    SingleShot,
    check_model,
    flag,
    number,
    read_json,
    read_multipart,
)

DEFAULT_MODEL = "gpt-image-1"
"""What stands for a missing `model`: OpenAI documents a choice by the other fields, which none but it can make."""
DEFAULT_VARIATION_MODEL = "dall-e-2"
MOST_IMAGES = 10
"""`n` may not be larger, in OpenAI's schema."""


class _Asked(msgspec.Struct, frozen=True):
    prompt: str
    model: str | None = None
    n: int | None = None
    stream: bool | None = None
    images: list[msgspec.Raw] | None = None


_ASKED = msgspec.json.Decoder(_Asked)


def _peek_json(body: bytes) -> SingleEnvelope:
    sent, read = read_json(body, _ASKED)
    if not read.prompt:
        raise faulty(Kind.INVALID_REQUEST, "prompt: must not be empty", param="prompt")
    return SingleEnvelope(
        sent=sent,
        model=check_model(read.model, DEFAULT_MODEL),
        names_model=read.model is not None,
        stream=bool(read.stream),
        texts=(read.prompt,),
        images=len(read.images or ()),
        choices=_check_n(1 if read.n is None else read.n),
    )


def _peek_form(body: bytes, content_type: str, default: str) -> SingleEnvelope:
    sent = read_multipart(body, content_type, ("image", "image[]"))
    form, model = sent.form, sent.form.text("model")
    return SingleEnvelope(
        sent=sent,
        model=check_model(model, default),
        names_model=model is not None,
        stream=flag(form, "stream"),
        texts=(form.text("prompt") or "",),
        images=sum(part.is_file for part in form.parts),
        choices=_check_n(number(form, "n", 1)),
    )


def _check_n(asked: int) -> int:
    if not 1 <= asked <= MOST_IMAGES:
        raise faulty(Kind.INVALID_REQUEST, f"n: must be 1 to {MOST_IMAGES}", param="n")
    return asked


def peek_generation(body: bytes, _content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    return _peek_json(body)


def peek_edit(body: bytes, content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    if not is_multipart(content_type):
        envelope = _peek_json(body)
        if not envelope.images:
            raise faulty(Kind.INVALID_REQUEST, "images: name at least one, or send a form with a file `image`", param="images")
        return envelope
    envelope = _peek_form(body, content_type, DEFAULT_MODEL)
    if not envelope.texts[0]:
        raise faulty(Kind.INVALID_REQUEST, "prompt: must not be empty", param="prompt")
    return envelope


def peek_variation(body: bytes, content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    return _peek_form(body, content_type, DEFAULT_VARIATION_MODEL)


GENERATIONS = SingleShot(
    operation="image_generation",
    path="/images/generations",
    peek=peek_generation,
    holds="data",
    done=frozenset({"image_generation.completed"}),
)
EDITS = SingleShot(
    operation="image_generation", path="/images/edits", peek=peek_edit, holds="data", done=frozenset({"image_edit.completed"})
)
VARIATIONS = SingleShot(operation="image_generation", path="/images/variations", peek=peek_variation, holds="data")
