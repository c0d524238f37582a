"""How a fake's answer goes over the wire, step by step, misbehaviour included. Pure: a server plays the steps."""

import msgspec

from freehold.chat import CONTENT_EVENTS, Event, ToolCallDelta, WireFormat, fold
from freehold.gateways.fake.script import Act
from freehold.wire.codec import Asked, Codec


class Send(msgspec.Struct, frozen=True):
    """Write these bytes."""

    data: bytes


class Pause(msgspec.Struct, frozen=True):
    """Wait."""

    seconds: float


class Stall(msgspec.Struct, frozen=True):
    """Be silent until the client leaves."""


class Close(msgspec.Struct, frozen=True):
    """Close the connection, once what was written has gone out."""


Step = Send | Pause | Stall | Close

HTML = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Welcome to the network</h1></body></html>"
SAYS = "the fake runtime was told to fail"

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def whole(status: int, body: bytes, content_type: str = "application/json", **headers: str | None) -> list[Step]:
    """A response with a content length."""
    return [Send(_head(status, content_type, headers) + b"content-length: %d\r\n\r\n" % len(body) + body)]


def _head(status: int, content_type: str, headers: dict[str, str | None]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Scripted')}", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def error_body(wire: WireFormat, status: int, message: str) -> bytes:
    """An error object as the format's own vendor spells it."""
    kind = _TYPES.get(status, "api_error")
    if wire == "ollama":
        return msgspec.json.encode({"error": message})
    if wire == "anthropic_messages":
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def misbehave(act: Act, wire: WireFormat) -> list[Step] | None:
    """The steps of an act that gives no answer at all; None when it gives one, however bad."""
    if act.raw is not None:
        return [Send(act.raw), Close()]
    if act.stall == "before-headers":
        return [Stall()]
    if act.cut == "before-headers":
        return [Close()]
    if act.html:
        return whole(act.status or 200, HTML, "text/html; charset=utf-8", retry_after=act.retry_after)
    if act.status is not None and act.status != 200:
        return whole(act.status, error_body(wire, act.status, SAYS), retry_after=act.retry_after)
    return None


def stream(act: Act, events: list[Event], codec: Codec, asked: Asked) -> list[Step]:
    """The steps of a streamed answer."""
    writer = codec.writer(asked)
    steps: list[Step] = [Send(_head(200, codec.STREAM_TYPE.decode(), {}) + b"transfer-encoding: chunked\r\n\r\n")]
    if act.stall == "after-headers":
        return [*steps, Stall()]
    if act.cut == "after-headers":
        return [*steps, Close()]
    stop_at, ending = _ending(act, events)
    for event in events if stop_at is None else events[:stop_at]:
        if act.slow_s:
            steps.append(Pause(act.slow_s))
        steps += _chunk(writer.write(event))
    if ending is None:
        steps += _chunk(writer.close())
        return [*steps, Send(b"0\r\n\r\n")]
    if ending == "error":
        error = error_body(codec.FORMAT, 529 if codec.FORMAT == "anthropic_messages" else 500, SAYS)
        event_line = b"event: error\n" if codec.FORMAT == "anthropic_messages" else b""
        told = error + b"\n" if codec.FORMAT == "ollama" else event_line + b"data: " + error + b"\n\n"
        return [*steps, *_chunk(told), Send(b"0\r\n\r\n")]
    return [*steps, Stall() if ending == "stall" else Close()]


def _chunk(data: bytes) -> list[Step]:
    return [Send(b"%x\r\n%b\r\n" % (len(data), data))] if data else []


def _ending(act: Act, events: list[Event]) -> tuple[int | None, str | None]:
    """Before which event the stream goes wrong, and how."""
    if act.error_event is not None:
        return _position(events, act.error_event), "error"
    if act.stall is not None:
        return _position(events, act.stall), "stall"
    if act.cut is not None:
        return _position(events, act.cut), "cut"
    return None, None


def _position(events: list[Event], place: str) -> int:
    contents = [at for at, event in enumerate(events) if isinstance(event, CONTENT_EVENTS)] or [1]
    if place in {"first", "before-content"}:
        return contents[0]
    deltas = [at for at, event in enumerate(events) if isinstance(event, ToolCallDelta)]
    if place == "in-tool" and deltas:
        return deltas[0] + 1
    return contents[(len(contents) + 1) // 2] if len(contents) > 1 else contents[0] + 1


def unstreamed(act: Act, events: list[Event], codec: Codec, asked: Asked) -> list[Step]:
    """The steps of a whole answer."""
    body = codec.write_whole(fold(events), asked)
    if act.error_event is not None:
        body = error_body(codec.FORMAT, 500, SAYS)
    [sent] = whole(200, body)
    assert isinstance(sent, Send)
    before: list[Step] = [Pause(act.slow_s)] if act.slow_s else []
    place = act.stall or act.cut
    if place is None:
        return [*before, sent]
    head_only = place in {"after-headers", "before-content"}
    kept = len(sent.data) - (len(body) if head_only else len(body) // 2)
    return [*before, Send(sent.data[:kept]), Stall() if act.stall else Close()]
