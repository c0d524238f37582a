"""Migrations build exactly the tables of the schema, and bring older stores up without losing a row."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from freehold.storage import migrations
from freehold.storage.engine import create_tables, open_engine
from freehold.storage.schema import metadata
from freehold.storage.store import SCHEMA_VERSION, SCHEMA_VERSIONS, prepare, sqlite_url, sqlite_version
from support import records
from support.ledgers import kept


def tables_of(url: str) -> dict[str, Any]:
    """All that the database knows of its tables."""
    found = inspect(open_engine(url))
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(table)
            },
            "key": found.get_pk_constraint(table),
            "indexes": sorted(
                (
                    str(index["name"]),
                    index["column_names"],
                    index["unique"],
                    {name: str(option) for name, option in index.get("dialect_options", {}).items()},
                )
                for index in found.get_indexes(table)
            ),
            "checks": sorted((str(check["name"]), str(check["sqltext"])) for check in found.get_check_constraints(table)),
            "foreign": found.get_foreign_keys(table),
            "unique": found.get_unique_constraints(table),
        }
        for table in sorted(found.get_table_names())
    }


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    made, migrated = sqlite_url(tmp_path / "made.db"), sqlite_url(tmp_path / "migrated.db")
    for url in (made, migrated):
        prepare(url)
    create_tables(open_engine(made))
    migrations.upgrade(migrated)
    assert tables_of(migrated) == tables_of(made)
    assert len(tables_of(made)["requests"]["checks"]) == 5, "checks are compared, too"
    assert [index[3] for index in tables_of(made)["requests"]["indexes"]] == [{"sqlite_where": "session IS NOT NULL"}]
    with open_engine(migrated).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_known_versions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    walked = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == SCHEMA_VERSIONS


NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "next"
down_revision = "{head}"
branch_labels = depends_on = None
def upgrade():
    with op.batch_alter_table("requests") as table:
        table.add_column(sa.Column("mood", sa.Text(), server_default="calm"))
    {then}
"""


def test_a_store_that_is_behind_is_brought_up_and_keeps_its_rows(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a"))
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "next.py").write_text(NEXT.format(head=SCHEMA_VERSION, then="pass"))
    migrations.upgrade(store.url, to="next", versions=(versions,))
    assert sqlite_version(store.path) == "next"
    assert store.query("SELECT request_id, mood FROM requests") == [("req_a", "calm")]


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with kept(tmp_path / "ledger.db") as store:
        store.writer.put("requests", records.request("req_a"))
    before = tables_of(store.url)
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "next.py").write_text(NEXT.format(head=SCHEMA_VERSION, then="raise RuntimeError('half way')"))
    with pytest.raises(RuntimeError, match="half way"):
        migrations.upgrade(store.url, to="next", versions=(versions,))
    assert sqlite_version(store.path) == SCHEMA_VERSION
    assert tables_of(store.url) == before
    assert store.query("SELECT request_id FROM requests") == [("req_a",)]


def test_prepare_upgrades_a_store_that_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(tmp_path / "ledger.db") as store:
        pass
    with closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(" ".join(f"DROP TABLE {table};" for table in metadata.tables))
        connection.execute("UPDATE alembic_version SET version_num = 'oldest'")
        connection.commit()
    monkeypatch.setattr("freehold.storage.store.SCHEMA_VERSIONS", ("oldest", *SCHEMA_VERSIONS))
    with pytest.raises(Exception, match="oldest"):  # Alembic was asked, and knows no such revision
        prepare(store.url)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.commit()
    migrations.upgrade(store.url)
    assert sqlite_version(store.path) == SCHEMA_VERSION


def test_a_store_of_every_earlier_version_is_brought_up_by_a_start(tmp_path: Path) -> None:
    for version in SCHEMA_VERSIONS[:-1]:
        path = tmp_path / f"{version}.db"
        path.touch()
        migrations.upgrade(sqlite_url(path), to=version)
        prepare(sqlite_url(path))
        assert sqlite_version(path) == SCHEMA_VERSION
        assert set(tables_of(sqlite_url(path))) == {*metadata.tables, "alembic_version"}
