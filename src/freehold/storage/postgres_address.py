"""Where a PostgreSQL database is: its URL and `~/.pgpass`, read the way PostgreSQL's own clients read them.

Promised: one URL is one place. No variable of the environment and no service file leads elsewhere; what is not understood
is refused with its name. A password file that others can read is not used. Not done: connecting (`postgres_connection`).
"""

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from freehold.storage.store import StoreError

PORT = 5432
_TLS = {"disable": False, "prefer": None, "require": True}
"""`sslmode`, and what the driver calls it: never, where the server has it, always."""


class Address(msgspec.Struct, frozen=True):
    """One database."""

    shown: str
    """The place, for messages: no user, no password."""
    user: str
    database: str
    password: str | None
    """As the URL gives it; None: `find_password` knows."""
    host: str | None
    """None: a socket of this machine."""
    port: int
    folder: str | None
    """The socket's."""
    tls: bool | None

    @property
    def socket(self) -> str | None:
        """The socket's path."""
        return None if self.folder is None else f"{self.folder.rstrip('/')}/.s.PGSQL.{self.port}"


def read_address(url: str) -> Address:
    """The place that `postgresql://user@host:port/database?sslmode=...` or `postgresql://user@/database?host=/folder` names.

    Raises StoreError, which does not repeat the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise StoreError(f"the address of the PostgreSQL database cannot be read: {error}") from error
    database, options = unquote(parts.path.removeprefix("/")), dict(asked)
    folder, sslmode = options.pop("host", None), options.pop("sslmode", "prefer")
    if parts.scheme != "postgresql" or not database or len(asked) != len(dict(asked)):
        raise StoreError("the address of a PostgreSQL database is postgresql://user@host:port/database")
    if options:
        raise StoreError(f"the address of the PostgreSQL database has {', '.join(sorted(options))}: it takes host and sslmode")
    if sslmode not in _TLS:
        raise StoreError(f"sslmode={sslmode} is not supported; it is one of {', '.join(_TLS)}")
    if (parts.hostname is None) == (folder is None) or not (folder or "/").startswith("/"):
        raise StoreError("the address of a PostgreSQL database names one host, or one socket's folder as ?host=/folder")
    return Address(
        shown=f"{parts.netloc.rpartition('@')[2]}{parts.path}" if folder is None else f"{folder}{parts.path}",
        user=unquote(parts.username) if parts.username else pwd.getpwuid(os.geteuid()).pw_name,
        database=database,
        password=None if parts.password is None else unquote(parts.password),
        host=parts.hostname,
        port=port,
        folder=folder,
        tls=False if folder is not None else _TLS[sslmode],
    )


def find_password(address: Address, path: Path | None = None) -> str | None:
    """The first password in `~/.pgpass` for this database; None: there is none, or others can read the file.

    Lines are `host:port:database:user:password`, `*` is any, a backslash keeps a colon; a socket is its folder, or
    `localhost` (https://www.postgresql.org/docs/current/libpq-pgpass.html).
    """
    if address.password is not None:
        return address.password
    path = path or Path.home() / ".pgpass"
    try:
        if path.stat().st_mode & 0o077:
            return None
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError):
        return None
    hosts = {"localhost", address.folder} if address.host is None else {address.host}
    wanted = ({"*", *hosts}, {"*", str(address.port)}, {"*", address.database}, {"*", address.user})
    for host, port, database, user, password in _entries(lines):
        if all(said in taken for said, taken in zip((host, port, database, user), wanted, strict=True)):
            return password
    return None


def _entries(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        fields = [re.sub(r"\\(.)", r"\1", field) for field in re.findall(r"(?:^|(?<=:))((?:\\.|[^:\\])*)(?::|$)", line)]
        if len(fields) >= 5 and not line.startswith("#"):
            yield [fields[0].lower() if not fields[0].startswith("/") else fields[0], *fields[1:5]]
