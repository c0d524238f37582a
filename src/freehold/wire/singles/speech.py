"""Text to speech: the answer is audio, sent on as it comes, or events that end with `speech.audio.done`.

Source: OpenAI's `CreateSpeechRequest` and its stream events. Promised: what goes out is declared as audio, whatever a
runtime says it is. Not done: looking into the audio.
"""

from typing import Literal

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.singles.shape import JsonBody, SingleEnvelope, SingleShot, check_model, read_json

AUDIO_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""By `response_format`."""


class _Asked(msgspec.Struct, frozen=True):
    input: str
    model: str
    instructions: str | None = None
    stream_format: Literal["audio", "sse"] | None = None


_ASKED = msgspec.json.Decoder(_Asked)


def peek_speech(body: bytes, _content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    sent, read = read_json(body, _ASKED)
    if not read.input:
        raise faulty(Kind.INVALID_REQUEST, "input: must not be empty", param="input")
    return SingleEnvelope(
        sent=sent,
        model=check_model(read.model, None),
        names_model=True,
        stream=read.stream_format == "sse",
        reply="audio",
        texts=(f"{read.instructions or ''} {read.input}".strip(),),
    )


def audio_type(said: str, envelope: SingleEnvelope) -> str:
    """The content type that goes out: the runtime's where it is one of audio, else what was asked for."""
    plain = said.partition(";")[0].strip().lower()
    kind, _, rest = plain.partition("/")
    if kind == "audio" and rest and all(letter.isascii() and (letter.isalnum() or letter in ".+-") for letter in rest):
        return plain
    asked = bytes(envelope.sent.top.get("response_format", b"null")) if isinstance(envelope.sent, JsonBody) else b"null"
    return AUDIO_TYPES.get("mp3" if asked == b"null" else asked.strip(b'"').decode(), "application/octet-stream")


SPEECH = SingleShot(operation="speech", path="/audio/speech", peek=peek_speech, done=frozenset({"speech.audio.done"}))
