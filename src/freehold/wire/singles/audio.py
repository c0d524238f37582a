"""Speech to text: transcriptions and translations of an uploaded file.

Source: OpenAI's `CreateTranscriptionRequest`, `CreateTranslationRequest` and their answers: JSON, plain text formats, or
events that end with `transcript.text.done`. A runtime that does not stream may answer `stream=true` whole.
"""

from freehold.fault import Kind, faulty
from freehold.wire.singles.shape import ReplyKind, SingleEnvelope, SingleShot, check_model, flag, read_multipart

_TEXT_FORMATS = frozenset({"text", "srt", "vtt"})
_JSON_FORMATS = frozenset({"json", "verbose_json", "diarized_json"})


def peek_upload(body: bytes, content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    sent = read_multipart(body, content_type, ("file",))
    form = sent.form
    return SingleEnvelope(
        sent=sent,
        model=check_model(form.text("model"), None),
        names_model=True,
        stream=flag(form, "stream"),
        reply=_reply_kind(form.text("response_format") or "json"),
        texts=(form.text("prompt") or "",),
    )


def _reply_kind(asked: str) -> ReplyKind:
    if asked not in _TEXT_FORMATS and asked not in _JSON_FORMATS:
        valid = ", ".join(sorted(_TEXT_FORMATS | _JSON_FORMATS))
        raise faulty(Kind.INVALID_REQUEST, f"response_format: must be one of {valid}", param="response_format")
    return "text" if asked in _TEXT_FORMATS else "json"


_DONE = frozenset({"transcript.text.done"})

TRANSCRIPTIONS = SingleShot(
    operation="transcription", path="/audio/transcriptions", peek=peek_upload, holds="text", holds_list=False, done=_DONE
)
TRANSLATIONS = SingleShot(
    operation="transcription", path="/audio/translations", peek=peek_upload, holds="text", holds_list=False, done=_DONE
)
