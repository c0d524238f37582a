"""The connector: the one place where sockets open and where egress is judged.

Promised: a call outside its ceiling, or outside the server's, opens no socket and asks no resolver. A local call goes
to a loopback literal or to exactly `localhost`, which is never looked up; every other host is refused before a
lookup, because a lookup is a leak. Whatever was named, the address actually connected is judged again, so a public
name that suddenly points inside ("DNS rebinding") is refused, and link-local and cloud metadata addresses always are.
Names are looked up by `socket.getaddrinfo` in a few threads of its own. Sockets are connected through the `socket`
module, so that audit hooks see them under every event loop, and only then handed to the loop.

Deliberately not done: proxies (their environment variables are not read), DNS caching (the resolver does it), racing
of addresses (they are tried in turn, each with its share of the time left).
"""

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.runtime import Egress

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
LOOKUP_THREADS = 4

_LOCALHOST: tuple[IP, ...] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA: dict[IP, str] = {
    ipaddress.IPv6Address("fd00:ec2::254"): "AWS",
    ipaddress.IPv4Address("100.100.100.200"): "Alibaba Cloud",
    ipaddress.IPv4Address("168.63.129.16"): "Azure",
    ipaddress.IPv4Address("192.0.0.192"): "Oracle Cloud",
}
"""Instance services outside the link-local ranges, from the vendors' own documentation."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~%-]+)*)/?",
    re.ASCII,
)


class Address(msgspec.Struct, frozen=True):
    """Where a runtime listens: a base URL, read once."""

    host: str
    """A name in lower case or an IP literal, without brackets."""
    port: int
    tls: bool
    prefix: str
    """The base URL's path, such as `/v1`, without a slash at its end; often empty."""

    @property
    def authority(self) -> str:
        """`host:port` as the Host header and messages say it; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def read_base_url(url: str) -> Address:
    """Read a runtime's base URL. The only reader of such URLs, so no second one can read it differently.

    Raises ValueError saying what is wrong and what would be right; the text never repeats the URL, which may hold a
    password.
    """
    if "@" in url:
        raise ValueError("a base URL holds no user name or password: put the secret into `api_key`")
    if "?" in url or "#" in url:
        raise ValueError("a base URL has no query and no fragment: end it after the path, such as /v1")
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("a base URL starts with http:// or https://")
    scheme, _, rest = url.partition("://")
    found = _URL.fullmatch(f"{scheme.lower()}://{rest}")
    if found is None:
        raise ValueError("a base URL is http(s)://host:port/path with an ASCII host (punycode for others) and a plain path")
    tls = found["scheme"] == "https"
    port = int(found["port"] or (443 if tls else 80))
    if not 0 < port < 65536:
        raise ValueError("the port of a base URL is 1 to 65535")
    if any(segment in {".", ".."} for segment in found["path"].split("/")):
        raise ValueError("the path of a base URL has no `.` and `..` segments")
    host = found["host"].lower()
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError("the host in brackets is not an IPv6 address") from None
    return Address(host, port, tls, found["path"])


def read_literal(host: str) -> IP | None:
    """The IP address a host spells in its usual form; None for names and for odd spellings such as `127.1`."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def unwrap(peer: IP) -> IP:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(peer, ipaddress.IPv4Address):
        return peer
    if peer in _NAT64:
        return ipaddress.IPv4Address(int(peer) & 0xFFFFFFFF)
    return peer.ipv4_mapped or peer.sixtofour or peer


def judge_peer(peer: IP, egress: Egress, *, named: bool) -> str | None:
    """Why an address must not be talked to; None when it may. `named`: it came from a lookup, not from the operator."""
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    stays = (mapped or peer).is_loopback  # 6to4 and NAT64 forms of 127.0.0.1 leave the machine, so they do not count
    peer = unwrap(peer)
    if peer.is_link_local or peer in _METADATA:
        return "it is a link-local or instance metadata address"
    if peer.is_multicast or peer.is_unspecified or peer == ipaddress.IPv4Address("255.255.255.255"):
        return "it is not the address of one machine"
    if egress is Egress.LOCAL and not stays:
        return "it is not a loopback address, and the call is local"
    if egress is Egress.VENDOR and named and not peer.is_global:
        return "a vendor's name points to a private address: write the address itself if that is meant"
    return None


