import pytest

from freehold.fault import FaultError, Kind
from freehold.wire.sse import SseEvent, SseSplitter

MIXED = (
    b'\xef\xbb\xbf: hi\r\n\r\nevent: x\ndata: 1\ndata:2\r\n\nid: 7\nretry: 10\ndata\n\ndata: {"a":1}\n\n\n\n'
    b"data: z\r\rdata: q\n\nevent: named\ndata: one line\n\ndata: end\n"
)
EXPECTED = [
    (b"", b""),
    (b"x", b"1\n2"),
    (b"", b""),
    (b"", b'{"a":1}'),
    (b"", b""),
    (b"", b"z"),
    (b"", b"q"),
    (b"named", b"one line"),
    (b"", b"end"),
]


def split(pieces: list[bytes]) -> list[SseEvent]:
    splitter = SseSplitter()
    return [event for piece in pieces for event in splitter.feed(piece)] + splitter.end()


def test_all_line_ends_names_comments_and_many_data_lines_are_read():
    assert [(event.name, event.data) for event in split([MIXED])] == EXPECTED


def test_any_two_cuts_give_the_same_events():
    whole = split([MIXED])
    for first in range(len(MIXED) + 1):
        for second in range(first, len(MIXED) + 1):
            assert split([MIXED[:first], MIXED[first:second], MIXED[second:]]) == whole


def test_no_byte_is_lost_or_changed():
    assert b"".join(event.raw for event in split([bytes([byte]) for byte in MIXED])) == MIXED


def test_held_bytes_can_be_seen():
    splitter = SseSplitter()
    splitter.feed(b"data: 1\n\ndata: 2")
    assert splitter.rest() == b"data: 2"


@pytest.mark.parametrize("body", [b"<html><body>502</body></html>\n\n", b'{"error":{}}\n\n', b"\x00\x01\n\n", b"<!doctype html>"])
def test_what_is_no_event_stream_is_refused(body: bytes):
    with pytest.raises(FaultError) as caught:
        split([body])
    assert caught.value.fault.kind is Kind.INVALID_REPLY


def test_good_events_before_junk_come_out_first():
    splitter = SseSplitter()
    assert [event.data for event in splitter.feed(b"data: 1\n\n<html>\n\ndata: 2\n\n")] == [b"1"]
    with pytest.raises(FaultError):
        splitter.feed(b"data: 3\n\n")
    with pytest.raises(FaultError):
        splitter.end()


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 200, b"data: x\n" * 30])
def test_an_event_without_an_end_is_bounded(piece: bytes):
    splitter = SseSplitter(longest_bytes=1000)
    with pytest.raises(FaultError, match="longer than 1000 bytes"):
        for _ in range(10):
            splitter.feed(piece)
