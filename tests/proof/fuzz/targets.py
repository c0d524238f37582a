# ruff: noqa: PT017 - each target runs outside pytest, and judges what it caught
"""What is fuzzed: one function of bytes for each parser. It returns, or raises what a defect raises."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freehold.chat import fold
from freehold.config import ConfigError, read_config
from freehold.fault import FaultError, Kind, Source
from freehold.gateways.connection import Connection
from freehold.gateways.connector import Address
from freehold.gateways.head import write_head
from freehold.wire import embeddings, multipart, token_counts
from freehold.wire.blocks import strictly
from freehold.wire.codec import Asked, Codec, Sent
from freehold.wire.formats import CODECS
from freehold.wire.retry_after import LONGEST_S, read_retry_after
from freehold.wire.singles import SINGLE_SHOTS
from freehold.wire.sse import SseSplitter
from freehold.wire.translate import TranslatePipe
from support.client_http import cut_and_repeat, read_clients

ASKED = Asked(model="m", stream_usage=True, reply_id="req_1", now_s=1_700_000_000)
SENT = Sent(model="x", max_tokens_ceiling=3)
SAMPLES = Path(__file__).resolve().parents[2] / "wire_samples"
CALLERS = {Kind.INVALID_REQUEST, Kind.UNSUPPORTED}


def read_requests(codec: Codec, data: bytes) -> None:
    """A client's body: split, described, relayed, read, and written to every other format."""
    try:
        envelope = codec.peek(data)
        for block in envelope.blocks:
            strictly(codec.describe)(block)
        relayed, _ = codec.relay_request(envelope, SENT)
        request = codec.read_request(envelope)
    except FaultError as error:
        assert error.fault.kind in CALLERS, error
        return
    assert json.loads(relayed)["model"] == "x"
    for other in CODECS.values():
        try:
            json.loads(other.write_request(request, SENT))
        except FaultError as error:
            assert error.fault.meaning.source is Source.CALLER, error


def read_streams(codec: Codec, data: bytes) -> None:
    """An upstream's stream, cut at two places the input chooses: events, relay and translation."""
    first, second, stream = (data[0], data[1], data[2:]) if len(data) > 2 else (0, 0, data)
    pieces = [piece for piece in (stream[:first], stream[first : first + second], stream[first + second :]) if piece]
    reader = codec.reader()
    _upstream(lambda: fold([*(event for piece in pieces for event in reader.feed(piece)), *reader.end()]))
    relay = codec.relay_pipe(ASKED)
    _upstream(lambda: [*map(relay.feed, pieces), relay.end()])
    for other in CODECS.values():
        pipe = TranslatePipe(codec.reader(), other.writer(ASKED))
        _upstream(lambda pipe=pipe: [*map(pipe.feed, pieces), pipe.end()])


def read_replies(codec: Codec, data: bytes) -> None:
    """An upstream's whole answer: relayed, read, and written to every format."""
    _upstream(lambda: codec.relay_whole(data, ASKED))
    try:
        reply = fold(codec.reader().whole(data))
    except FaultError as error:
        assert error.fault.meaning.source is not Source.FREEHOLD, error
        return
    for other in CODECS.values():
        _upstream(lambda other=other: json.loads(other.write_whole(reply, ASKED)))


def read_faults(codec: Codec, data: bytes) -> None:
    """An upstream's error answer, spelled for every client."""
    status = 400 + (data[0] if data else 0) % 200
    fault = codec.read_fault(status, {"retry-after": data[1:9].decode("latin-1")}, data[1:])
    for other in CODECS.values():
        _, headers, body = other.write_fault(fault, "req_1")
        json.loads(body)
        assert all(value.isprintable() for value in headers.values())


def _upstream(call: Callable[[], object]) -> None:
    try:
        call()
    except FaultError as error:
        assert error.fault.meaning.source is not Source.FREEHOLD, error


def split_events(data: bytes) -> None:
    """Server-sent events: cut anywhere, nothing is lost and the same events come out."""
    cut, stream = (data[0], data[1:]) if data else (0, b"")
    told = []
    for pieces in ([stream], [stream[:cut], stream[cut:]]):
        splitter, events, failed = SseSplitter(), [], False
        try:
            for piece in pieces:
                events += splitter.feed(piece)
            events += splitter.feed(b"")
            rest = splitter.rest()
            assert b"".join(event.raw for event in events) + rest == stream
            events += splitter.end()
        except FaultError as error:
            assert error.fault.kind is Kind.INVALID_REPLY
            failed = True
        told.append(([(event.name, event.data) for event in events], failed))
    assert told[0] == told[1]


def read_waits(data: bytes) -> None:
    """`retry-after` in all its forms."""
    first, _, second = data.decode("latin-1").partition("\n")
    for headers in ({"retry-after": first, "date": second}, {"retry-after-ms": first}):
        waits_s = read_retry_after(headers)
        assert waits_s is None or 0 <= waits_s <= LONGEST_S


