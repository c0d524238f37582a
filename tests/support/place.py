"""A folder of its own for real `freehold` processes, and what tests do with them."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.ports import held_port
from support.warm import warm

COMMAND = [sys.executable, "-m", "freehold"]
GIVE_UP_S = 60
LOOKS_EACH_S = 0.005
"""What is waited for needs the core more than who waits."""


class Place:
    """A folder with a configuration, a home and a data directory of its own."""

    def __init__(self, folder: Path, config: str = "", **environ: str) -> None:
        self.folder = folder
        self.port, holding = held_port()
        weakref.finalize(self, holding.close)
        self.config = folder / "freehold.toml"
        self.config.write_text(config or f"[server]\nport = {self.port}\n[defaults]\nembedded = false\n")
        self.moved_ms = 0
        """How much later commands that `run` runs have it."""
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "FREEHOLD_HOME": str(folder / "data"),
            "COLUMNS": "80",
            "TERM": "dumb",
            **environ,
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # Unbuffered: what was read of an answer and what `communicate` reads later must join.
        return subprocess.Popen([*COMMAND, *words], cwd=self.folder, env=self.environ, bufsize=0, **(pipes | options))

    def run(self, *words: str, code: int = 0, stdin: bytes = b"") -> str:
        """What it prints on standard output; with a code other than 0, on standard error."""
        where: dict[str, Any] = {"cwd": self.folder, "environ": self.environ, "moved_ms": self.moved_ms}
        ended, out, err = warm().run(words, **where, stdin=stdin, timeout_s=GIVE_UP_S)
        assert ended == code, (words, out, err)
        assert "Traceback" not in err + out
        return err if code and "--json" not in words else out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def until_serving(self, server: subprocess.Popen[bytes], path: str = "/healthz", port: int | None = None) -> bytes:
        patience_ends_s = time.monotonic() + GIVE_UP_S
        while time.monotonic() < patience_ends_s:
            assert server.poll() is None, server.communicate()
            asking = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=5)
            with contextlib.suppress(OSError), contextlib.closing(asking):
                asking.request("GET", path)
                return asking.getresponse().read()
            time.sleep(LOOKS_EACH_S)
        raise AssertionError("the server did not answer")


def end(server: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> tuple[int, str, str]:
    if server.poll() is None:
        server.send_signal(number)
    out, err = server.communicate(timeout=GIVE_UP_S)
    return server.returncode, (out or b"").decode(), (err or b"").decode()


def end_impatiently(server: subprocess.Popen[bytes]) -> int:
    """Tell it to stop again and again, until it is gone; its exit code."""

    def is_gone() -> bool:
        server.send_signal(signal.SIGTERM)
        return server.poll() is not None

    wait_for(is_gone)
    server.communicate()
    return server.returncode


def wait_for(holds: Callable[[], bool]) -> None:
    patience_ends_s = time.monotonic() + GIVE_UP_S
    while not holds():
        assert time.monotonic() < patience_ends_s
        time.sleep(LOOKS_EACH_S)
