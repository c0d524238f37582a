"""The machine as an engine sees it: cores, memory, swap, disk, graphics cards. Reads, changes nothing.

`nvidia-smi` is run where it is installed; other cards are not looked for, and nothing is said about them.
"""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import psutil

GIB = 1 << 30
NVIDIA_TIMEOUT_S = 5.0
_ASKED = "name,memory.total,memory.free,driver_version"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics card."""

    name: str
    memory_gib: float
    free_gib: float
    driver: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, and how much of it is free now."""

    cores: int
    """Physical ones; logical ones where the system does not tell."""
    usable_threads: int
    """Logical cores this process may use."""
    memory_gib: float
    free_memory_gib: float
    swap_gib: float
    used_swap_gib: float
    free_disk_gib: float
    """Where weights and records lie."""
    load: float | None
    """Processes that wanted to run over the last minute."""
    cards: tuple[Card, ...] | None
    """None: `nvidia-smi` is not installed or failed."""
    cards_problem: str = ""


def look_at_machine(data_dir: Path) -> Machine:
    """Takes some milliseconds, and up to `NVIDIA_TIMEOUT_S` where a driver hangs: not for an event loop's thread."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    cards, problem = _cards()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        usable_threads=usable,
        memory_gib=memory.total / GIB,
        free_memory_gib=memory.available / GIB,
        swap_gib=swap.total / GIB,
        used_swap_gib=swap.used / GIB,
        free_disk_gib=shutil.disk_usage(_existing(data_dir)).free / GIB,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        cards=cards,
        cards_problem=problem,
    )


def read_cards(text: str) -> tuple[Card, ...]:
    """The lines of `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`. Lines that say something else are left out."""
    cards = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[1].isdecimal() and parts[2].isdecimal():
            cards.append(Card(name=parts[0], memory_gib=int(parts[1]) / 1024, free_gib=int(parts[2]) / 1024, driver=parts[3]))
    return tuple(cards)


def _cards() -> tuple[tuple[Card, ...] | None, str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, ""
    try:
        told = subprocess.run(  # noqa: S603 - a fixed command without anything from outside
            [program, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, "nvidia-smi is installed and did not answer: the driver may hang"
    if told.returncode != 0:
        return None, "nvidia-smi is installed and failed: the driver may be missing or of another version than its module"
    return read_cards(told.stdout), ""


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
