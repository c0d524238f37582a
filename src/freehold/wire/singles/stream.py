"""Single-shot streams on their way through: events with their bytes kept, and audio that is not looked into."""

import msgspec

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Tap
from freehold.wire.openai_faults import read_fault, spell
from freehold.wire.relay import EventRelay
from freehold.wire.singles.shape import SingleShot, is_said, read_audio_s, read_usage
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode
_NOTHING = msgspec.Raw(b"")


class _Event(msgspec.Struct, frozen=True):
    type: str | None = None
    model: str | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_EVENT = msgspec.json.Decoder(_Event)
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])


class SingleEventRelay(EventRelay):
    """Events of one operation. See `wire.codec.Pipe`."""

    __slots__ = ("_asked_model", "_shot", "audio_s", "done")

    def __init__(self, shot: SingleShot, asked_model: str) -> None:
        super().__init__()
        self._shot = shot
        self.audio_s: float | None = None
        """As reported."""
        self.done = 0
        """Events that end a stream: an image each, where it is one of images."""
        self._asked_model = asked_model

    def _pass(self, block: SseEvent) -> bytes:
        data, tap = block.data, self.tap
        if not data:
            return block.raw
        if data.strip() == b"[DONE]":
            tap.finish = "stop"
            return block.raw
        try:
            read = _EVENT.decode(data)
        except UNREADABLE as error:
            raise faulty(Kind.INVALID_REPLY, f"the runtime's stream has an event that is no JSON object: {error}") from None
        if read.type == "error" or block.name == b"error" or is_said(read.error):
            raise FaultError(read_fault(200, {}, data))
        tap.content = True
        tap.usage = read_usage(read.usage) or tap.usage
        self.audio_s = read_audio_s(read.usage) or self.audio_s
        if read.type in self._shot.done:
            tap.finish = "stop"
            self.done += 1
        return block.raw if read.model is None else self._with_model(block, read.model)

    def _with_model(self, block: SseEvent, model: str) -> bytes:
        self.tap.answered_model = model
        if model == self._asked_model:
            return block.raw
        self.tap.edits.add("reply_model")
        edited = _encode({**_TOP.decode(block.data), "model": msgspec.Raw(_encode(self._asked_model))})
        name = b"event: %b\n" % block.name if block.name else b""
        return b"%bdata: %b\n\n" % (name, edited)

    def _require_whole(self) -> None:
        if self.tap.finish is None:
            raise faulty(Kind.BROKEN_STREAM, "the runtime's stream ended without its last event")


class AudioPipe:
    """Audio, byte for byte. See `wire.codec.Pipe`; whether it is whole, the connection alone knows."""

    __slots__ = ("tap",)

    def __init__(self) -> None:
        self.tap = Tap()

    def feed(self, data: bytes) -> bytes:
        """The same bytes."""
        self.tap.content = True
        return data

    def end(self) -> bytes:
        """Nothing is left over. Raises FaultError(INVALID_REPLY) where nothing came."""
        if not self.tap.content:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer holds no audio")
        return b""


def write_error_event(fault: Fault) -> bytes:
    """The event that ends a stream which broke: OpenAI's error object, as its clients read it."""
    return b"data: %b\n\n" % _encode({"type": "error", **spell(fault)})
