"""One URL is one PostgreSQL database, and its password comes from `~/.pgpass` as PostgreSQL's own clients read it."""

from pathlib import Path

import pytest

from freehold.storage.postgres_address import find_password, read_address
from freehold.storage.store import StoreError

REMOTE = "postgresql://ann@db.lan:5433/ledger"
SOCKET = "postgresql://ann@/ledger?host=/run/postgresql"


def test_a_host_and_a_socket_are_read() -> None:
    host, socket = read_address(REMOTE), read_address(SOCKET)
    assert (host.user, host.host, host.port, host.database, host.socket) == ("ann", "db.lan", 5433, "ledger", None)
    assert (socket.host, socket.socket, socket.tls) == (None, "/run/postgresql/.s.PGSQL.5432", False)
    assert read_address("postgresql://ann@[::1]/d").host == "::1"


def test_no_variable_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_address("postgresql://db.lan/d")
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSSLMODE", "PGPASSWORD"):
        monkeypatch.setenv(name, "6666")
    assert read_address("postgresql://db.lan/d") == expected
    assert find_password(expected, Path("/nowhere")) is None


@pytest.mark.parametrize(
    ("asked", "tls"), [("", None), ("?sslmode=disable", False), ("?sslmode=prefer", None), ("?sslmode=require", True)]
)
def test_tls_is_as_asked_and_where_the_server_has_it_by_default(asked: str, tls: bool | None) -> None:
    assert read_address(REMOTE + asked).tls is tls


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{REMOTE}?sslmode=verify-full", "sslmode=verify-full is not supported"),
        (f"{REMOTE}?hostaddr=1.2.3.4", "has hostaddr"),
        (f"{REMOTE}?host=/run/x", "one host, or one socket"),
        (f"{SOCKET}&host=/run/y", "postgresql://user@host"),
        ("postgresql://ann@/ledger?host=other", "one host, or one socket"),
        ("postgresql:///ledger", "one host, or one socket"),
        ("postgresql://s3cret@db.lan:x/ledger", "cannot be read"),
        ("postgresql+other://ann:s3cret@db.lan/ledger", "postgresql://user@host"),
        ("postgresql://ann:s3cret@db.lan", "postgresql://user@host"),
    ],
)
def test_what_is_not_understood_is_refused_and_not_repeated(url: str, said: str) -> None:
    with pytest.raises(StoreError) as refused:
        read_address(url)
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_message_shows_no_user_and_no_password() -> None:
    assert read_address("postgresql://ann:s3cret@db.lan:5433/ledger?sslmode=require").shown == "db.lan:5433/ledger"


@pytest.mark.parametrize(
    ("line", "url", "found"),
    [
        ("db.lan:5433:ledger:ann:pw", REMOTE, "pw"),
        ("*:*:*:*:pw", REMOTE, "pw"),
        ("DB.lan:*:*:ann:pw", REMOTE, "pw"),
        (r"db.lan:5433:ledger:ann:a\:b\\c", REMOTE, r"a:b\c"),
        ("db.lan:5432:ledger:ann:pw", REMOTE, None),
        ("db.lan:5433:ledger:bob:pw", REMOTE, None),
        ("#*:*:*:*:pw", REMOTE, None),
        ("*:*:*:pw", REMOTE, None),
        ("localhost:*:*:ann:pw", SOCKET, "pw"),
        ("/run/postgresql:*:*:ann:pw", SOCKET, "pw"),
        ("localhost:*:*:ann:pw", REMOTE, None),
        (r"*:*:led\ger:ann:pw", REMOTE, "pw"),
        ("*:*:*:ann:first\n*:*:*:ann:second", REMOTE, "first"),
        ("*:*:*:bob:first\n*:*:*:ann:second", REMOTE, "second"),
        ("", REMOTE, None),
    ],
)
def test_the_first_line_that_fits_gives_the_password(line: str, url: str, found: str | None, tmp_path: Path) -> None:
    path = tmp_path / ".pgpass"
    path.write_text(f"{line}\n")
    path.chmod(0o600)
    assert find_password(read_address(url), path) == found


def test_a_file_that_others_can_read_gives_none(tmp_path: Path) -> None:
    path = tmp_path / ".pgpass"
    path.write_text("*:*:*:*:pw\n")
    path.chmod(0o640)
    assert find_password(read_address(REMOTE), path) is None
