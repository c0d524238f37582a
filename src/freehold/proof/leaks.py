"""Leaks planted on purpose: plain packets out, so that counters that see nothing are found out.

Runs as a process inside the proof's namespace and nowhere else: the first thing it does is to look where it is.
"""

import contextlib
import socket
import sys

from freehold.local.fence import devices

DEVICE = "out0"
HTTP_V4, HTTP_V6 = ("11.22.33.44", 80), ("2600::1122", 80)
PLANTED = ("udp_dns", "tcp_syn", "tcp_syn_v6", "resolver", "multicast", "metadata", "http")


def leak(name: str) -> None:
    """Send what the name says. What comes back does not matter."""
    match name:
        case "udp_dns":
            question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\7planted\4leak\0\0\1\0\1"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(question, ("11.22.33.44", 53))
        case "tcp_syn":
            socket.create_connection(HTTP_V4, 2).close()
        case "tcp_syn_v6":
            socket.create_connection(HTTP_V6, 2).close()
        case "resolver":
            socket.getaddrinfo("planted.leak.test", 443)
        case "multicast":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"planted", ("224.0.0.251", 5353))
        case "metadata":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"planted", ("169.254.169.254", 80))
        case _:
            with socket.create_connection(HTTP_V4, 2) as sock:
                sock.sendall(b"GET /planted HTTP/1.1\r\nhost: leak\r\n\r\n")
                sock.recv(100)


def main() -> None:
    """`NAME`: leak it, and print the packets the device counted before and after."""
    if DEVICE not in devices():
        sys.exit("this is not the proof's namespace, so nothing is leaked here")
    before = devices()[DEVICE]
    with contextlib.suppress(OSError):
        leak(sys.argv[1])
    sys.stdout.write(f"{devices()[DEVICE] - before}\n")


if __name__ == "__main__":
    main()
