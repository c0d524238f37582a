"""Images as Ollama has them, base64 without a word on what they are, and as the middle has them.

The media type is read from the first bytes. Not done: looking at an image any further.
"""

import re

from freehold.chat import ImagePart
from freehold.fault import Kind, faulty

_BEGINNINGS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""The first bytes of each kind, in base64."""
_DATA_URL = re.compile(r"data:(?:[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)?(?:;[a-zA-Z0-9.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


def read_images(images: list[str] | None, param: str) -> list[ImagePart]:
    """Raises FaultError(INVALID_REQUEST) for what is no image that other formats can be given."""
    return [_read(image, f"{param}.images[{at}]") for at, image in enumerate(images or ())]


def _read(image: str, param: str) -> ImagePart:
    found = _DATA_URL.match(image)
    data = image[found.end() :] if found is not None else image
    for beginning, media_type in _BEGINNINGS.items():
        if data.startswith(beginning):
            return ImagePart(media_type, data)
    raise faulty(Kind.INVALID_REQUEST, f"{param}: must be a PNG, JPEG, GIF or WebP as base64", param=param)


def write_image(image: ImagePart, param: str) -> str:
    """Raises FaultError(UNSUPPORTED) for an image that is not sent along."""
    if image.data is None:
        said = "Ollama fetches no images; send it inline as base64"
        raise faulty(Kind.UNSUPPORTED, f"{param}: {said}", param=param)
    return image.data
