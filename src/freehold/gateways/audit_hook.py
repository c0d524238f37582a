"""An audit hook: while nothing may leave this machine, Python code that tries to is stopped and told of.

Promised: with the server's ceiling at local, a connection, a datagram or a lookup that Python's own `socket` module would
send beyond loopback raises PermissionError before it is sent, whichever library asked for it, and is logged once per place.

It detects, it does not prove: uvloop's own sockets, C libraries and child programs raise no audit event (PEP 578). Egress
is judged by `gateways.connector`, proven by `freehold prove local-only`, and cut by `freehold serve --fence`.
"""

import sys
from collections.abc import Callable

from freehold.gateways.connector import read_literal

CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"})
MOST_TOLD = 100
"""Places named in the log; a library that tries for ever must not fill it."""


def watch_egress(is_local_only: Callable[[], bool], tell: Callable[..., None]) -> None:
    """Install the hook for as long as this process lives: hooks cannot be taken out again.

    `tell(event, **facts)` gets `egress.stopped` with the event and where it would have gone.
    """
    told: set[tuple[str, str]] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in CONNECTS and event not in LOOKUPS:
            return
        beyond = named_beyond(event, arguments)
        if beyond is None or not is_local_only():
            return
        if (event, beyond) not in told and len(told) < MOST_TOLD:
            told.add((event, beyond))
            tell("egress.stopped", level="error", by=event, to=beyond)
        raise PermissionError(f"{event} to {beyond} was stopped: nothing may leave this machine")

    sys.addaudithook(hook)


def named_beyond(event: str, arguments: tuple[object, ...]) -> str | None:
    """Where a call would go, where that is not this machine's loopback; None: it stays, or asks nobody."""
    if event in CONNECTS:
        address = arguments[1] if len(arguments) > 1 else None
        if not isinstance(address, tuple) or not address:
            return None  # a Unix socket, or one that is connected already
        host = address[0]
        return None if not isinstance(host, str) or _stays(host) else host[:200]
    host = arguments[0][0] if isinstance(arguments[0], tuple) and arguments[0] else arguments[0]
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or host in {"", "localhost"}:
        return None  # nothing is looked up
    if event in {"socket.gethostbyaddr", "socket.getnameinfo"}:
        return None if _stays(host) else host[:200]  # a number is turned into a name by asking somebody
    return None if read_literal(host) is not None else host[:200]


def _stays(host: str) -> bool:
    """Whether it is loopback. 6to4 and NAT64 forms of 127.0.0.1 leave the machine; the IPv4-mapped form does not."""
    literal = read_literal(host.partition("%")[0])
    if literal is None:
        return host == "localhost"
    return literal.is_loopback or (literal.version == 6 and literal.ipv4_mapped is not None and literal.ipv4_mapped.is_loopback)
