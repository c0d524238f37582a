"""The door: which values of Host and Origin may come in, on every path, before anything is read.

A Host that is not on the allow-list may be a name that a web page's owner points at this machine (DNS rebinding); an Origin
that is not is a page in somebody's browser. An address is no such name, so where the server listens to other machines,
whatever address of it they use is taken.
"""

from collections.abc import Iterable, Mapping

import msgspec

from freehold.fault import Fault, Kind
from freehold.gateways.connector import read_literal

DEFAULT_PORTS = frozenset({80, 443})
_SHOWN_CHARS = 100


class Door(msgspec.Struct, frozen=True):
    """Who may knock: values of Host and Origin, lower case."""

    hosts: frozenset[str]
    """`name:port` and, for default ports, `name`."""
    origins: frozenset[str] = frozenset()
    addresses_at: int | None = None
    """The port at which any address may be named; None: those among `hosts` only."""

    def refusal(self, headers: Mapping[str, str]) -> Fault | None:
        """Why this request may not come in; None: it may."""
        host = headers.get("host", "").lower()
        if host not in self.hosts and not self._is_address(host):
            said = f"the Host {host[:_SHOWN_CHARS]!r} is not on the allow-list" if host else "the request names no Host"
            return Fault(kind=Kind.FORBIDDEN, message=f"{said}; add it to server.allowed_hosts", param="host")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self.origins:
            message = f"the Origin {origin[:_SHOWN_CHARS]!r} is not on the allow-list; add it to server.allowed_origins"
            return Fault(kind=Kind.FORBIDDEN, message=message, param="origin")
        return None

    def _is_address(self, host: str) -> bool:
        if self.addresses_at is None:
            return False
        name, _, port = host.rpartition(":")
        if self.addresses_at in DEFAULT_PORTS and not port.isdecimal():
            name, port = host, str(self.addresses_at)
        bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
        return port == str(self.addresses_at) and read_literal(bare) is not None


def make_door(host: str, port: int, allowed_hosts: Iterable[str], allowed_origins: Iterable[str]) -> Door:
    """The names of the address that is listened on, and those that are allowed beside them, at any port where none is said."""
    own = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    added = {name.lower() for name in allowed_hosts}
    names = own | added
    literal = read_literal(host)
    return Door(
        hosts=frozenset({f"{name}:{port}" for name in names} | added | (own if port in DEFAULT_PORTS else set())),
        origins=frozenset(origin.lower() for origin in allowed_origins),
        addresses_at=None if literal is None or literal.is_loopback else port,
    )
