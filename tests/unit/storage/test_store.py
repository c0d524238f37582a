"""The store before it is written to: private, judged by version, and cheap to open."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from freehold.storage.engine import create_tables, open_engine, read_version
from freehold.storage.store import (
    SCHEMA_VERSION,
    StoreError,
    StoreMissingError,
    StoreUnavailableError,
    prepare,
    sqlite_path,
    sqlite_url,
    sqlite_version,
)
from support import records
from support.ledgers import kept


def test_only_its_owner_may_read_a_store(tmp_path: Path) -> None:
    path = tmp_path / "data" / "freehold" / "ledger.db"
    with kept(path) as store:
        store.writer.put("requests", records.request("req_a"))
        store.writer.flush(10)
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_store_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch(0o644)
    prepare(sqlite_url(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_engine_is_tuned(tmp_path: Path) -> None:
    prepare(sqlite_url(tmp_path / "ledger.db"))
    with open_engine(sqlite_url(tmp_path / "ledger.db")).connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "page_size", "wal_autocheckpoint")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "page_size": 8192,
        "wal_autocheckpoint": 2000,
    }


def test_a_read_only_engine_cannot_write(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.db")
    prepare(url)
    create_tables(open_engine(url))
    with open_engine(url, read_only=True).connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM requests"))


def test_reading_where_nothing_was_recorded_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="nothing is recorded there yet"):
        open_engine(sqlite_url(tmp_path / "ledger.db"), read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=ro"])
def test_a_url_without_a_file_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(StoreError, match="such as sqlite:"):
        sqlite_path(url)


def test_url_and_path_are_one(tmp_path: Path) -> None:
    odd = tmp_path / "with space and 100% ü" / "ledger.db"
    assert sqlite_path(sqlite_url(odd)) == odd
    with kept(odd) as store:
        store.writer.put("requests", records.request("req_a"))
    assert store.query("SELECT request_id FROM requests") == [("req_a",)]


def test_a_fresh_store_is_stamped_with_the_newest_version(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert sqlite_version(path) is None
    with kept(path) as store:
        store.writer.flush(10)
    assert sqlite_version(path) == read_version(open_engine(store.url)) == SCHEMA_VERSION
    assert store.query("SELECT value FROM meta WHERE name = 'created_ms'") == [("1760000000000",)]


def test_making_the_tables_again_changes_nothing(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a"))
    create_tables(open_engine(store.url))
    assert store.query("SELECT count(*) FROM requests") == [(1,)]


def test_a_store_of_a_newer_freehold_is_left_alone_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with kept(path) as store:
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"ledger\.db: has schema version 9999.*Install that version again"):
        prepare(store.url)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("these are not the rows you are looking for" * 100)
    with pytest.raises(StoreError, match=r"ledger\.db: is no SQLite database"):
        prepare(sqlite_url(path))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="name a folder that you may write to"):
        prepare(sqlite_url(tmp_path / "file" / "ledger.db"))


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        sqlite_version(tmp_path)


def test_a_start_with_an_up_to_date_store_imports_neither_alembic_nor_sqlalchemy(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        pass
    program = (
        "import sys\nfrom freehold.storage.store import prepare\nfrom freehold.storage.writer import Writer\n"
        f"prepare({store.url!r})\n"
        f"writer = Writer({store.url!r}, now_ms=lambda: 1, tell=print)\n"
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))\n"
        "writer.start(); writer.flush(); writer.close()\n"
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n['sqlalchemy']\n"
