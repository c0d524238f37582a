"""Start a process pinned to cores of its own in a throwaway home, watch its memory, and end it and what it started.

Figures are of the whole process tree. Linux only: they are read from /proc.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of a process tree, in MiB: resident with shared pages counted in each process, and proportional."""

    rss_mib: float
    pss_mib: float


class Process:
    """A child with a session of its own, so that it can be ended whole. Its output goes to `log`."""

    def __init__(
        self, command: list[str], *, cores: tuple[int, ...], home: Path, log: Path, environment: dict[str, str] | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *command] if shutil.which("taskset") else command
        base = {"PATH": os.environ["PATH"], "HOME": str(home), "NO_PROXY": "*", "LANG": "C.UTF-8"}
        self.log = log
        with log.open("wb") as out:
            self._child = subprocess.Popen(
                pinned,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=base | (environment or {}),
                cwd=home,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the root of the tree."""
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """Whether the root is gone."""
        return self._child.poll() is not None

    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text("utf-8", "replace")

    def end(self, patience_s: float = 5.0) -> None:
        """Ask it to stop, then make its whole session stop."""
        if not self.has_ended:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait(10)

    def cpu_s(self) -> list[float]:
        """User and system time of each process of the tree so far, the busiest first."""
        spent = (read_cpu_s(Path(f"/proc/{pid}/stat")) for pid in tree(self.pid))
        return sorted(spent, reverse=True)

    def memory(self) -> Memory:
        """Of the tree, now."""
        rss_kib = pss_kib = 0
        for pid in tree(self.pid):
            rss_kib += read_kib(Path(f"/proc/{pid}/status"), "VmRSS:")
            pss_kib += read_kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
        return Memory(rss_mib=rss_kib / 1024, pss_mib=pss_kib / 1024)


def tree(pid: int) -> Iterator[int]:
    """A process and its living descendants."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text("ascii").split()]
    except OSError:
        return
    for child in children:
        yield from tree(child)


def read_kib(path: Path, field: str) -> int:
    """A field of a /proc file that is in kB; 0 when the process or the field is not there."""
    try:
        for line in path.read_text("ascii", "replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def read_cpu_s(stat: Path) -> float:
    """User and system time of a process, in hundredths of a second; 0 when it is gone."""
    try:
        fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: Process, limit_s: float = 10.0) -> None:
    """Until something listens. Raises RuntimeError with what the process said."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and not process.has_ended:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing listens: {process.said()[-800:]}")
