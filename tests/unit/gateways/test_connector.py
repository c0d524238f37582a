import asyncio
import socket
from collections.abc import Iterator

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connector import Address, Connector, interleave, judge_peer, read_base_url, read_literal
from freehold.runtime import EGRESS_ORDER, Egress

L, S, V = Egress.LOCAL, Egress.SELF_HOSTED, Egress.VENDOR


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8080/v1", Address("127.0.0.1", 8080, False, "/v1")),
        ("http://127.0.0.1:8080/v1/", Address("127.0.0.1", 8080, False, "/v1")),
        ("https://API.example.com", Address("api.example.com", 443, True, "")),
        ("HTTPS://api.example.com/a/b", Address("api.example.com", 443, True, "/a/b")),
        ("http://[::1]:9/v1", Address("::1", 9, False, "/v1")),
        ("http://[0:0::1]/", Address("::1", 80, False, "")),
        ("http://gpu_box-1.lan:8000", Address("gpu_box-1.lan", 8000, False, "")),
    ],
)
def test_a_base_url_is_read_once_into_an_address(url: str, address: Address) -> None:
    assert read_base_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/v1", "http:// or https://"),
        ("host:80/v1", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("", "http:// or https://"),
        ("http://me:hunter2@host/v1", "api_key"),
        ("http://host\\@evil/v1", "api_key"),
        ("http://host/v1?key=hunter2", "no query"),
        ("http://host/v1#hunter2", "no query"),
        ("http:///v1", "host"),
        ("http://host:0/v1", "port"),
        ("http://host:65536/v1", "port"),
        ("http://host:99999999/v1", "host"),
        ("http://host:/v1", "host"),
        ("http://host\r\nx: y/v1", "host"),
        ("http://host/v1\n", "host"),
        ("http://host/a b", "host"),
        ("http://host/a//b", "host"),
        ("http://host/../v1", "segments"),
        ("http://b\u00fccher.example/v1", "punycode"),
        ("http://[::1/v1", "host"),
        ("http://[12345::1]/v1", "IPv6"),
        ("http://[fe80::1%25eth0]/v1", "host"),
    ],
)
def test_a_base_url_that_is_not_plain_is_refused_in_words_that_repeat_no_secret(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        read_base_url(url)
    assert "hunter2" not in str(caught.value)


def test_the_authority_names_the_port_only_where_it_is_not_the_schemes_own() -> None:
    assert read_base_url("https://a.example").authority == "a.example"
    assert read_base_url("http://a.example:443").authority == "a.example:443"
    assert read_base_url("http://[::1]:80").authority == "[::1]"
    assert read_base_url("http://[::1]:81").authority == "[::1]:81"


@pytest.mark.parametrize(
    ("peer", "classes"),
    [
        # which classes may talk to it: written by the operator as an address / found by a lookup
        ("127.0.0.1", "LSV/LS"),
        ("127.9.9.9", "LSV/LS"),
        ("::1", "LSV/LS"),
        ("::ffff:127.0.0.1", "LSV/LS"),
        ("10.1.2.3", "SV/S"),
        ("192.168.0.9", "SV/S"),
        ("172.16.0.1", "SV/S"),
        ("100.64.0.1", "SV/S"),
        ("fd12::1", "SV/S"),
        ("::ffff:10.0.0.1", "SV/S"),
        ("64:ff9b::a00:1", "SV/S"),
        ("2002:7f00:1::", "SV/S"),  # 127.0.0.1 through a 6to4 relay: it would leave the machine
        ("64:ff9b::7f00:1", "SV/S"),
        ("8.8.8.8", "SV/SV"),
        ("2606:4700::1111", "SV/SV"),
        ("169.254.169.254", "/"),
        ("169.254.1.1", "/"),
        ("::ffff:169.254.169.254", "/"),
        ("64:ff9b::a9fe:a9fe", "/"),
        ("2002:a9fe:a9fe::", "/"),
        ("fe80::1", "/"),
        ("fd00:ec2::254", "/"),
        ("100.100.100.200", "/"),
        ("168.63.129.16", "/"),
        ("192.0.0.192", "/"),
        ("0.0.0.0", "/"),
        ("::", "/"),
        ("224.0.0.1", "/"),
        ("ff02::1", "/"),
        ("255.255.255.255", "/"),
    ],
)
def test_every_class_may_talk_to_its_own_kind_of_address_only(peer: str, classes: str) -> None:
    written, found = classes.split("/")
    address = read_literal(peer)
    assert address is not None
    for egress, letter in ((L, "L"), (S, "S"), (V, "V")):
        assert (judge_peer(address, egress, named=False) is None) is (letter in written), (peer, egress, "written")
        assert (judge_peer(address, egress, named=True) is None) is (letter in found), (peer, egress, "found")


def test_families_are_tried_in_turn() -> None:
    peers = [read_literal(text) for text in ("2606::1", "2606::2", "2606::3", "8.8.8.8", "8.8.4.4")]
    mixed = interleave(tuple(peer for peer in peers if peer is not None))
    assert [str(peer) for peer in mixed] == ["2606::1", "8.8.8.8", "2606::2", "8.8.4.4", "2606::3"]


# Real connections from here on.


class Lookups:
    """Counts lookups and answers them by a table, so that no test asks a real resolver."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.table: dict[str, list[str]] = {}

    def __call__(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (literal, port)) for literal in self.table[host]]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    counter = Lookups()
    monkeypatch.setattr(socket, "getaddrinfo", counter)
    return counter


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Every socket made while the test runs."""
    made: list[socket.socket] = []
    real = socket.socket

    class Noted(real):  # type: ignore[misc, valid-type]  # the class as it is at run time
        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Noted)
    return made


