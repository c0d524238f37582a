"""`freehold` commands in processes of their own that need not import it all again: each is forked from one that has.

A command is a real process, with its own arguments, environment, folder, files and exit code; only the half second that
Python takes to import what it needs is spent once and not a hundred times. What such an import itself does is held by the
tests that start `python -m freehold`: `Place.start`, the console blocks of the docs.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ASKED_BYTES = 1 << 20
_TESTS = Path(__file__).parents[1]


class Warm:
    """The process that has imported everything. It forks for whoever asks, one after the other."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.warm", str(theirs.fileno())],
                # As little as the commands have, so that what Python reads of it at its start is the same.
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_TESTS)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def run(
        self, words: Sequence[str], *, cwd: Path, environ: Mapping[str, str], stdin: bytes, timeout_s: float, moved_ms: int = 0
    ) -> tuple[int, str, str]:
        """Its exit code and what it wrote; it has it so much later than it is. Raises TimeoutError."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            asked = json.dumps({"words": list(words), "cwd": str(cwd), "environ": dict(environ), "moved_ms": moved_ms}).encode()
            self._socket.settimeout(timeout_s)
            socket.send_fds(self._socket, [asked], [one.fileno() for one in (given, out, err)])
            process_id = int(self._socket.recv(64))
            try:
                code = int(self._socket.recv(64))
            except TimeoutError:
                os.kill(process_id, signal.SIGKILL)
                self._socket.recv(64)
                raise
            out.seek(0)
            err.seek(0)
            return code, out.read().decode(), err.read().decode()

    def end(self) -> None:
        """Let it go."""
        self._socket.close()
        self._process.wait(10)


@functools.cache
def warm() -> Warm:
    """The one of this run of tests; it ends with it."""
    made = Warm()
    atexit.register(made.end)
    return made


def _serve(fd: int) -> None:
    """Fork for each that is asked for. Comes back in the forked process, which has become what was asked for."""
    import freehold.cli

    for module in pkgutil.iter_modules(freehold.cli.__path__):
        importlib.import_module(f"freehold.cli.{module.name}")
    # What typer and SQLAlchemy import when they are first used.
    for name in ("typer._adapters", "sqlalchemy.dialects.sqlite", "freehold.storage.store", "freehold.server.app"):
        importlib.import_module(name)
    # What a forked process would otherwise look through, and so copy, when it ends.
    gc.freeze()
    with socket.socket(fileno=fd) as line:
        while True:
            asked, fds, _, _ = socket.recv_fds(line, ASKED_BYTES, 3)
            if not asked:
                os._exit(0)
            child = os.fork()
            if child == 0:
                break
            for one in fds:
                os.close(one)
            line.send(str(child).encode())
            line.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    _become(json.loads(asked), fds)


def _become(asked: dict[str, object], fds: list[int]) -> None:
    for place, one in enumerate(fds):
        os.dup2(one, place)
        os.close(one)
    os.chdir(str(asked["cwd"]))
    environ, words, moved_ms = asked["environ"], asked["words"], asked["moved_ms"]
    assert isinstance(environ, dict)
    assert isinstance(words, list)
    assert isinstance(moved_ms, int)
    if moved_ms:
        real_ns = time.time_ns
        time.time_ns = lambda: real_ns() + moved_ms * 1_000_000
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["freehold", *words]
    runpy.run_module("freehold", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
