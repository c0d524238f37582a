"""The ledger's tables for docs/ledger.md, from the schema itself."""

from sqlalchemy import CheckConstraint, Table

from freehold.storage.schema import metadata


def tables() -> str:
    """Every table with its columns, what they may hold and what they mean."""
    return "\n\n".join(
        _table(metadata.tables[name])
        for name in (
            "requests",
            "attempts",
            "decisions",
            "policies",
            "accounts",
            "reservations",
            "money_flags",
            "idempotency_keys",
            "meta",
        )
    )


def _table(table: Table) -> str:
    lines = [f"### {table.name}", "", str(table.info["says"]), "", "| column | type | NULL | meaning |", "|---|---|---|---|"]
    words = {str(check.name): _words(check) for check in table.constraints if isinstance(check, CheckConstraint)}
    for column in table.columns:
        says = column.doc or ""
        listed = words.get(column.name) or words.get(f"ck_{table.name}_{column.name}")
        if listed and "(by us)" not in says and listed not in says:
            says = f"{says} One of {listed}."
        key = " (key)" if column.primary_key else ""
        lines.append(f"| `{column.name}`{key} | {str(column.type).lower()} | {'yes' if column.nullable else 'no'} | {says} |")
    indexes = sorted(", ".join(f"`{column.name}`" for column in index.columns) for index in table.indexes)
    if indexes:
        lines += ["", "Indexed by " + "; ".join(indexes) + "."]
    return "\n".join(lines)


def _words(check: CheckConstraint) -> str:
    """The words a column is confined to, out of its constraint."""
    return ", ".join(f"`{part}`" for part in str(check.sqltext).split("'")[1::2])
