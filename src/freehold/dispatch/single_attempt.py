"""One try at a single-shot operation, and the answers it can give: whole, or sent on as it comes."""

from freehold.chat import Usage
from freehold.dispatch.answers import Answer, LivePipe, StreamAnswer
from freehold.dispatch.attempt import Attempt, Means
from freehold.dispatch.flight import Flight
from freehold.dispatch.paying import must_reserve, reserve_for_single
from freehold.fault import Fault, Kind, faulty
from freehold.routing.plan import Step
from freehold.wire.openai_faults import read_fault
from freehold.wire.singles.shape import SingleEnvelope, SingleShot, relay_json, relay_request
from freehold.wire.singles.speech import audio_type
from freehold.wire.singles.stream import AudioPipe, SingleEventRelay, write_error_event
from freehold.wire.sse import STREAM_TYPE

MAX_REPLY_BYTES = 256 * 1024 * 1024
"""2,048 vectors of 4,096 numbers written as text are about 160 MB; ten large images as base64 are less."""
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
EVENTS_TYPE = STREAM_TYPE.decode()


class SingleAnswer(Answer):
    """A whole answer, and what it is."""

    __slots__ = ("content_type",)

    def __init__(self, attempt: Attempt, body: bytes, content_type: str) -> None:
        super().__init__(attempt, body)
        self.content_type = content_type


class SingleStream(StreamAnswer):
    """An answer that is sent on as it comes; its first bytes are there."""

    __slots__ = ("content_type",)

    def __init__(self, attempt: Attempt, body: bytes, pipe: AudioPipe | SingleEventRelay | None, content_type: str) -> None:
        super().__init__(attempt, body, pipe)
        self.content_type = content_type

    @property
    def tells_breaks(self) -> bool:
        """A break is told by an event. Audio has none: there only a broken connection can tell."""
        return self.content_type == EVENTS_TYPE

    def _end(self, pipe: LivePipe, broken: Fault | None) -> bytes:
        """As `StreamAnswer._end`; only a stream that said its last event is whole however the connection ended."""
        if broken is not None and self.attempt.tap.finish is None:
            return self._cut(broken)
        return super()._end(pipe, broken)


class SingleAttempt(Attempt):
    """One try at a deployment. Usage is what the runtime reports: none is made up for images or seconds of audio."""

    def __init__(self, means: Means, flight: Flight, step: Step, shot: SingleShot, envelope: SingleEnvelope) -> None:
        super().__init__(means, flight, step, is_relay=True, streams=envelope.stream or envelope.reply == "audio")
        self._shot = shot
        self._envelope = envelope
        self._events: SingleEventRelay | None = None
        """The stream on its way through, where it is one of events."""

    async def answer(self) -> SingleAnswer | SingleStream:
        """Send the request and read its answer, up to the first bytes that may go out. Raises FaultError."""
        envelope, placed = self._envelope, self.step.placed
        body, edits = relay_request(envelope, placed.deployment.served_as)
        self.tap.edits.update(edits)
        if self.flight.budgets and must_reserve(self):
            await reserve_for_single(self, body, sum(len(text.encode("utf-8", "replace")) for text in envelope.texts))
        credentials = self.flight.reaches.find(placed.runtime.name).credentials("openai_chat")
        await self.send(self._shot.path, (("content-type", envelope.sent.content_type), *credentials), body, read_fault)
        said = self.exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        if said == "text/html":
            self.abort()
            raise faulty(
                Kind.INVALID_REPLY, "the runtime answered with an HTML page; is its base_url right, is a proxy in between?"
            )
        if said == "text/event-stream" and envelope.stream:
            self._events = SingleEventRelay(self._shot, envelope.model)
            return await self._begin(self._events, EVENTS_TYPE)
        if envelope.reply == "audio" and said != JSON_TYPE:
            return await self._begin(AudioPipe(), audio_type(said, envelope))
        return await self._whole(said)

    async def _whole(self, said: str) -> SingleAnswer:
        body = await self.whole(MAX_REPLY_BYTES)
        if self._envelope.reply == "text" and said != JSON_TYPE:
            self.content_began()
            return SingleAnswer(self, body, TEXT_TYPE)
        body, shown = relay_json(body, self._shot, self._envelope.model)
        self.tap.edits.update(shown.edits)
        self.tap.answered_model = shown.answered_model
        self.tap.usage = shown.usage
        self.images, self.audio_s = shown.images, shown.audio_s
        self.content_began()
        return SingleAnswer(self, body, JSON_TYPE)

    async def _begin(self, pipe: AudioPipe | SingleEventRelay, content_type: str) -> SingleStream:
        """Read up to the first content: until then a fault falls back."""
        pipe.tap.edits |= self.tap.edits
        self.tap = pipe.tap
        ready: list[bytes] = []
        while data := await self.chunk():
            ready.append(pipe.feed(data))
            if self.tap.content:
                self.content_began()
                return SingleStream(self, b"".join(ready), pipe, content_type)
        ready.append(pipe.end())
        if not self.tap.content:
            raise faulty(Kind.INVALID_REPLY, "the runtime's stream ended before it said anything")
        self.content_began()
        return SingleStream(self, b"".join(ready), None, content_type)

    def spell(self, fault: Fault) -> bytes:
        """See `Attempt.spell`."""
        return write_error_event(fault) if self._events is not None else b""

    def _usage(self) -> Usage | None:
        if self._events is not None:
            self.audio_s = self._events.audio_s
            if self._shot.operation == "image_generation":
                self.images = self._events.done
        return self.tap.usage
