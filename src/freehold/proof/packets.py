"""What a frame is, and what a network that answers everything would answer to it. Pure.

Promised: every frame gets a description, however broken it is. A lookup is answered with an address, a TCP connection is
accepted on every port, what is sent there is answered with an HTTP response and the end: a leak thus goes on to say more.
Formats: RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 1035. Deliberately not done: retransmission, options, fragments.
"""

import ipaddress
import struct

import msgspec

ANSWER_V4 = ipaddress.IPv4Address("11.22.33.44")
"""What every name means here. A public address, so that nothing refuses it for being private; it is never routed."""
ANSWER_V6 = ipaddress.IPv6Address("2600::1122")
HTTP = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{"sink":"hole"}'
_TCP, _UDP = 6, 17
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_SERVER_SEQUENCE = 1_000_000


class Seen(msgspec.Struct, frozen=True):
    """One frame."""

    protocol: str
    """tcp, udp, dns, arp, icmp, icmpv6, or a number."""
    to: str
    """`address:port`, or as much of it as there is."""
    says: str
    """The name looked up, `SYN`, or the first line sent: never more than 60 characters, and never a body."""


class _Packet(msgspec.Struct, frozen=True):
    version: int
    source: bytes
    to: bytes
    protocol: int
    payload: bytes


def describe(frame: bytes) -> Seen:
    """What it is."""
    packet = _read(frame)
    if packet is None:
        kind = struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0
        return Seen("arp" if kind == 0x0806 else f"ethertype {kind:#06x}", "", "")
    host = str(ipaddress.ip_address(packet.to))
    if packet.protocol not in {_TCP, _UDP} or len(packet.payload) < 8:
        return Seen({1: "icmp", 58: "icmpv6"}.get(packet.protocol, f"protocol {packet.protocol}"), host, "")
    port = struct.unpack_from("!H", packet.payload, 2)[0]
    to = f"[{host}]:{port}" if packet.version == 6 else f"{host}:{port}"
    if packet.protocol == _UDP:
        name = _name(packet.payload[8:]) if port in {53, 5353} else None
        return Seen("udp", to, "") if name is None else Seen("dns", to, name[:60])
    return Seen("tcp", to, _tcp_words(packet.payload))


def answers(frame: bytes) -> list[bytes]:
    """The frames that come back."""
    packet = _read(frame)
    if packet is None or len(packet.payload) < 8:
        return []
    if packet.protocol == _UDP:
        answered = _dns_answer(packet.payload)
        return [] if answered is None else [_frame(frame, packet, _udp(packet, answered))]
    if packet.protocol == _TCP and len(packet.payload) >= 20:
        return [_frame(frame, packet, segment) for segment in _tcp_answers(packet)]
    return []


def _read(frame: bytes) -> _Packet | None:
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 34:
        length = (frame[14] & 15) * 4
        total = struct.unpack_from("!H", frame, 16)[0]
        return _Packet(4, frame[26:30], frame[30:34], frame[23], frame[14 + length : 14 + max(total, length)])
    if kind == b"\x86\xdd" and len(frame) >= 54:
        total = struct.unpack_from("!H", frame, 18)[0]
        return _Packet(6, frame[22:38], frame[38:54], frame[20], frame[54 : 54 + total])
    return None


def _tcp_words(segment: bytes) -> str:
    if len(segment) < 20:
        return ""
    flags, data = segment[13], segment[(segment[12] >> 4) * 4 :]
    if data[:2] == b"\x16\x03":
        return "TLS hello"
    if data:
        return data.partition(b"\r\n")[0][:60].decode("ascii", "backslashreplace")
    return "SYN" if flags & _SYN else "FIN" if flags & _FIN else "RST" if flags & _RST else "ACK"


def _name(message: bytes) -> str | None:
    """The first question's name; None: it is no question."""
    if len(message) < 17 or message[2] & 0x80 or message[4:6] == b"\0\0":
        return None
    at, labels = 12, []
    while at < len(message) and 0 < message[at] < 64:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace"))
        at += 1 + message[at]
    return ".".join(labels)


def _dns_answer(datagram: bytes) -> bytes | None:
    message = datagram[8:]
    if struct.unpack_from("!H", datagram, 2)[0] != 53 or _name(message) is None:
        return None
    end = message.index(0, 12) + 5 if 0 in message[12:] else len(message)
    question = message[12:end]
    kind = question[-4:-2]
    data = ANSWER_V4.packed if kind == b"\0\1" else ANSWER_V6.packed if kind == b"\0\x1c" else None
    head = message[:2] + b"\x81\x80\0\1" + (b"\0\0" if data is None else b"\0\1") + b"\0\0\0\0"
    record = b"" if data is None else b"\xc0\x0c" + kind + b"\0\1\0\0\0\x01" + struct.pack("!H", len(data)) + data
    return head + question + record


def _udp(packet: _Packet, data: bytes) -> bytes:
    source, to = struct.unpack_from("!HH", packet.payload)
    return _summed(packet, struct.pack("!HHHH", to, source, 8 + len(data), 0) + data, 6)


def _tcp_answers(packet: _Packet) -> list[bytes]:
    source, to, sequence, acknowledged = struct.unpack_from("!HHII", packet.payload)
    flags, data = packet.payload[13], packet.payload[(packet.payload[12] >> 4) * 4 :]

    def segment(number: int, flags: int, received: int, said: bytes = b"") -> bytes:
        head = struct.pack("!HHIIBBHHH", to, source, number & 0xFFFFFFFF, received & 0xFFFFFFFF, 5 << 4, flags, 65535, 0, 0)
        return _summed(packet, head + said, 16)

    if flags & _RST:
        return []
    if flags & _SYN:
        return [segment(_SERVER_SEQUENCE, _SYN | _ACK, sequence + 1)]
    if data:
        return [segment(acknowledged, _ACK | _PSH | _FIN, sequence + len(data) + bool(flags & _FIN), HTTP)]
    if flags & _FIN:
        return [segment(acknowledged, _ACK | _FIN, sequence + 1)]
    return []


def _summed(packet: _Packet, body: bytes, at: int) -> bytes:
    """With its checksum at byte `at`; addresses swapped, which does not change a sum."""
    pseudo = packet.source + packet.to + struct.pack("!IHBB", len(body), 0, 0, packet.protocol)
    return body[:at] + struct.pack("!H", _sum(pseudo + body) or 0xFFFF) + body[at + 2 :]


def _sum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _frame(frame: bytes, packet: _Packet, body: bytes) -> bytes:
    ethernet = frame[6:12] + frame[:6] + frame[12:14]
    if packet.version == 6:
        return ethernet + struct.pack("!IHBB", 6 << 28, len(body), packet.protocol, 64) + packet.to + packet.source + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, packet.protocol, 0) + packet.to + packet.source
    return ethernet + head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body
