"""PostgreSQL and Redis of our own: each in a folder of its own, on a socket in it, reached by nobody else.

They are the distribution's servers with their disks as careful as in use. PostgreSQL refuses to run as root: started by
root, it runs as `nobody`.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import psutil
import redis
from pg8000 import dbapi

from freehold.storage.postgres_address import read_address
from freehold.storage.postgres_connection import PostgresConnection
from freehold.storage.store import prepare
from support.ports import held_port

STARTS_WITHIN_S = 30.0
ROOM_BYTES = 1 << 30


def _binary(name: str) -> str:
    """A server's program, where Debian puts it."""
    found = shutil.which(name) or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    assert found is not None, f"{name} is missing: install Debian's postgresql and redis-server (.ci/run does)"
    return found


def _folder() -> str:
    """Where a socket's path is short, and copies of databases cost little."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > ROOM_BYTES else "/tmp"


class _Server:
    """A server and its children, which can be killed at one blow and started again on the same folder."""

    def __init__(self, prefix: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_folder()))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, command: Sequence[str]) -> None:
        subprocess.run(command, check=True, user=self._user, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=60)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), user=self._user, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        gives_up_s = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() < gives_up_s, (self.folder / "log").read_text(errors="replace")
            time.sleep(0.02)

    def own(self, *paths: Path) -> None:
        """Make these files the server's own, and private."""
        for path in paths:
            path.chmod(0o600)
            if self._user is not None:
                shutil.chown(path, self._user)

    def kill(self) -> None:
        """Kill all its processes at once."""
        if self._process is None or self._process.poll() is not None:
            return
        main = psutil.Process(self._process.pid)
        children = main.children(recursive=True)
        for one in (main, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.wait()
        psutil.wait_procs(children, timeout=10)

    def remove(self) -> None:
        """Kill it, and remove all it had."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(_Server):
    """A PostgreSQL server."""

    def __init__(self) -> None:
        super().__init__("freehold-pg-")
        self._databases = self.port = 0
        self._run([_binary("initdb"), "-D", "data", "-U", "freehold", "--auth=trust", "--no-locale", "-E", "UTF8", "--no-sync"])

    def listen(self) -> None:
        """Listen on a port of this machine too, with TLS."""
        self.port, holding = held_port()
        weakref.finalize(self, holding.close)

    def _command(self) -> Sequence[str]:
        on = (
            ("-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on")
            if self.port
            else ("-c", "listen_addresses=")
        )
        place = ("-k", str(self.folder), *on)
        return [
            _binary("postgres"),
            "-D",
            "data",
            *place,
            "-c",
            "dynamic_shared_memory_type=mmap",
            "-c",
            "max_connections=60",
            "-c",
            "shared_buffers=32MB",
        ]

    def _answers(self) -> bool:
        try:
            PostgresConnection(read_address(self.url("postgres"))).close()
        except dbapi.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """Of a database of this server."""
        port = f":{self.port}" if self.port else ""
        return f"postgresql://freehold@{port}/{database}?host={self.folder}"

    def fresh(self) -> str:
        """The URL of a new database with the tables of a ledger."""
        if not self._databases:
            prepare(self.url("template1"))
        return self._made("template1")

    def empty(self) -> str:
        """The URL of a new database without any."""
        return self._made("template0")

    def _made(self, template: str) -> str:
        self._databases += 1
        name = f"d{self._databases}"
        with PostgresConnection(read_address(self.url("postgres"))) as server:
            server.execute_simple(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)


class Redis(_Server):
    """A Redis server that has every command on its disk before it answers."""

    def __init__(self, *options: str) -> None:
        super().__init__("freehold-redis-")
        self._options = options or ("--appendonly", "yes", "--appendfsync", "always")

    def _command(self) -> Sequence[str]:
        socket = ("--port", "0", "--unixsocket", f"{self.folder}/s")
        return [_binary("redis-server"), *socket, "--dir", str(self.folder), "--save", "", *self._options]

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        """Of the server."""
        return f"unix://{self.folder}/s"
