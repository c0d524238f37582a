"""Budgets in a PostgreSQL database, shared by all processes and machines that name it.

Promised: a commit is on the server's disk when it returns (`synchronous_commit = on`, whatever the server's own setting);
money is written by one process at a time, under one lock of the database, so no two ever wait for each other in a circle:
processes take turns by whole commits, each with all that is asked of it by then. Time is the server's, so that machines
whose clocks differ agree on leases. Not done: making tables (`store.prepare` has).
"""

from collections.abc import Sequence
from typing import Any

from pg8000 import dbapi

from freehold.storage.budget_steps import Cursor, Steps
from freehold.storage.owners import own_name
from freehold.storage.postgres_address import Address, read_address
from freehold.storage.postgres_connection import PostgresConnection
from freehold.storage.sql_budgets import SqlBudgets

CONNECTS_WITHIN_S = 5.0
STATEMENT_WITHIN_MS = 10_000
READS_WITHIN_S = 12.0
"""Longer than any statement may take: a server that says nothing for this long is gone."""
LOCK_KEY = 0x66726565686F6C64
"""Of the lock under which money is written: "freehold" in ASCII."""
_OPTIONS = (
    f"-c synchronous_commit=on -c statement_timeout={STATEMENT_WITHIN_MS} -c default_transaction_isolation=read\\ committed"
)
_REFUSALS = (dbapi.IntegrityError, dbapi.DataError, dbapi.NotSupportedError)
_TURN = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) FROM pg_advisory_xact_lock($1)"


class _Rows:
    """What the server answered to one statement."""

    def __init__(self, context: Any) -> None:
        self._rows: list[Any] = list(reversed(context.rows or ()))
        self.rowcount: int = context.row_count

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._rows.pop() if self._rows else None

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows[::-1], []
        return rows


class PostgresLink:
    """One connection to the server."""

    def __init__(self, address: Address, owner: str) -> None:
        self._server = PostgresConnection(
            address,
            options=_OPTIONS,
            application_name="freehold-budgets",
            connects_within_s=CONNECTS_WITHIN_S,
            reads_within_s=READS_WITHIN_S,
        )
        self._prepared: dict[str, tuple[str, Any]] = {}
        """Each text of `Steps`, as the server takes it and has parsed it."""
        self._now_ms = 0
        self.steps = Steps(
            self._run,
            mark="?",
            now_ms=lambda: self._now_ms,
            owner=owner,
            is_refusal=lambda error: isinstance(error, _REFUSALS),
        )

    def _run(self, text: str, parameters: Sequence[object]) -> Cursor:
        if not parameters:
            return _Rows(self._server.execute_simple(text))
        known = self._prepared.get(text)
        if known is None:
            numbered = _numbered(text)
            known = self._prepared[text] = numbered, self._server.prepare_statement(numbered)
        numbered, prepared = known
        return _Rows(self._server.execute_prepared(prepared, numbered, parameters))

    def begin(self) -> None:
        """Begin, and wait for the turn to write money."""
        self._server.execute_simple("BEGIN")
        self._now_ms = int(self._run(_TURN, (LOCK_KEY,)).fetchone()[0])

    def commit(self) -> None:
        """Make it durable."""
        self._server.execute_simple("COMMIT")

    def rollback(self) -> None:
        """Undo it, where the connection still stands."""
        if not self._server.is_closed:
            self._server.execute_simple("ROLLBACK")

    def close(self) -> None:
        """Let go of the connection."""
        self._server.close()


def _numbered(text: str) -> str:
    """A statement of `Steps` with its marks numbered, as PostgreSQL counts parameters."""
    first, *others = text.split("?")
    return first + "".join(f"${number}{other}" for number, other in enumerate(others, 1))


def postgres_budgets(url: str) -> SqlBudgets:
    """The budgets in the database at `url` (`postgresql://...`). Nothing is opened yet. Raises StoreError."""
    owner, address = own_name(), read_address(url)
    return SqlBudgets(lambda: PostgresLink(address, owner), (dbapi.Error,), f"PostgreSQL at {address.shown}")
