"""A connection to a real PostgreSQL fails in few ways, each told apart, and never takes one answer for another's."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pg8000 import dbapi
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from freehold.storage.engine import open_engine, read_version
from freehold.storage.opened_budgets import open_budgets
from freehold.storage.postgres_address import Address, read_address
from freehold.storage.postgres_connection import PostgresConnection
from freehold.storage.sink import Sink
from freehold.storage.store import SCHEMA_VERSION, StoreUnavailableError
from support import records
from support.budget_servers import wall_ms
from support.servers import Postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL of our own, on a port of this machine too, which asks for passwords there and has TLS."""
    made = Postgres()
    key, certificate = made.folder / "data/server.key", made.folder / "data/server.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    made.own(key, certificate)
    (made.folder / "data/pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    made.listen()
    made.start()
    with PostgresConnection(read_address(made.url("postgres"))) as one:
        one.execute_simple("CREATE ROLE ann LOGIN SUPERUSER PASSWORD 's3cret'")
    yield made
    made.remove()


@pytest.fixture
def address(server: Postgres) -> Address:
    """By its socket."""
    return read_address(server.url("postgres"))


def on_port(server: Postgres, password: str = ":s3cret", mode: str = "prefer") -> Address:
    """By its port."""
    return read_address(f"postgresql://ann{password}@127.0.0.1:{server.port}/postgres?sslmode={mode}")


REFUSALS = [
    ("INSERT INTO t VALUES (1)", dbapi.IntegrityError),
    ("INSERT INTO t VALUES (99999999999)", dbapi.DataError),
    ("SELECT 1/0", dbapi.DataError),
    ("SELECT nothing FROM t", dbapi.ProgrammingError),
    ("SET statement_timeout = 1; SELECT pg_sleep(5)", dbapi.OperationalError),
]


@pytest.mark.parametrize(("statement", "kind"), REFUSALS)
def test_a_refusal_has_its_class_and_the_connection_goes_on(statement: str, kind: type[Exception], address: Address) -> None:
    with PostgresConnection(address) as one:
        one.execute_simple("CREATE TEMP TABLE t (a int PRIMARY KEY)")
        one.execute_simple("INSERT INTO t VALUES (1)")
        with pytest.raises(kind) as refused:
            one.execute_simple(statement)
        assert type(refused.value) is kind
        assert "Key (" not in str(refused.value)  # the row
        assert one.execute_unnamed("SELECT a FROM t WHERE a = $1", (1,)).rows == [[1]]


@pytest.mark.parametrize("value", ["\udcff", "\x00"])
def test_text_that_the_server_cannot_have_is_refused_and_no_answer_is_taken_for_anothers(value: str, address: Address) -> None:
    with PostgresConnection(address) as one:
        prepared = one.prepare_statement("SELECT $1::text")
        for _ in range(3):
            with pytest.raises((UnicodeEncodeError, dbapi.DataError)):
                one.execute_unnamed("SELECT $1::text", (value,))
            with pytest.raises((UnicodeEncodeError, dbapi.DataError)):
                one.execute_prepared(prepared, "SELECT $1::text", (value,))
            assert one.execute_unnamed("SELECT $1::text", ("a",)).rows == [["a"]]
            assert one.execute_prepared(prepared, "SELECT $1::text", ("b",)).rows == [["b"]]


def test_a_connection_that_the_server_ends_is_operational_and_closed(address: Address) -> None:
    with PostgresConnection(address) as one, PostgresConnection(address) as other:
        (pid,) = one.execute_simple("SELECT pg_backend_pid()").rows[0]
        other.execute_unnamed("SELECT pg_terminate_backend($1, 5000)", (pid,))
        with pytest.raises(dbapi.OperationalError, match="connection is closed"):
            one.execute_unnamed("SELECT $1::int", (1,))
        assert one.is_closed
        with pytest.raises(dbapi.OperationalError, match="connection is closed"):
            one.execute_simple("SELECT 1")


def test_a_server_that_says_nothing_is_gone_after_the_time_to_read(address: Address) -> None:
    one = PostgresConnection(address, reads_within_s=0.05)
    with pytest.raises(dbapi.OperationalError, match="connection is closed .TimeoutError"):
        one.execute_simple("SELECT pg_sleep(30)")
    assert one.is_closed


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"R\0\0\0\x05x", b"\xff" * 64])
def test_what_is_no_postgresql_is_operational(said: bytes, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / ".s.PGSQL.5432"))
        listener.listen()

        def answer() -> None:
            with listener.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(dbapi.OperationalError, match="connection is closed"):
            PostgresConnection(read_address(f"postgresql://u@/d?host={tmp_path}"), connects_within_s=5)
        thread.join()


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_tls_is_as_asked(mode: str, server: Postgres) -> None:
    with PostgresConnection(on_port(server, mode=mode)) as one:
        assert isinstance(one._usock, ssl.SSLSocket) is (mode != "disable")
        assert one.execute_simple("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows == [[mode != "disable"]]


def test_the_password_comes_from_pgpass(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(dbapi.OperationalError, match=r"asks for a password; give it a line in ~/\.pgpass"):
        PostgresConnection(on_port(server, password=""))
    path = tmp_path / ".pgpass"
    path.write_text(f"127.0.0.1:{server.port}:*:ann:s3cret\n")
    path.chmod(0o600)
    PostgresConnection(on_port(server, password="")).close()
    with pytest.raises(dbapi.OperationalError, match="28P01") as refused:
        PostgresConnection(on_port(server, password=":wr0ng"))
    assert "wr0ng" not in str(refused.value)


def test_a_database_that_is_not_there_is_unavailable_and_named(server: Postgres) -> None:
    engine = open_engine(server.url("nowhere"))
    with pytest.raises(StoreUnavailableError, match=r'^postgresql://freehold@[:0-9]*/nowhere.*"nowhere" does not exist'):
        read_version(engine)
    engine.dispose()


async def test_budgets_without_their_server_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="PostgreSQL at"):
        await open_budgets(f"postgresql://u@/d?host={tmp_path}", wall_ms)


def test_an_engine_tells_refusals_apart_and_connects_anew(server: Postgres) -> None:
    engine = open_engine(server.fresh())
    with engine.connect() as one, pytest.raises(IntegrityError):
        one.execute(text("INSERT INTO alembic_version VALUES (:at)"), {"at": SCHEMA_VERSION})
    with engine.connect() as one:
        pid = one.execute(text("SELECT pg_backend_pid()")).scalar()
        with PostgresConnection(read_address(server.url("postgres"))) as other:
            other.execute_unnamed("SELECT pg_terminate_backend($1, 5000)", (pid,))
        with pytest.raises(OperationalError) as lost:
            one.execute(text("SELECT 1"))
        assert lost.value.connection_invalidated
    assert read_version(engine) == SCHEMA_VERSION
    engine.dispose()


def test_rows_whose_connection_ends_are_kept_for_later_never_refused(server: Postgres) -> None:
    url = server.fresh()
    sink = Sink(url, wall_ms)
    assert sink.write([("requests", records.request("req_one"))]).rows == 1
    database = read_address(url).database
    with PostgresConnection(read_address(server.url("postgres"))) as other:
        other.execute_unnamed("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", (database,))
    with pytest.raises(StoreUnavailableError, match="OperationalError"):
        sink.write([("requests", records.request("req_two"))])
    written = sink.write([("requests", records.request("req_two"))])
    assert (written.rows, written.refused) == (1, ())
    sink.close()
