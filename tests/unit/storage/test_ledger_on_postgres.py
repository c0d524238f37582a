"""The whole ledger in PostgreSQL: made, written, read and migrated by the same code as the file."""

from pathlib import Path

from sqlalchemy import inspect

from freehold.ledger import queries
from freehold.storage import migrations
from freehold.storage.engine import open_engine, read_version
from freehold.storage.schema import metadata
from freehold.storage.store import SCHEMA_VERSION, prepare
from freehold.storage.writer import Writer
from support import records
from support.budget_servers import Servers, wall_ms


def test_rows_are_written_once_and_read_as_they_were(servers: Servers, tmp_path: Path) -> None:
    url = servers.postgres().fresh()
    told: list[str] = []
    writer = Writer(url, now_ms=wall_ms, tell=lambda event, **_: told.append(event), spill=tmp_path / "rows.journal")
    writer.start()
    for _ in range(2):
        for number in range(600):
            writer.put("requests", records.request(f"req_{number:04}"))
            writer.put("attempts", records.attempt(f"req_{number:04}", fault_message="\udcff\x00"))
        writer.put("decisions", records.decision("req_0000"))
    writer.close()
    assert writer.tally.rows == 1201
    assert writer.tally.doubled == 1201
    assert writer.tally.refused == 0
    engine = open_engine(url, read_only=True)
    try:
        detail = queries.request(engine, "req_0000")
    finally:
        engine.dispose()
    assert detail is not None
    assert detail.request == records.request("req_0000")
    assert detail.decision == records.decision("req_0000")
    assert set(told) <= {"ledger.doubled"}


def test_migrations_make_the_same_tables_as_the_schema(servers: Servers) -> None:
    made, migrated = servers.postgres().fresh(), servers.postgres().empty()
    migrations.upgrade(migrated)
    prepare(migrated)
    found = []
    for url in (made, migrated):
        engine = open_engine(url)
        assert read_version(engine) == SCHEMA_VERSION
        looked = inspect(engine)
        found.append(
            {
                table: (
                    sorted((column["name"], str(column["type"]), column["nullable"]) for column in looked.get_columns(table)),
                    looked.get_pk_constraint(table)["constrained_columns"],
                    sorted(str(index["name"]) for index in looked.get_indexes(table)),
                    sorted(str(check["name"]) for check in looked.get_check_constraints(table)),
                )
                for table in metadata.tables
            }
        )
        engine.dispose()
    assert found[0] == found[1]
