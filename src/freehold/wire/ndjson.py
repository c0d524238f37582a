"""Splits a byte stream into lines of JSON (NDJSON), cut anywhere.

Source: ndjson-spec 1.0 (lines end in LF, a CR before it is white space, empty lines may be passed over). Promised: the `raw` of
all lines joined is exactly what was fed; the same bytes give the same lines however they were cut; time is linear in the
bytes. Not done: the JSON itself is read by whoever knows its shape.
"""

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.sse import LONGEST_EVENT_BYTES, SseEvent

STREAM_TYPE = b"application/x-ndjson"
KEEP_ALIVE = b""
"""The format has no comments, and clients read every line as JSON: an empty one breaks them."""
LINE_END = b"\n"
_WHITE = b" \t\r\n"


class LineSplitter:
    """One stream being split. A line is an event without a name, so that relays treat both kinds of stream alike."""

    __slots__ = ("_fault", "_held", "_longest_bytes")

    def __init__(self, longest_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._held = bytearray()
        self._longest_bytes = longest_bytes
        self._fault: FaultError | None = None

    def feed(self, data: bytes) -> list[SseEvent]:
        """The lines these bytes complete.

        Raises FaultError(INVALID_REPLY) for a line over the bound; where good lines stand before it, they are returned
        first and the next call raises.
        """
        if self._fault is not None:
            raise self._fault
        if self._held:
            if data.find(LINE_END) < 0:
                self._held += data
                return self._bounded([])
            data = bytes(self._held) + data
            self._held.clear()
        lines = data.split(LINE_END)
        self._held += lines.pop()
        return self._bounded([SseEvent(b"", line.strip(_WHITE), line + LINE_END) for line in lines])

    def end(self) -> list[SseEvent]:
        """The stream is over: what is held is the last line, with or without its end."""
        if self._fault is not None:
            raise self._fault
        raw = bytes(self._held)
        self._held.clear()
        return [SseEvent(b"", raw.strip(_WHITE), raw)] if raw else []

    def _bounded(self, events: list[SseEvent]) -> list[SseEvent]:
        if len(self._held) <= self._longest_bytes:
            return events
        self._fault = faulty(
            Kind.INVALID_REPLY, f"the runtime sent one line longer than {self._longest_bytes} bytes without an end"
        )
        if not events:
            raise self._fault
        return events
