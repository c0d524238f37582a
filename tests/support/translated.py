"""A whole reply carried from one wire format to another, by the steps an attempt takes."""

from freehold.chat import fold
from freehold.wire.codec import Asked, Codec, Tap
from freehold.wire.translate import note_events


def translate_whole(upstream: Codec, client: Codec, body: bytes, asked: Asked) -> tuple[bytes, Tap]:
    """In the client's format, and what was noted. Raises FaultError(INVALID_REPLY), or the fault an error object means."""
    events = upstream.reader().whole(body)
    tap = Tap()
    note_events(tap, events)
    return client.write_whole(fold(events), asked), tap
