"""A port of loopback for a server that is started later, and that nobody else is given meanwhile."""

import socket
import sys


def held_port() -> tuple[int, socket.socket]:
    """A port, and what holds it until it is closed: bound but not listening, so that who connects is refused.

    A server that sets SO_REUSEADDR can listen there all the same, again and again; everybody who takes any free port gets another
    one. A port that is only found and let go of is given away in between now and then, since the parts of `make test` run side by
    side. So it is on Linux; elsewhere the port is let go of.
    """
    holding = socket.socket()
    holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holding.bind(("127.0.0.1", 0))
    port = int(holding.getsockname()[1])
    if sys.platform != "linux":
        holding.close()
    return port, holding
