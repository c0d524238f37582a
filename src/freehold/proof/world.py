"""A small world to leak into: namespaces with a way out, a resolver, a sinkhole behind both, and counters on the way.

Promised: `World` is made whole or raises FenceError saying what is missing. Inside it, the default routes of IPv4 and IPv6
and the resolver lead to the sinkhole; the device on that way is quiet by itself (no ARP, no multicast, no router
solicitations), so every packet it counts was sent by a program. `/run` is empty: no daemon's socket is left to ask for a
lookup. Nothing of the world outlives the process that made it.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from freehold.local.fence import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, FenceError, devices, enter
from freehold.proof.packets import Seen

DEVICE, FAR_DEVICE = "out0", "sink0"
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_QUIET = {"addr_gen_mode": "1", "router_solicitations": "0", "accept_ra": "0", "accept_dad": "0", "dad_transmits": "0"}
_READY_WITHIN_S = 60.0
_AGREE_WITHIN_S = 3.0
_SBIN = "/usr/sbin:/sbin"


def find_ip() -> str:
    """The `ip` command of iproute2. Raises FenceError."""
    found = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if found is None:
        raise FenceError("the command `ip` is missing: install iproute2")
    return found


class World:
    """The namespaces this process is in from now on, and the counters on the way out."""

    def __init__(self, folder: Path) -> None:
        """`folder` is for its files. Raises FenceError."""
        self.kind = _go_in()
        self._ip = find_ip()
        self._told = folder / "sinkhole"
        _hide_and_resolve(folder)
        with self._told.open("wb") as out:
            self._sinkhole = subprocess.Popen(
                [sys.executable, "-P", "-m", "freehold.proof.sinkhole"], stdin=subprocess.PIPE, stdout=out
            )
        self._wait_for('"ready"')
        self._lay_out()
        assert self._sinkhole.stdin is not None
        self._sinkhole.stdin.write(f"{self._ip}\n".encode())
        self._sinkhole.stdin.flush()
        self._wait_for('"watching"')

    def _lay_out(self) -> None:
        """A pair of devices, and every route through it. The IPv6 address is on `lo`: there it joins no group."""
        self._run("link", "add", DEVICE, "type", "veth", "peer", "name", FAR_DEVICE, "netns", str(self._sinkhole.pid))
        quiet_down(DEVICE)
        for words in (
            f"link set {DEVICE} arp off multicast off",
            f"addr add 10.77.0.2/24 dev {DEVICE}",
            f"link set {DEVICE} up",
            f"route add default via 10.77.0.1 dev {DEVICE} onlink",
            "addr add fd77::2/128 dev lo nodad",
            f"-6 route add default dev {DEVICE} src fd77::2",
        ):
            self._run(*words.split())

    def _run(self, *words: str) -> None:
        ran = subprocess.run([self._ip, *words], check=False, capture_output=True, text=True)  # noqa: S603 - our own words
        if ran.returncode != 0:
            raise FenceError(f"`ip {' '.join(words)}` failed: {ran.stderr.strip()}")

    def _wait_for(self, said: str) -> None:
        ends_s = time.monotonic() + _READY_WITHIN_S
        while said not in self._told.read_text():
            if self._sinkhole.poll() is not None or time.monotonic() > ends_s:
                raise FenceError("the sinkhole did not start: namespaces, or raw sockets in them, are not permitted here")
            time.sleep(0.01)

    @staticmethod
    def left() -> int:
        """Packets that were sent by any device but `lo`, as the kernel counts them."""
        return sum(count for name, count in devices().items() if name != "lo")

    def seen(self) -> list[Seen]:
        """Every frame the sinkhole got, once it got as many as the kernel sent, or after a while anyway."""
        ends_s = time.monotonic() + _AGREE_WITHIN_S
        while True:
            lines = self._told.read_text().rpartition("\n")[0].splitlines()[2:]
            if len(lines) >= self.left() or time.monotonic() > ends_s:
                return [msgspec.json.decode(line, type=Seen) for line in lines]
            time.sleep(0.02)

    def end(self) -> None:
        """End the sinkhole; the namespaces go with their last process."""
        self._sinkhole.kill()
        self._sinkhole.wait()


def quiet_down(device: str) -> None:
    """Keep the kernel itself from speaking on a device. What cannot be set is found by the wait for quiet."""
    for name, value in _QUIET.items():
        setting = Path(f"/proc/sys/net/ipv6/conf/{device}/{name}")
        if setting.exists() and os.access(setting, os.W_OK):
            setting.write_text(value)


def _go_in() -> str:
    """With a user namespace where this user is not root, or may not do without; what was made, in words."""
    if os.geteuid() == 0:
        try:
            enter(flags=CLONE_NEWNET | CLONE_NEWNS)
        except FenceError:
            pass
        else:
            return "network and mount namespaces, made by root"
    enter(flags=CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS, inside_uid=0)
    return "network and mount namespaces in a user namespace"


def _hide_and_resolve(folder: Path) -> None:
    """An empty /run, and a resolver that is the sinkhole."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    resolv, switch = Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf")
    to = resolv.resolve()
    _mount("tmpfs", "/run", "tmpfs", 0)
    resolver = "nameserver 10.77.0.1\noptions timeout:1 attempts:1\n"
    if to.is_relative_to("/run"):
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(resolver)
    elif to.exists():
        (folder / "resolv.conf").write_text(resolver)
        _mount(str(folder / "resolv.conf"), str(to), None, _MS_BIND)
    if switch.exists():
        lines = [line for line in switch.read_text().splitlines() if not line.startswith("hosts:")]
        (folder / "nsswitch.conf").write_text("\n".join([*lines, "hosts: files dns", ""]))
        _mount(str(folder / "nsswitch.conf"), str(switch.resolve()), None, _MS_BIND)


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]
    if libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, None) != 0:
        raise FenceError(f"{target} cannot be mounted over in a mount namespace: {os.strerror(ctypes.get_errno())}")
