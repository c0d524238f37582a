"""Budgets in a PostgreSQL database, shared by all processes and machines that name it.

Promised: a commit is on the server's disk when it returns (`synchronous_commit = on`, whatever the server's own setting);
money is written by one process at a time, under one lock of the database, so no two ever wait for each other in a circle:
processes take turns by whole commits, each with all that is asked of it by then. Time is the server's, so that machines
whose clocks differ agree on leases. Not done: making tables (`store.prepare` has).
"""

from collections.abc import Sequence

import psycopg

from freehold.storage.budget_steps import Cursor, Steps
from freehold.storage.owners import own_name
from freehold.storage.sql_budgets import SqlBudgets

CONNECTS_WITHIN_S = 5
STATEMENT_WITHIN_MS = 10_000
LOCK_KEY = 0x66726565686F6C64
"""Of the lock under which money is written: "freehold" in ASCII."""
_OPTIONS = (
    f"-c synchronous_commit=on -c statement_timeout={STATEMENT_WITHIN_MS} -c default_transaction_isolation=read\\ committed"
)
_REFUSALS = (psycopg.IntegrityError, psycopg.DataError, psycopg.NotSupportedError)


class PostgresLink:
    """One connection to the server."""

    def __init__(self, conninfo: str, owner: str) -> None:
        self._server = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=CONNECTS_WITHIN_S,
            options=_OPTIONS,
            application_name="freehold-budgets",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=STATEMENT_WITHIN_MS,
        )
        self._now_ms = 0
        self.steps = Steps(
            self._run,
            mark="%s",
            now_ms=lambda: self._now_ms,
            owner=owner,
            is_refusal=lambda error: isinstance(error, _REFUSALS),
        )

    def _run(self, text: str, parameters: Sequence[object]) -> Cursor:
        return self._server.execute(text.encode(), parameters)

    def begin(self) -> None:
        """Begin, and wait for the turn to write money."""
        self._server.execute("BEGIN")
        row = self._server.execute(
            "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) FROM pg_advisory_xact_lock(%s)", (LOCK_KEY,)
        ).fetchone()
        assert row is not None
        self._now_ms = int(row[0])

    def commit(self) -> None:
        """Make it durable."""
        self._server.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it, where the connection still stands."""
        if not self._server.closed:
            self._server.rollback()

    def close(self) -> None:
        """Let go of the connection."""
        self._server.close()


def postgres_budgets(url: str) -> SqlBudgets:
    """The budgets in the database at `url` (`postgresql://...`). Nothing is opened yet."""
    owner = own_name()
    where = url.partition("?")[0].rpartition("@")[2].removeprefix("postgresql://")
    return SqlBudgets(lambda: PostgresLink(url, owner), (psycopg.Error,), f"PostgreSQL at {where}")