def refuse(address: Address, why: str, egress: Egress, ceiling: Egress) -> FaultError:
    """The fault of a call that may not leave."""
    return faulty(Kind.EGRESS_REFUSED, f"{address.authority} was not called: {why}", egress=egress.value, ceiling=ceiling.value)


class Connector:
    """Opens every connection of the process, under the server's ceiling and the call's own."""

    def __init__(
        self, server_ceiling: Egress = Egress.VENDOR, *, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    ) -> None:
        self.server_ceiling = server_ceiling
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._threads: ThreadPoolExecutor | None = None

    def admit(self, address: Address, egress: Egress, ceiling: Egress) -> None:
        """Raise FaultError(EGRESS_REFUSED) unless a call of this class may be made under both ceilings.

        Cheap: pooled connections are admitted anew for each call.
        """
        if egress is not ceiling and not egress.within(ceiling):
            raise refuse(address, f"{egress.value} is above the request's ceiling {ceiling.value}", egress, ceiling)
        server = self.server_ceiling
        if egress is not server and not egress.within(server):
            raise refuse(address, f"{egress.value} is above this server's ceiling {server.value}", egress, server)

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: Address,
        *,
        egress: Egress,
        ceiling: Egress,
        timeout_s: float,
    ) -> asyncio.Transport:
        """Connect, judge the peer, shake hands where TLS is asked for, and hand the socket to the running loop.

        Raises FaultError: EGRESS_REFUSED, CONNECT_FAILED, or CONNECT_TIMEOUT when all of it took over `timeout_s`.
        Cancelling closes the socket.
        """
        self.admit(address, egress, ceiling)
        known = self._known_addresses(address, egress, ceiling)
        try:
            async with asyncio.timeout(timeout_s):
                peers = known or await self._look_up(address)
                sock = await self._reach(peers, address, egress, ceiling, timeout_s, named=not known)
                try:
                    return await self._hand_over(sock, protocol_factory, address)
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            raise faulty(
                Kind.CONNECT_TIMEOUT, f"{address.authority} did not accept a connection within {timeout_s:g} s"
            ) from None

    def _known_addresses(self, address: Address, egress: Egress, ceiling: Egress) -> tuple[IP, ...]:
        """Addresses that need no lookup; empty for a name that may be looked up."""
        if address.host == "localhost":
            return _LOCALHOST
        literal = read_literal(address.host)
        if literal is not None:
            return (literal,)
        if egress is Egress.LOCAL:
            raise refuse(address, "a local runtime's host is a loopback address or exactly `localhost`", egress, ceiling)
        return ()

    async def _look_up(self, address: Address) -> tuple[IP, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._pool(), _resolve, address.host, address.port)
        except (OSError, UnicodeError) as error:
            raise faulty(Kind.CONNECT_FAILED, f"the name {address.host} could not be looked up: {_words(error)}") from None
        return interleave(found)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="freehold-lookup")
        return self._threads

    async def _reach(
        self, peers: tuple[IP, ...], address: Address, egress: Egress, ceiling: Egress, timeout_s: float, *, named: bool
    ) -> socket.socket:
        """A connected socket to the first of `peers` that answers and may be talked to."""
        end = asyncio.get_running_loop().time() + timeout_s
        refusal: FaultError | None = None
        failure = "no address"
        for left, peer in zip(range(len(peers), 0, -1), peers, strict=True):
            why = judge_peer(peer, egress, named=named)
            if why is not None:
                refusal = refuse(address, why, egress, ceiling)
                continue
            share_s = (end - asyncio.get_running_loop().time()) / left
            try:
                return await _open(peer, address, share_s, egress, ceiling, named=named)
            except TimeoutError:
                if left == 1:
                    raise
                failure = "no answer"
            except OSError as error:
                failure = _words(error)
        raise refusal or faulty(Kind.CONNECT_FAILED, f"nobody answered at {address.authority}: {failure}")

    async def _hand_over(
        self, sock: socket.socket, protocol_factory: Callable[[], asyncio.Protocol], address: Address
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        tls: ssl.SSLContext | None = None
        if address.tls:
            tls = self._tls = self._tls or await loop.run_in_executor(self._pool(), self._ready_tls)
        try:
            transport, _ = await loop.create_connection(
                protocol_factory, sock=sock, ssl=tls, server_hostname=address.host if tls else None
            )
        except TimeoutError:
            raise
        except (OSError, ssl.SSLError) as error:
            raise faulty(Kind.CONNECT_FAILED, f"no connection with {address.authority}: {_words(error)}") from None
        return transport

    def _ready_tls(self) -> ssl.SSLContext:
        context = self._make_tls()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def close(self) -> None:
        """Let the lookup threads go. A lookup that hangs is not waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def bind_listening(host: str, port: int) -> int:
    """Take an address to listen on, without listening yet; the descriptor of its socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        return sock.detach()
    except BaseException:
        sock.close()
        raise


def adopt(listening_fd: int) -> socket.socket:
    """A bound socket that this process was started with, to listen on; nothing is opened."""
    return socket.socket(fileno=listening_fd)


def accept_waiting(listening: socket.socket, most: int) -> list[socket.socket]:
    """Those who have connected to a listening socket that does not block, at most so many. Raises OSError where the system has no room."""
    taken: list[socket.socket] = []
    try:
        while len(taken) < most:
            client, _ = listening.accept()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            taken.append(client)
    except (BlockingIOError, ConnectionAbortedError):
        pass
    except OSError:
        if not taken:
            raise
    return taken


def interleave(peers: tuple[IP, ...]) -> tuple[IP, ...]:
    """The resolver's order with families in turn, so that one dead family delays only every second try."""
    first = [peer for peer in peers if peer.version == peers[0].version]
    other = [peer for peer in peers if peer.version != peers[0].version]
    mixed: list[IP] = []
    while first or other:
        mixed += [queue.pop(0) for queue in (first, other) if queue]
    return tuple(mixed)


def _resolve(host: str, port: int) -> tuple[IP, ...]:
    """Runs in a lookup thread."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    literals = (read_literal(str(sockaddr[0])) for _, _, _, _, sockaddr in found)
    return tuple(dict.fromkeys(peer for peer in literals if peer is not None))


async def _open(peer: IP, address: Address, timeout_s: float, egress: Egress, ceiling: Egress, *, named: bool) -> socket.socket:
    """Connect to one address; judge what was really connected."""
    sock = socket.socket(socket.AF_INET if peer.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, (str(peer), address.port))
        _judge_connected(sock, address, egress, ceiling, named=named)
    except BaseException:
        sock.close()
        raise
    return sock


def _judge_connected(sock: socket.socket, address: Address, egress: Egress, ceiling: Egress, *, named: bool) -> None:
    reached = read_literal(str(sock.getpeername()[0]))
    why = "its peer address is unknown" if reached is None else judge_peer(reached, egress, named=named)
    if why is not None:
        raise refuse(address, why, egress, ceiling)


def _words(error: OSError | UnicodeError) -> str:
    """An error in words, without the library's numbers and source lines."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed ({error.reason or 'closed'})"
    if isinstance(error, OSError) and error.errno is not None:
        looked_up = isinstance(error, socket.gaierror)
        return ((error.strerror if looked_up else os.strerror(error.errno)) or "failed").lower()
    return "the name is not valid" if isinstance(error, UnicodeError) else "closed by the peer"
