"""The shapes of Messages replies as they come over the wire, and how one is decoded.

Promised: wrong types are INVALID_REPLY, an error object is raised as the fault it means. Fields nobody reads here are
not looked at.
"""

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.anthropic_messages.faults import read_fault
from freehold.wire.anthropic_messages.spelling import WireUsage
from freehold.wire.body import UNREADABLE

_NOTHING = msgspec.Raw()


class WireBlock(msgspec.Struct, gc=False):
    """A content block of a reply."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING


class WireDelta(msgspec.Struct, gc=False):
    """The delta of a `content_block_delta`, or of a `message_delta`, which has no type."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class WireMessage(msgspec.Struct):
    """A whole reply, or the empty one of `message_start`. `type` is `error` for an error object."""

    type: str = "message"
    id: str | None = None
    model: str | None = None
    content: list[WireBlock] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


class WireEvent(msgspec.Struct, gc=False):
    """Any event of a stream."""

    type: str
    index: int | None = None
    delta: WireDelta | None = None
    content_block: WireBlock | None = None
    message: WireMessage | None = None
    usage: WireUsage | None = None


_read_event = msgspec.json.Decoder(WireEvent).decode
_read_message = msgspec.json.Decoder(WireMessage).decode


def read_event(data: bytes) -> WireEvent:
    """One stream event. Raises FaultError: INVALID_REPLY, or what an error event means."""
    try:
        if not data.isascii():
            data.decode()  # what stays raw JSON is not looked at otherwise
        event = _read_event(data)
    except UNREADABLE as error:
        raise _unreadable(error, data) from None
    if event.type == "error":
        raise FaultError(read_fault(200, {}, data))
    return event


def read_message(body: bytes) -> WireMessage:
    """A whole reply. Raises FaultError: INVALID_REPLY, or what an error object means."""
    try:
        if not body.isascii():
            body.decode()  # what stays raw JSON is not looked at otherwise
        message = _read_message(body)
    except UNREADABLE as error:
        raise _unreadable(error, body) from None
    if message.type == "error":
        raise FaultError(read_fault(200, {}, body))
    if message.type != "message" or (not message.content and b'"content"' not in body):
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer is no message")
    return message


def _unreadable(error: Exception, data: bytes) -> FaultError:
    """Some servers of this format answer with an error object of another one."""
    if b'"error"' in data[:200]:
        return FaultError(read_fault(200, {}, data))
    said = str(error) if isinstance(error, msgspec.DecodeError) else "not valid UTF-8, or nested too deeply"
    return faulty(Kind.INVALID_REPLY, f"the runtime's answer is not in the Messages format: {said}")
