"""What every single-shot operation has in common: the envelope, the edit of `model`, what a reply shows.

Promised: a relay keeps the client's bytes but for `model`, in JSON and in forms alike; what is not understood passes.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec

from freehold.chat import Usage
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import PROMPT_FIELDS, UNREADABLE, refusal, refuse_repeats, split_top
from freehold.wire.codec import EditName
from freehold.wire.multipart import Form, is_multipart, read_form
from freehold.wire.openai_faults import read_fault
from freehold.wire.steering import refuse_steering

SingleOperation = Literal["image_generation", "transcription", "speech", "moderation", "rerank"]
"""Also the name of the ability that a deployment needs for it."""
ReplyKind = Literal["json", "text", "audio"]

LONGEST_MODEL_CHARS = 500

_S = TypeVar("_S", bound=msgspec.Struct)
_encode = msgspec.json.Encoder().encode
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING = msgspec.Raw(b"")


class JsonBody(msgspec.Struct, frozen=True):
    """A JSON request, its top level split."""

    body: bytes
    top: dict[str, msgspec.Raw]
    content_type: str = "application/json"

    def with_model(self, model: str) -> bytes:
        """The body naming another model."""
        return _encode({**self.top, "model": msgspec.Raw(_encode(model))})


class FormBody(msgspec.Struct, frozen=True):
    """A multipart request; its boundary is kept, and so is the content type that names it."""

    form: Form
    content_type: str

    @property
    def body(self) -> bytes:
        """The very bytes."""
        return self.form.body

    def with_model(self, model: str) -> bytes:
        """The body naming another model."""
        return self.form.with_text("model", model)

    def texts(self) -> tuple[str, ...]:
        """Every field that is no file, and the names of those that are."""
        return self.form.texts()


class SingleEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A request, as far as a decision and a relay need it."""

    sent: JsonBody | FormBody
    model: str
    """The model asked for; the operation's documented default where the client named none."""
    names_model: bool
    """The client said which."""
    stream: bool = False
    """Server-sent events were asked for."""
    reply: ReplyKind = "json"
    """What a whole answer is."""
    texts: tuple[str, ...] = ()
    """What is counted as prompt; each has the window to itself."""
    inputs: int = 1
    """Texts, documents or files that are worked on."""
    images: int = 0
    """Images that came with the request, as bytes or by address. We never fetch one."""
    choices: int = 1


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply showed."""

    usage: Usage | None = None
    answered_model: str | None = None
    edits: tuple[EditName, ...] = ()
    images: int | None = None
    audio_s: float | None = None


class SingleShot(msgspec.Struct, frozen=True, kw_only=True):
    """One operation at one path."""

    operation: SingleOperation
    path: str
    """Below a runtime's base URL, such as `/images/edits`."""
    peek: Callable[[bytes, str], SingleEnvelope]
    """Body and content type in, envelope out. Raises FaultError(INVALID_REQUEST) naming the field."""
    holds: str = ""
    """The top-level field that every whole JSON reply has; a reply without it is none."""
    holds_list: bool = True
    """And whether that field is a list, which must not be empty."""
    done: frozenset[str] = frozenset()
    """Types of the events that end a stream; `[DONE]` ends any."""


