"""The far end of the only way out: sees every frame, answers what can be answered, and tells of each.

A process of its own in a network namespace of its own, as its kernel would otherwise answer too. One JSON line per frame.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from freehold.local.fence import CLONE_NEWNET, unshare
from freehold.proof.packets import answers, describe

DEVICE = "sink0"
_ALL_PROTOCOLS = 0x0003
_MOST_BYTES = 1 << 16
_OUTGOING = 4


def main() -> None:
    """Go into a namespace, say so, wait for the device, then watch it until killed."""
    unshare(CLONE_NEWNET)
    _say({"ready": os.getpid()})
    ip = sys.stdin.readline().strip()
    if not ip:
        return
    Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6").write_text("1")
    subprocess.run([ip, "link", "set", DEVICE, "arp", "off", "multicast", "off", "up"], check=True)  # noqa: S603 - our own words
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as watched:
        watched.bind((DEVICE, _ALL_PROTOCOLS))
        _say({"watching": DEVICE})
        while True:
            frame, (_, _, kind, *_) = watched.recvfrom(_MOST_BYTES)
            if kind == _OUTGOING:
                continue
            _say(describe(frame))
            for answer in answers(frame):
                watched.send(answer)


def _say(what: object) -> None:
    os.write(1, msgspec.json.encode(what) + b"\n")


if __name__ == "__main__":
    main()
