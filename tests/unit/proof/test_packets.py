"""Frames: every one is described, lookups and connections are answered, and checksums are right."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.proof.packets import ANSWER_V4, ANSWER_V6, answers, describe

MACS = b"\x02" * 6 + b"\x04" * 6


def udp4(port: int, data: bytes) -> bytes:
    body = struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0) + bytes([10, 0, 0, 2]) + bytes([9, 9, 9, 9])
    return MACS + b"\x08\x00" + head + body


def tcp6(flags: int, data: bytes = b"") -> bytes:
    body = struct.pack("!HHIIBBHHH", 40000, 443, 7, 9, 5 << 4, flags, 1000, 0, 0) + data
    return MACS + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 6, 64) + bytes(15) + b"\1" + ANSWER_V6.packed + body


def question(kind: int) -> bytes:
    return b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\6secret\7example\0" + struct.pack("!HH", kind, 1)


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize(("kind", "data"), [(1, ANSWER_V4.packed), (28, ANSWER_V6.packed), (16, b"")])
def test_a_lookup_is_named_and_answered(kind: int, data: bytes) -> None:
    frame = udp4(53, question(kind))
    assert (describe(frame).protocol, describe(frame).to, describe(frame).says) == ("dns", "9.9.9.9:53", "secret.example")
    (answer,) = answers(frame)
    assert answer[:12] == MACS[6:] + MACS[:6]
    assert answer.endswith(data)
    assert b"\6secret\7example" in answer
    assert checksum(answer[14:34]) == 0xFFFF, "the header's checksum"
    body = answer[34:]
    assert checksum(answer[26:34] + struct.pack("!BBH", 0, 17, len(body)) + body) == 0xFFFF, "the datagram's checksum"


@pytest.mark.parametrize(
    ("flags", "data", "says", "back"),
    [
        (2, b"", "SYN", [0x12]),
        (16, b"", "ACK", []),
        (24, b"GET /x HTTP/1.1\r\nhost: y\r\n\r\n", "GET /x HTTP/1.1", [0x19]),
        (24, b"\x16\x03\x01\x02\x00hello", "TLS hello", [0x19]),
        (17, b"", "FIN", [0x11]),
        (4, b"", "RST", []),
    ],
)
def test_a_connection_is_accepted_answered_and_ended(flags: int, data: bytes, says: str, back: list[int]) -> None:
    frame = tcp6(flags, data)
    assert (describe(frame).protocol, describe(frame).to, describe(frame).says) == ("tcp", "[2600::1122]:443", says)
    sent = answers(frame)
    assert [answer[54 + 13] for answer in sent] == back
    for answer in sent:
        body = answer[54:]
        assert checksum(answer[22:54] + struct.pack("!IHBB", len(body), 0, 0, 6) + body) == 0xFFFF


@given(
    st.binary(max_size=200)
    | st.binary(max_size=120).map(lambda tail: udp4(53, tail))
    | st.binary(max_size=80).map(lambda t: tcp6(24, t))
)
def test_whatever_comes_is_described_and_never_a_body_is_kept(frame: bytes) -> None:
    assert len(describe(frame).says) <= 60 * 4
    answers(frame)
    answers(frame[:60])
