"""Processes as owners of reservations: a name that no other process ever has, and whether the process behind one is dead.

Promised: a process is called dead only where that is certain: it ran on this very machine since its last start, where we
can see its number, and that number is free or has gone to a process that started at another time. Of any other owner
nothing is known, and its leases decide. Linux is exact; elsewhere the start time is as exact as the system tells it.
"""

import os
from pathlib import Path

import psutil


def own_name() -> str:
    """Of this process: where it runs, its number, and when it started."""
    return f"{_place()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Whether the process of that name is gone for certain."""
    place, _, rest = owner.partition(":")
    number, _, start = rest.partition(":")
    return place == _place() and number.isdecimal() and _start_of(int(number)) != start


def is_of_this_place(owner: str) -> bool:
    """Whether `is_dead` can tell for certain: it is a process of this machine since its last start, whose number we can see."""
    return owner.partition(":")[0] == _place()


def _place() -> str:
    """Name this machine since its last start, and the space its process numbers are counted in."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}".replace(":", "")
    except OSError:
        return f"{os.uname().nodename}/{round(psutil.boot_time())}"


def _start_of(number: int) -> str | None:
    """When the process of that number started, in the system's own ticks; None: there is none, or only its shell."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return _start_elsewhere(number)
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _start_elsewhere(number: int) -> str | None:
    try:
        return None if Path("/proc/self/stat").exists() else str(psutil.Process(number).create_time())
    except psutil.Error:
        return None
