"""Network namespaces: a process that can reach this machine's loopback only, and no other way out by the network.

Promised: after `enter` this process and all it starts are in a network namespace of their own, in a user namespace of
their own that has no rights over the one outside, with `lo` up and nothing else; or `FenceError` says why not, and nothing
is claimed. Sockets opened before keep working: that is how a listening socket is handed in.

Threads that exist already would stay outside, so a process with more than one is refused (namespaces(7), unshare(2)).
Deliberately not done: Unix sockets that are files stay reachable, so do files; this cuts the network and nothing else.
Linux only. Python 3.11 has no `os.unshare`, and a process here opens no socket but through the connector: hence ctypes.
"""

import ctypes
import errno
import os
import struct
import sys
from pathlib import Path

# sched.h, linux/if.h, linux/sockios.h: the same on every architecture of Linux that Python runs on.
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000
_AF_INET, _SOCK_DGRAM_CLOEXEC = 2, 0o2000002
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_IFREQ = struct.Struct("16sH22x")
_WHY = {
    "EPERM": "the kernel or its security module does not permit user namespaces to this user",
    "ENOSPC": "user namespaces are switched off (user.max_user_namespaces) or used up",
    "EUSERS": "user namespaces are nested too deeply",
    "EINVAL": "this process already has threads, or the kernel has no namespaces",
    "ENOSYS": "the kernel has no namespaces",
    "EACCES": "a security module (AppArmor, SELinux) does not permit it",
}
_REMEDY = "see docs/egress.md: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"


class FenceError(Exception):
    """The kernel does not let us; the text says what is missing."""


def enter(*, flags: int = CLONE_NEWUSER | CLONE_NEWNET, inside_uid: int | None = None) -> None:
    """Put this process into namespaces of its own and bring `lo` up. Raises FenceError, and then it may be half inside.

    `inside_uid`: the number this user has inside; None keeps it. Network tools want 0.
    """
    if sys.platform != "linux":
        raise FenceError(f"network namespaces are Linux's, and this is {sys.platform}")
    if sum(1 for _ in Path("/proc/self/task").iterdir()) != 1:
        raise FenceError("this process already has threads, and they would stay outside")
    uid, gid = os.geteuid(), os.getegid()
    unshare(flags)
    if flags & CLONE_NEWUSER:
        _map(uid if inside_uid is None else inside_uid, uid, gid if inside_uid is None else inside_uid, gid)
    raise_loopback()


def unshare(flags: int) -> None:
    """Leave namespaces for new ones (see the manual page of the call). Raises FenceError in words."""
    if _libc().unshare(flags) != 0:
        raise _refused("namespaces cannot be made here")


def _map(inside_uid: int, uid: int, inside_gid: int, gid: int) -> None:
    """One user and one group, so that files look as they did (user_namespaces(7))."""
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{inside_uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{inside_gid} {gid} 1")
    except OSError as error:
        raise FenceError(f"this user cannot be known inside a user namespace ({error.strerror}); {_REMEDY}") from None


def raise_loopback() -> None:
    """Bring `lo` up. Raises FenceError."""
    libc = _libc()
    descriptor = libc.socket(_AF_INET, _SOCK_DGRAM_CLOEXEC, 0)
    if descriptor < 0:
        raise _refused("no socket can be opened inside the fence")
    try:
        request = ctypes.create_string_buffer(_IFREQ.pack(b"lo", 0), 40)
        if libc.ioctl(descriptor, _SIOCGIFFLAGS, request) != 0:
            raise _refused("the loopback device cannot be read inside the fence")
        _, had = _IFREQ.unpack(request.raw[: _IFREQ.size])
        request = ctypes.create_string_buffer(_IFREQ.pack(b"lo", had | _IFF_UP), 40)
        if libc.ioctl(descriptor, _SIOCSIFFLAGS, request) != 0:
            raise _refused("the loopback device cannot be brought up inside the fence")
    finally:
        os.close(descriptor)


def devices() -> dict[str, int]:
    """The network devices this process has, by the packets each has sent since it was made."""
    found = {}
    for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = line.partition(":")
        found[name.strip()] = int(numbers.split()[9])
    return found


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
    return libc


def _refused(what: str) -> FenceError:
    number = ctypes.get_errno()
    name = next((name for name in _WHY if getattr(errno, name) == number), "")
    return FenceError(f"{what}: {_WHY.get(name) or os.strerror(number)}; {_REMEDY}")
