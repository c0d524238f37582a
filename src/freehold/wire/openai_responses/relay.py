"""Passes the Responses format through to a client of the same format: the bytes are kept but for the named edits.

Request: `model`, `max_tokens_clamped`, `search_left_out`, `engine_options`. Reply: `reply_model`, the `model` of the response
object, whole or inside an event, and `end_mark`: the last event is given the blank line it lacks, what comes behind it is left
out. Every other event leaves as the very bytes that came. A response that fails before it said anything is raised as its fault, so that another deployment may be tried; amid a stream it is told in this client's own response.
"""

import msgspec

from freehold.fault import Fault, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked, EditName, Envelope, Sent, Tap
from freehold.wire.openai_responses.shapes import (
    CALLS,
    ENDS,
    WireEvent,
    WireItem,
    WireResponse,
    read_event,
    read_finish,
    read_response,
    read_usage,
    refuse_many,
)
from freehold.wire.openai_responses.tools import without_searches
from freehold.wire.openai_responses.writer import ResponsesWriter
from freehold.wire.relay import EventRelay
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_MODEL = b'"model"'


def relay_request(envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
    """See `wire.codec.Codec.relay_request`. Engine options win over the client's own: the operator pins them."""
    changed: dict[str, msgspec.Raw] = {}
    edits: list[EditName] = []
    if envelope.model != sent.model:
        changed["model"] = msgspec.Raw(_encode(sent.model))
        edits.append("model")
    ceiling = sent.max_tokens_ceiling
    if ceiling is not None and (envelope.max_tokens is None or envelope.max_tokens > ceiling):
        changed["max_output_tokens"] = msgspec.Raw(b"%d" % ceiling)
        edits.append("max_tokens_clamped")
    if not sent.searches and (left := without_searches(envelope.top)):
        changed.update(left)
        edits.append("search_left_out")
    options = {key: value for key, value in sent.extra.items() if envelope.top.get(key) != value}
    if options:
        changed.update(options)
        edits.append("engine_options")
    if not changed:
        return envelope.body, ()
    return _encode({**envelope.top, **changed}), tuple(edits)


class RelayPipe(EventRelay):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_asked", "_calls", "_created_s", "_ended", "_next", "_refused", "_reply_id")

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked
        self._calls: set[object] = set()
        self._refused = False
        self._ended = False
        self._reply_id = ""
        self._created_s: int | None = None
        self._next = 0

    def fault(self, fault: Fault) -> bytes:
        """The end of this very response: the id it began with, the next number."""
        writer = ResponsesWriter(self._asked)
        if self._reply_id:
            writer.resume(self._reply_id, self._created_s, self._next)
        return writer.fault(fault)

    def _require_whole(self) -> None:
        if not self._ended:
            raise faulty(Kind.BROKEN_STREAM, "the runtime closed its stream before the response was completed")

    def _pass(self, block: SseEvent) -> bytes:
        if not block.data or self._ended:
            return self._pass_silent(block)
        if block.data == b"[DONE]":
            return block.raw
        event = read_event(block.data, block.name)
        if event.sequence_number is not None:
            self._next = event.sequence_number + 1
        else:
            self._next += 1
        if event.response is not None:
            return self._pass_response(event, event.response, block)
        if event.item is not None:
            self._note_item(event.item, event.output_index)
        elif event.delta:
            self.tap.content = True
            self._refused = self._refused or event.type == "response.refusal.delta"
        return block.raw

    def _note_item(self, item: WireItem, at: int | None) -> None:
        if item.type in CALLS:
            self._calls.add(item.id or item.call_id if at is None else at)
            self.tap.tool_calls = len(self._calls)
            refuse_many(len(self._calls))
            self.tap.content = True
        elif _says_something(item):
            self.tap.content = True

    def _pass_response(self, event: WireEvent, response: WireResponse, block: SseEvent) -> bytes:
        tap = self.tap
        if response.id:
            self._reply_id = response.id
        if response.created_at is not None:
            self._created_s = int(response.created_at)
        if response.model:
            tap.answered_model = response.model
        if response.usage is not None:
            tap.usage = read_usage(response.usage)
        if event.type in ENDS:
            self._ended = True
            for at, item in enumerate(response.output or ()):
                if not self._calls or item.type not in CALLS:
                    self._note_item(item, at)
            tap.finish = read_finish(response, called=tap.tool_calls > 0, refused=self._refused)
        if not response.model or response.model == self._asked.model or _MODEL not in block.data:
            return block.raw
        tap.edits.add("reply_model")
        top = _read_object(block.data)
        top["response"] = msgspec.Raw(_rename(_read_object(top["response"]), self._asked.model))
        name = b"event: %b\n" % block.name if block.name else b""
        return b"%bdata: %b\n\n" % (name, _encode(top).replace(b"\n", b" "))


def _rename(response: dict[str, msgspec.Raw], model: str) -> bytes:
    response["model"] = msgspec.Raw(_encode(model))
    return _encode(response)


def _says_something(item: WireItem) -> bool:
    parts = [*(item.content or ()), *(item.summary or ())]
    return any(part.text or part.refusal for part in parts)


def relay_whole(body: bytes, asked: Asked) -> tuple[bytes, Tap]:
    """See `wire.codec.Codec.relay_whole`. An answer that is worked on in the background is passed on as it stands."""
    response = read_response(body)
    tap = Tap()
    tap.answered_model = response.model or None
    tap.usage = None if response.usage is None else read_usage(response.usage)
    output = response.output or []
    tap.tool_calls = sum(item.type in CALLS for item in output)
    tap.content = bool(output)
    if response.status not in {"queued", "in_progress"}:
        refused = any(part.type == "refusal" for item in output for part in item.content or ())
        tap.finish = read_finish(response, called=tap.tool_calls > 0, refused=refused)
    if not response.model or response.model == asked.model:
        return body, tap
    try:
        top = _read_object(body)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no response object: {error}") from None
    tap.edits.add("reply_model")
    return _rename(top, asked.model), tap