class _Seconds(msgspec.Struct, frozen=True):
    """A report in seconds of audio (`TranscriptTextUsageDuration`)."""

    type: Literal["duration"]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class _InputDetails(msgspec.Struct, frozen=True):
    """Shares of the tokens in."""

    audio_tokens: int | None = None
    image_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    """Tokens, as any of these operations spells them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None
    """As transcriptions spell it."""


class _Reply(msgspec.Struct, frozen=True):
    model: str | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_REPLY = msgspec.json.Decoder(_Reply)
_USAGE = msgspec.json.Decoder(_Usage)
_SECONDS = msgspec.json.Decoder(_Seconds)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def read_json(body: bytes, decoder: "msgspec.json.Decoder[_S]") -> tuple[JsonBody, _S]:
    """A JSON request split and checked. Raises FaultError(INVALID_REQUEST) naming the field."""
    top = split_top(body)
    try:
        read = decoder.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    for key in PROMPT_FIELDS & top.keys():
        value = bytes(top[key])
        if value[:1] in b"[{" and b"{" in value:
            refuse_repeats(value, key)
    return JsonBody(body, top), read


def read_multipart(body: bytes, content_type: str, files: tuple[str, ...]) -> FormBody:
    """A multipart request read; one of `files` must be in it, as a file. Raises FaultError(INVALID_REQUEST)."""
    if not is_multipart(content_type):
        raise faulty(Kind.INVALID_REQUEST, "content-type: this endpoint takes multipart/form-data", param="content-type")
    form = read_form(body, content_type)
    refuse_steering([part.name for part in form.parts])
    given = [part for part in form.parts if part.name in files]
    if not given or not all(part.is_file and part.end > part.start for part in given):
        complaint = "is empty or not a file" if given else "is missing"
        raise faulty(Kind.INVALID_REQUEST, f"{files[0]}: {complaint}; send it as a file of the form", param=files[0])
    return FormBody(form, content_type)


def flag(form: Form, name: str) -> bool:
    """A boolean field of a form. Raises FaultError(INVALID_REQUEST)."""
    said = (form.text(name) or "").strip().lower()
    if said in {"true", "1"}:
        return True
    if said in {"", "false", "0", "null", "none"}:
        return False
    raise faulty(Kind.INVALID_REQUEST, f"{name}: must be true or false", param=name)


def number(form: Form, name: str, default: int) -> int:
    """A small whole number of a form, at least 1. Raises FaultError(INVALID_REQUEST)."""
    said = (form.text(name) or "").strip()
    if not said or said == "null":
        return default
    if not (said.isascii() and said.isdecimal() and len(said) <= 4) or int(said) < 1:
        raise faulty(Kind.INVALID_REQUEST, f"{name}: must be a whole number of at least 1", param=name)
    return int(said)


def check_model(model: str | None, default: str | None) -> str:
    """The model to ask for. Raises FaultError(INVALID_REQUEST) where none is named and there is no default."""
    if model is None and default is not None:
        return default
    if not model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    if len(model) > LONGEST_MODEL_CHARS:
        raise faulty(Kind.INVALID_REQUEST, f"model: is longer than {LONGEST_MODEL_CHARS} characters", param="model")
    return model


def relay_request(envelope: SingleEnvelope, model: str) -> tuple[bytes, tuple[EditName, ...]]:
    """The client's body with only `model` edited; the very same bytes where it already is the runtime's name."""
    if envelope.names_model and envelope.model == model:
        return envelope.sent.body, ()
    return envelope.sent.with_model(model), ("model",)


def relay_json(body: bytes, shot: SingleShot, asked_model: str) -> tuple[bytes, Shown]:
    """A runtime's whole JSON reply with only `model` edited. Raises FaultError(INVALID_REPLY), or what its error means."""
    try:
        if not body.isascii():
            body.decode()  # what stays raw JSON is not looked at otherwise
        read, top = _REPLY.decode(body), _TOP.decode(body)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no {shot.operation} reply: {error}") from None
    if is_said(read.error):
        raise FaultError(read_fault(200, {}, body))
    held = bytes(top.get(shot.holds, b""))
    if not held.startswith(b"[" if shot.holds_list else b'"') or (shot.holds_list and not held[1:-1].strip()):
        raise faulty(Kind.INVALID_REPLY, f"the runtime's {shot.operation} reply has no `{shot.holds}`")
    edits: tuple[EditName, ...] = ()
    if read.model is not None and read.model != asked_model:
        edits, body = ("reply_model",), _encode({**top, "model": msgspec.Raw(_encode(asked_model))})
    return body, Shown(
        usage=read_usage(read.usage),
        answered_model=read.model or None,
        edits=edits,
        images=len(_LIST.decode(held)) if shot.operation == "image_generation" else None,
        audio_s=read_audio_s(read.usage),
    )


def is_said(raw: msgspec.Raw) -> bool:
    """Whether a field is there and not null."""
    return bytes(raw) not in {b"", b"null"}


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Tokens as reported; None where there are none, or the report is in seconds."""
    if not is_said(raw):
        return None
    try:
        said = _USAGE.decode(raw)
    except UNREADABLE:
        return None  # an odd report is as good as none; the reply itself may be fine
    counted = said.input_tokens if said.input_tokens is not None else said.prompt_tokens
    if counted is None and said.total_tokens is not None:
        counted = said.total_tokens - (said.output_tokens or 0)
    if counted is None or min(counted, said.output_tokens or 0) < 0:
        return None
    shares = said.input_tokens_details or said.input_token_details or _InputDetails()
    heard = min(max(shares.audio_tokens or 0, 0), counted)
    return Usage(
        input_tokens=counted,
        output_tokens=said.output_tokens or 0,
        audio_input_tokens=heard,
        image_input_tokens=min(max(shares.image_tokens or 0, 0), counted - heard),
        basis="reported",
    )


def read_audio_s(raw: msgspec.Raw) -> float | None:
    """Seconds of audio as reported; None where there is no such report."""
    try:
        return _SECONDS.decode(raw).seconds if is_said(raw) else None
    except UNREADABLE:
        return None