async def connect(host: str, port: int, egress: Egress, ceiling: Egress, server: Egress = V, *, tls: bool = False) -> Kind | None:
    """Connect and say which fault came; None when connected."""
    connector = Connector(server)
    try:
        transport = await connector.connect(
            asyncio.Protocol, Address(host, port, tls, ""), egress=egress, ceiling=ceiling, timeout_s=2.0
        )
    except FaultError as error:
        return error.fault.kind
    finally:
        connector.close()
    transport.abort()
    return None


@pytest.fixture
async def port(serve) -> int:
    return (await serve(lambda _peer, _data: None)).address.port


@pytest.mark.parametrize("egress", list(Egress))
@pytest.mark.parametrize("ceiling", list(Egress))
@pytest.mark.parametrize("server", list(Egress))
async def test_a_call_above_any_ceiling_opens_no_socket(egress, ceiling, server, port, opened, lookups) -> None:
    above = EGRESS_ORDER[egress] > min(EGRESS_ORDER[ceiling], EGRESS_ORDER[server])
    before = len(opened)
    fault = await connect("127.0.0.1", port, egress, ceiling, server)
    assert fault == (Kind.EGRESS_REFUSED if above else None)
    assert (len(opened) == before) is above
    assert lookups.asked == []


@pytest.mark.parametrize(
    "host",
    ["gpu-box", "example.com", "localhost.", "localhost.localdomain", "my.localhost", "127.1", "2130706433", "0x7f.1", "10.0.0.7",
     "8.8.8.8", "fd12::7", "169.254.169.254", "0.0.0.0", "2002:7f00:1::"],
)  # fmt: skip
async def test_a_local_call_to_anything_but_loopback_asks_no_resolver_and_opens_no_socket(host, opened, lookups) -> None:
    lookups.table[host] = ["127.0.0.1"]
    before = len(opened)
    assert await connect(host, 9, L, V) is Kind.EGRESS_REFUSED
    assert lookups.asked == []
    assert len(opened) == before


@pytest.mark.parametrize("egress", list(Egress))
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_is_reached_without_a_lookup(egress, host, port, lookups) -> None:
    assert await connect(host, port, egress, V) is None
    assert lookups.asked == []


@pytest.mark.parametrize(
    ("egress", "found", "fault"),
    [
        (S, ["127.0.0.1"], None),
        (V, ["127.0.0.1"], Kind.EGRESS_REFUSED),
        (V, ["10.0.0.1", "192.168.1.1"], Kind.EGRESS_REFUSED),
        (S, ["169.254.169.254"], Kind.EGRESS_REFUSED),
        (S, ["169.254.169.254", "127.0.0.1"], None),
    ],
)
async def test_a_name_is_judged_by_the_address_it_leads_to(egress, found, fault, port, lookups) -> None:
    lookups.table["model.example"] = found
    assert await connect("model.example", port, egress, V) == fault
    assert lookups.asked == ["model.example"]


async def test_the_address_really_connected_is_judged_again(port, lookups, monkeypatch) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda _self: ("169.254.169.254", 80))
    assert await connect("127.0.0.1", port, S, V) is Kind.EGRESS_REFUSED


async def test_an_unknown_name_is_a_failed_connection(lookups) -> None:
    assert await connect("nowhere.example", 80, V, V) is Kind.CONNECT_FAILED


async def test_a_closed_port_is_a_failed_connection_named_by_its_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(FaultError, match=f"nobody answered at 127.0.0.1:{port}: connection refused") as caught:
            await Connector().connect(asyncio.Protocol, Address("127.0.0.1", port, False, ""), egress=L, ceiling=L, timeout_s=2.0)
    assert caught.value.fault.kind is Kind.CONNECT_FAILED


async def test_localhost_is_tried_on_both_families() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "::1", 0)
    async with server:
        assert await connect("localhost", server.sockets[0].getsockname()[1], L, L) is None


async def test_proxy_variables_are_not_read(port, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await connect("127.0.0.1", port, V, V) is None


async def test_a_peer_that_never_shakes_hands_is_a_connect_timeout_and_its_socket_is_closed(serve) -> None:
    upstream = await serve(lambda _peer, _data: None)
    address = Address("127.0.0.1", upstream.address.port, True, "")
    with pytest.raises(FaultError, match="within 0.05 s") as caught:
        await Connector().connect(asyncio.Protocol, address, egress=L, ceiling=L, timeout_s=0.05)
    assert caught.value.fault.kind is Kind.CONNECT_TIMEOUT
    await upstream.peers[0].gone


async def test_a_peer_that_speaks_no_tls_is_a_failed_connection(serve) -> None:
    upstream = await serve(lambda peer, _data: peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert await connect("127.0.0.1", upstream.address.port, L, L, tls=True) is Kind.CONNECT_FAILED
    await upstream.peers[0].gone


async def test_cancelling_a_connection_under_way_closes_its_socket(serve) -> None:
    heard = asyncio.get_running_loop().create_future()
    upstream = await serve(lambda _peer, _data: heard.done() or heard.set_result(None))
    address = Address("127.0.0.1", upstream.address.port, True, "")
    task = asyncio.ensure_future(Connector().connect(asyncio.Protocol, address, egress=L, ceiling=L, timeout_s=60.0))
    await heard
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.peers[0].gone
