"""The audit hook: what leaves is named, and a process that tries is stopped. Hooks stay, so the trying is done by a child."""

import subprocess
import sys

import pytest

from freehold.gateways.audit_hook import named_beyond


@pytest.mark.parametrize(
    ("event", "arguments", "beyond"),
    [
        ("socket.connect", (None, ("127.0.0.1", 80)), None),
        ("socket.connect", (None, ("127.9.9.9", 80)), None),
        ("socket.connect", (None, ("::1", 80, 0, 0)), None),
        ("socket.connect", (None, ("::ffff:127.0.0.1", 80, 0, 0)), None),
        ("socket.connect", (None, "/run/some.socket"), None),
        ("socket.connect", (None, ("10.0.0.1", 80)), "10.0.0.1"),
        ("socket.connect", (None, ("0.0.0.0", 80)), "0.0.0.0"),
        ("socket.connect", (None, ("2002:7f00:1::", 80, 0, 0)), "2002:7f00:1::"),
        ("socket.connect", (None, ("64:ff9b::7f00:1", 80, 0, 0)), "64:ff9b::7f00:1"),
        ("socket.connect", (None, ("::ffff:8.8.8.8", 80, 0, 0)), "::ffff:8.8.8.8"),
        ("socket.connect", (None, ("example.com", 80)), "example.com"),
        ("socket.connect", (None, ("127.1", 80)), "127.1"),
        ("socket.sendto", (None, ("8.8.8.8", 53)), "8.8.8.8"),
        ("socket.sendmsg", (None, None), None),
        ("socket.getaddrinfo", ("example.com", 443, 0, 0, 0), "example.com"),
        ("socket.getaddrinfo", (b"example.com", 443, 0, 0, 0), "example.com"),
        ("socket.getaddrinfo", ("localhost", 443, 0, 0, 0), None),
        ("socket.getaddrinfo", (None, 443, 0, 0, 0), None),
        ("socket.getaddrinfo", ("8.8.8.8", 443, 0, 0, 0), None),
        ("socket.gethostbyname", ("example.com",), "example.com"),
        ("socket.gethostbyaddr", ("8.8.8.8",), "8.8.8.8"),
        ("socket.getnameinfo", (("8.8.8.8", 53),), "8.8.8.8"),
        ("socket.getnameinfo", (("127.0.0.1", 53),), None),
    ],
)
def test_what_leaves_is_named_and_what_stays_is_not(event: str, arguments: tuple[object, ...], beyond: str | None) -> None:
    assert named_beyond(event, arguments) == beyond


CHILD = """
import socket, urllib.request
from freehold.gateways.audit_hook import watch_egress
only, told = [True], []
watch_egress(lambda: only[0], lambda event, **facts: told.append((event, facts["by"], facts["to"])))
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
def stopped(act):
    try:
        act()
    except PermissionError:
        return True
    except OSError as error:
        return isinstance(error.__context__, PermissionError) or "stopped" in str(error)
    return False
assert stopped(lambda: socket.create_connection(("203.0.113.1", 9), 0.2))
assert stopped(lambda: socket.getaddrinfo("nobody.invalid", 80))
assert stopped(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.1", 9)))
assert stopped(lambda: urllib.request.urlopen("http://203.0.113.1/", timeout=0.2))
assert len(told) == 3 and all(one[0] == "egress.stopped" for one in told), told
only[0] = False
assert socket.getaddrinfo("8.8.8.8", 1)
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.2", 9))
except PermissionError:
    raise SystemExit("it stops what it should not")
print("held")
"""


def test_code_that_tries_to_leave_is_stopped_and_told_of_while_nothing_may() -> None:
    ran = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "held\n", ran.stderr
