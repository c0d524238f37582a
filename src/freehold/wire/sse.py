"""Splits a byte stream into server-sent events, cut anywhere.

Source: the WHATWG HTML standard, section "Server-sent events" (fields, comments, line ends LF, CR LF and CR).
Promised: the `raw` of all events joined, plus `rest()`, is exactly what was fed, so a relay can forward every byte; the
same bytes give the same events however they were cut; time is linear in the bytes. Not done: `id` and `retry` are
passed over (nothing here reconnects), and a blank line at the very end is not demanded by `end`.

Stricter than the standard in one place: a line that cannot be a field (`<html>`, `{"error"`) is no event stream and is
refused, where a browser would skip it.
"""

import re

import msgspec

from freehold.fault import FaultError, Kind, faulty

STREAM_TYPE = b"text/event-stream; charset=utf-8"
KEEP_ALIVE = b": waiting\n\n"
"""A comment: clients skip it, proxies see a live connection."""
LONGEST_EVENT_BYTES = 8 * 1024 * 1024
"""One event may not be longer: beyond it the upstream is broken or hostile."""

_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
_BLANK_LINE = re.compile(_LINE_END + _LINE_END)
_LINE = re.compile(_LINE_END)
_FIELD = re.compile(rb"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_LF, _CR, _COLON = 10, 13, 58
_BOM = b"\xef\xbb\xbf"


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `data` is b"" for a block that dispatches nothing, such as a comment."""

    name: bytes
    """Of the `event:` field; b"" where there is none."""
    data: bytes
    """All `data:` lines, joined by a line feed."""
    raw: bytes
    """Every byte of it, the blank line included."""


class SseSplitter:
    """One stream being split."""

    __slots__ = ("_fault", "_held", "_longest_bytes")

    def __init__(self, longest_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._held = bytearray()
        self._longest_bytes = longest_bytes
        self._fault: FaultError | None = None

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events these bytes complete.

        Raises FaultError(INVALID_REPLY) for what is no event stream; where good events stand before it, they are
        returned first and the next call raises.
        """
        if self._fault is not None:
            raise self._fault
        if self._held:
            return self._feed_behind_held(data)
        has_cr = data.find(_CR) >= 0
        if not has_cr and data.endswith(b"\n\n"):  # one event of one or two lines in one piece: what runtimes mostly send
            line_end, last = data.find(_LF), len(data) - 2
            if line_end == last and data.startswith(b"data: "):
                return [SseEvent(b"", data[6:last], data)]
            if _is_named(data, line_end) and data.find(_LF, line_end + 1) == last:
                return [SseEvent(data[7:line_end], data[line_end + 7 : last], data)]
        return self._split_any(data) if has_cr else self._split_plain(data)

    def end(self) -> list[SseEvent]:
        """The stream is over: what is held is the last event, with or without its blank line."""
        if self._fault is not None:
            raise self._fault
        raw = bytes(self._held)
        self._held.clear()
        block = raw.rstrip(b"\r\n")
        return [_read_block(block, raw)] if raw else []

    def rest(self) -> bytes:
        """Bytes fed that no event has claimed yet."""
        return bytes(self._held)

    def _feed_behind_held(self, data: bytes) -> list[SseEvent]:
        seen = max(0, len(self._held) - 3)
        self._held += data
        if _BLANK_LINE.search(self._held, seen) is None:
            return self._bounded([])
        whole = bytes(self._held)
        self._held.clear()
        return self._split_any(whole) if b"\r" in whole else self._split_plain(whole)

    def _split_plain(self, data: bytes) -> list[SseEvent]:
        """The usual case: only line feeds."""
        blocks = data.split(b"\n\n")
        self._held += blocks.pop()
        return self._bounded(self._read([(block, block + b"\n\n") for block in blocks]))

    def _split_any(self, data: bytes) -> list[SseEvent]:
        """All three line ends, even mixed. A last CR waits: it may be half of a CR LF."""
        blocks: list[tuple[bytes, bytes]] = []
        start, stop = 0, len(data) - data.endswith(b"\r")
        while (found := _BLANK_LINE.search(data, start)) is not None and found.end() <= stop:
            blocks.append((data[start : found.start()], data[start : found.end()]))
            start = found.end()
        self._held += data[start:]
        return self._bounded(self._read(blocks))

    def _read(self, blocks: list[tuple[bytes, bytes]]) -> list[SseEvent]:
        events: list[SseEvent] = []
        for block, raw in blocks:
            try:
                events.append(_read_block(block, raw))
            except FaultError as error:
                return self._fail(events, error)
        return events

    def _bounded(self, events: list[SseEvent]) -> list[SseEvent]:
        if len(self._held) <= self._longest_bytes:
            return events
        said = f"the runtime sent one stream event longer than {self._longest_bytes} bytes without an end"
        return self._fail(events, faulty(Kind.INVALID_REPLY, said))

    def _fail(self, events: list[SseEvent], error: FaultError) -> list[SseEvent]:
        """Keep the fault for the next call where events came before it, so that cuts change nothing."""
        self._fault = error
        if not events:
            raise error
        return events


def _is_named(block: bytes, line_end: int) -> bool:
    """Whether the first line, which ends there, names the event and the second one is its data."""
    return line_end > 0 and block.startswith(b"data: ", line_end + 1) and block.startswith(b"event: ")


def _read_block(block: bytes, raw: bytes) -> SseEvent:
    """An event from its lines."""
    if block.startswith(b"data: ") and block.find(_LF) < 0 and block.find(_CR) < 0:
        return SseEvent(b"", block[6:], raw)
    line_end = block.find(_LF)
    if _is_named(block, line_end) and block.find(_LF, line_end + 1) < 0 and block.find(_CR) < 0:
        return SseEvent(block[7:line_end], block[line_end + 7 :], raw)
    name = b""
    data: list[bytes] = []
    for line in _LINE.split(block.removeprefix(_BOM)):
        if not line or line[0] == _COLON:  # a comment
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif _FIELD.fullmatch(field) is None:
            raise faulty(Kind.INVALID_REPLY, "the runtime answered with something that is not an event stream")
    return SseEvent(name, b"\n".join(data), raw)
