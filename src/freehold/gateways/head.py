"""The head of a request on its way out.

Promised: nothing that came from elsewhere can break out of its header line. Framing headers (`host`,
`content-length`, `connection` ...) are written here and by nobody else. No `accept-encoding` is sent: answers come
as they are, and a compressed one is refused where it is read.
"""

import re

from freehold.fault import Kind, faulty
from freehold.gateways.connector import Address

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PATH = re.compile(r"/[!-~]*")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_OURS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "accept-encoding",
        "proxy-authorization",
        "proxy-connection",
    }
)


def write_head(address: Address, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The request line and headers, without the line of the content length and the empty line that end it.

    Raises FaultError: INVALID_REQUEST for a header value with control characters or one outside Latin-1, INTERNAL for
    what only a defect of ours can bring here. No value is repeated in a message.
    """
    target = address.prefix + path
    if method not in _METHODS or not _PATH.fullmatch(target):
        raise faulty(Kind.INTERNAL, "an upstream request has a method or a path that cannot be sent")
    lines = [f"{method} {target} HTTP/1.1", f"host: {address.authority}"]
    for name, value in headers:
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise faulty(Kind.INTERNAL, "an upstream request names a header that is not its to set")
        if not _VALUE.fullmatch(value):
            raise faulty(
                Kind.INVALID_REQUEST, f"the value of header {name} has characters a header cannot hold", param=f"headers.{name}"
            )
        lines.append(f"{name}: {value}")
    lines.append("")
    return "\r\n".join(lines).encode("latin-1")


def end_head(head: bytes, method: str, body: bytes) -> bytes:
    """The head with its content length and its end."""
    if not body and method in {"GET", "DELETE"}:
        return head + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n" % (head, len(body))
