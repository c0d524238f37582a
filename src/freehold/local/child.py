"""What every engine process does first: take its settings, report when it is ready, and die with its parent.

Promised: settings come in over stdin as one JSON line (an argument vector is readable by every user of the machine);
one JSON line goes out over stdout; whatever a library prints goes to stderr. The process ends when the parent ends, also
when that was killed: by the kernel's parent-death signal on Linux, and by the end of stdin everywhere.
"""

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO

import msgspec

PR_SET_PDEATHSIG = 1  # prctl(2)
SETTINGS_BYTES = 1 << 16


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine process is told."""

    weights: str
    """Path of the file to load."""
    model: str
    """The name the model answers to."""
    context: int
    slots: int
    threads: int
    api_key: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine process reports, once it answers requests."""

    base_url: str
    """Including `/v1`."""
    model: str
    slots: int
    """How many requests are worked on at once; more wait in line."""


class Parent:
    """The way back to the parent. Made first of all, before any library can print."""

    def __init__(self) -> None:
        self._out: BinaryIO = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def settings(self) -> Settings:
        """Read the settings, and from then on watch stdin for its end."""
        die_with_parent()
        settings = msgspec.json.decode(sys.stdin.buffer.readline(SETTINGS_BYTES), type=Settings)
        threading.Thread(target=_exit_at_end_of, args=(sys.stdin.buffer,), name="parent-watch", daemon=True).start()
        return settings

    def report(self, ready: Ready) -> None:
        """Tell the parent that requests are answered now."""
        self._out.write(msgspec.json.encode(ready) + b"\n")
        self._out.close()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies. Linux only; elsewhere the end of stdin does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _exit_at_end_of(stdin: BinaryIO) -> None:
    while stdin.read(1):
        pass
    os._exit(0)  # nothing here is worth saving, and native threads would hold up a polite exit
