"""TLS against real handshakes, with a certificate made for the test by the openssl program."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connector import Address, Connector
from freehold.gateways.http import Call, Upstreams
from freehold.runtime import Egress


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


class Answering(asyncio.Protocol):
    def connection_made(self, transport) -> None:
        self.transport = transport
        self.chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the loop's signature
        body = (self.chosen or "none").encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
async def port(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


def call(host: str, port: int) -> Call:
    return Call(
        address=Address(host, port, True, ""),
        path="/",
        headers=(),
        egress=Egress.LOCAL,
        ceiling=Egress.LOCAL,
        connect_timeout_s=5.0,
        head_timeout_s=5.0,
    )


async def test_a_trusted_peer_is_spoken_to_in_http_1_1_and_kept(port, certificate) -> None:
    upstreams = Upstreams(Connector(tls=lambda: ssl.create_default_context(cafile=certificate)))
    for reused in (False, True):
        exchange = await upstreams.open(call("localhost", port))
        assert await exchange.read(100) == b"http/1.1"
        assert exchange.reused is reused
    await upstreams.close()


async def test_an_untrusted_certificate_is_refused(port) -> None:
    upstreams = Upstreams(Connector())
    with pytest.raises(FaultError, match="its certificate is not trusted") as caught:
        await upstreams.open(call("localhost", port))
    assert caught.value.fault.kind is Kind.CONNECT_FAILED
    await upstreams.close()


async def test_a_certificate_for_another_name_is_refused(port, certificate) -> None:
    upstreams = Upstreams(Connector(tls=lambda: ssl.create_default_context(cafile=certificate)))
    with pytest.raises(FaultError, match="its certificate is not trusted"):
        await upstreams.open(call("127.0.0.1", port))
    await upstreams.close()