def write_heads(data: bytes) -> None:
    """A request head on its way out: no value breaks out of its line."""
    name, _, value = data.decode("latin-1").partition("\n")
    try:
        head = write_head(Address(host="h", port=80, tls=False, prefix="/v1"), "POST", "/chat", ((name, value),))
    except FaultError:
        return
    assert head.count(b"\r\n") == 3
    assert b"\n" not in head.replace(b"\r\n", b"")


def decode_config(data: bytes) -> None:
    """A configuration file: read, or every problem named."""
    try:
        read_config(data.decode(errors="replace"), {"HOME": "/nonexistent", "FREEHOLD_LOCAL_ONLY": "1"}, None)
    except ConfigError as error:
        assert str(error)


def read_embeddings(data: bytes) -> None:
    """Embeddings, both ways."""
    try:
        embeddings.relay_request(embeddings.peek(data), "x")
    except FaultError as error:
        assert error.fault.kind in CALLERS, error
    _upstream(lambda: embeddings.relay_reply(data, "m"))


def count_tokens(data: bytes) -> None:
    """Bodies whose tokens are to be counted."""
    try:
        token_counts.peek(data)
    except FaultError as error:
        assert error.fault.kind in CALLERS, error


def read_forms(data: bytes) -> None:
    """Uploaded forms, and the single-shot requests made of them."""
    for content_type in ("multipart/form-data; boundary=b", "application/json"):
        for shot in SINGLE_SHOTS:
            try:
                shot.peek(data, content_type)
            except FaultError as error:
                assert error.fault.kind in CALLERS, error
    try:
        multipart.read_form(data, "multipart/form-data; boundary=b")
    except FaultError as error:
        assert error.fault.kind is Kind.INVALID_REQUEST


class _Stub:
    """A loop, its timers, a transport and a home: whatever is asked of it happens, to no effect."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_named: False if name == "is_closing" else 0.0 if name == "time" else self


def read_upstream(data: bytes) -> None:
    """HTTP from an upstream, cut at a place the input chooses."""
    cut, stream = (data[0], data[1:]) if data else (0, b"")
    stub: Any = _Stub()
    connection = Connection(stub, "h:80", stub)
    connection.connection_made(stub)
    connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", 1.0)
    for piece in (stream[:cut], stream[cut:]):
        if piece:
            connection.data_received(piece)
    connection.connection_lost(None)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": split_events,
    "retry_after": read_waits,
    "head": write_heads,
    "config": decode_config,
    "embeddings": read_embeddings,
    "token_counts": count_tokens,
    "forms": read_forms,
    "upstream_http": read_upstream,
    "client_http": read_clients,
}
for _name, _codec in CODECS.items():
    TARGETS |= {
        f"{_name}_requests": lambda data, codec=_codec: read_requests(codec, data),
        f"{_name}_streams": lambda data, codec=_codec: read_streams(codec, data),
        f"{_name}_replies": lambda data, codec=_codec: read_replies(codec, data),
        f"{_name}_faults": lambda data, codec=_codec: read_faults(codec, data),
    }


def seeds(name: str) -> list[bytes]:
    """Inputs to start from: recorded samples, and small ones of each kind."""
    found = [path.read_bytes() for path in sorted(SAMPLES.glob("*/*")) if path.is_file()]
    if name.endswith("_streams") or name == "sse":
        return [b"\x10\x20" + one for one in found if b"data:" in one] + [b"\x01data: x\n\n", b'\x05\x05{"model":"m"}\n']
    if name.endswith(("_requests", "_replies", "_faults", "token_counts", "embeddings")):
        return [*(one for one in found if one[:1] == b"{"), b'{"model":"m","input":"x","messages":[],"prompt":"x"}']
    return {
        "config": [b'[server]\nport = 1\n[[rules]]\nname = "r"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'],
        "retry_after": [b"5", b"1.5", b"Sun, 06 Nov 1994 08:49:37 GMT\nSun, 06 Nov 1994 08:49:30 GMT"],
        "head": [b"x-name\nvalue"],
        "forms": [
            b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n',
            b'{"model":"m","input":"x","prompt":"p"}',
        ],
        "client_http": [
            cut_and_repeat(
                4, 5, 3, b"\x00\x01\x02\x03\x00", b"GET /a%20b?x=1 HTTP/1.1\r\nhost: h\r\n\r\nHEAD / HTTP/1.1\r\nhost: h\r\n\r\n"
            ),
            cut_and_repeat(0, 26, 60, b"\x01" * 5, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
            cut_and_repeat(
                56, 1024, 999, b"\x01" * 5, b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 999999\r\n\r\n" + b"x" * 1100
            ),
            cut_and_repeat(30, 512, 999, bytes(5), b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 600),
            cut_and_repeat(
                0, 400, 9, bytes(5), b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 12\r\n\r\nabcdefghijkl"
            ),
            cut_and_repeat(
                0, 0, 0, b"\x03" * 5, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nt: 1\r\n\r\n"
            ),
            cut_and_repeat(
                16, 12, 99, b"\x02" * 5, b"GET / HTTP/1.1\r\nx-aaaaaaa: b\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
            ),
            cut_and_repeat(8, 9, 9, bytes(5), b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET * HTTP/1.1\r\n\r\n"),
        ],
        "upstream_http": [
            b"\x09HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            b"\x09HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ],
    }[name]
