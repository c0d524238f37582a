"""A connection to PostgreSQL by the pure-Python driver, made to fail in the few ways that a store can act on.

Promised: whatever ends or garbles the exchange is an OperationalError, and the connection is closed then; what the server
refuses is the DB-API's class for its SQLSTATE, told by the server's own sentence and without the row; text that cannot be
encoded is refused before a byte is sent, so that no answer is ever taken for another's; a statement is one round trip.
Not done: transactions (SQLAlchemy or `postgres_budgets`), pools.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from pg8000 import dbapi
from pg8000.converters import make_params
from pg8000.core import DESCRIBE, NULL_BYTE, PORTAL, SYNC_MSG, Context

from freehold.storage.postgres_address import Address, find_password

CONNECTS_WITHIN_S = 30.0
_PASSWORD_ASKED = frozenset({b"\0\0\0\3", b"\0\0\0\5", b"\0\0\0\x0a"})
"""Authentication requests that want one: in clear text, MD5, SCRAM."""
_CLASSES = {"0A": dbapi.NotSupportedError, "22": dbapi.DataError, "23": dbapi.IntegrityError, "42": dbapi.ProgrammingError}
"""By the first two characters of an SQLSTATE; any other is the database's trouble, not the statement's."""


MOST_TEXTS = 512
"""Statements whose marks a connection remembers as numbers."""


class _Cursor(dbapi.Cursor):  # type: ignore[misc]  # the driver has no types
    """A DB-API cursor that reads a statement's text once, however often it runs."""

    _input_oids: Sequence[int]

    def execute(self, operation: str, args: Sequence[object] = (), stream: Any = None) -> None:
        """As the DB-API's, its marks `%s`."""
        if self._c is None or not args:
            super().execute(operation, args, stream)
            return
        if not self._c._in_transaction and not self._c.autocommit:  # noqa: SLF001 - as the driver's own cursor does
            self._c.execute_simple("begin transaction")
        self._context = self._c.execute_unnamed(self._c.numbered(operation), args, self._input_oids, stream)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids = ()


class PostgresConnection(dbapi.Connection):  # type: ignore[misc]  # the driver has no types
    """A DB-API connection. For one thread only."""

    _usock: Any = None

    def __init__(
        self,
        address: Address,
        *,
        options: str = "",
        application_name: str = "freehold",
        connects_within_s: float = CONNECTS_WITHIN_S,
        reads_within_s: float | None = None,
    ) -> None:
        """Raises OperationalError. `options` are the server's, as on its command line; None waits for an answer forever."""
        self._shown = address.shown
        self._texts: dict[str, str] = {}
        try:
            super().__init__(
                address.user,
                host=address.host,
                database=address.database,
                port=address.port,
                password=find_password(address),
                unix_sock=address.socket,
                ssl_context=address.tls,
                timeout=connects_within_s,
                application_name=application_name,
                startup_params={"client_encoding": "UTF8"} | ({"options": options} if options else {}),
            )
            self._usock.settimeout(reads_within_s)
        except dbapi.DatabaseError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._usock is None

    def cursor(self) -> _Cursor:
        """A cursor, as SQLAlchemy uses it."""
        return _Cursor(self)

    def numbered(self, operation: str) -> str:
        """A statement with its marks `%s` as numbers. The driver's scan takes 20 ms for 256 rows of the ledger."""
        text = self._texts.get(operation)
        if text is None:
            if len(self._texts) == MOST_TEXTS:
                self._texts.clear()
            text = self._texts[operation] = dbapi.convert_paramstyle("format", operation, ())[0]
        return text

    def execute_simple(self, statement: str) -> Any:
        """Run one statement without parameters."""
        return self._exchange(super().execute_simple, statement)

    def execute_unnamed(self, statement: str, vals: Sequence[object] = (), oids: Sequence[int] = (), stream: Any = None) -> Any:
        """Run one statement, parsed, bound and executed in one round trip."""
        if stream is not None:
            raise dbapi.NotSupportedError("COPY is not supported here")
        context = Context(statement)
        self._exchange(self._send_at_once, context, oids, self._encodable(vals))
        return context

    def prepare_statement(self, statement: str, oids: Sequence[int] = ()) -> Any:
        """Let the server parse a statement, to be executed any number of times."""
        return self._exchange(super().prepare_statement, statement, oids)

    def execute_prepared(self, prepared: Any, statement: str, vals: Sequence[object]) -> Any:
        """Run what `prepare_statement` gave."""
        name, columns, reads = prepared
        return self._exchange(self.execute_named, name, self._encodable(vals), columns, reads, statement)

    def close(self) -> None:
        """Let go of it. Never raises, and may be called again."""
        if self._usock is not None:
            with contextlib.suppress(Exception):
                super().close()
            self._usock = None

    def handle_ERROR_RESPONSE(self, data: bytes, context: Any) -> None:  # noqa: N802 - the driver's name
        """What the server refused, in its own words."""
        super().handle_ERROR_RESPONSE(data, context)
        said: dict[str, str] = context.error.args[0]
        code = said.get("C", "")
        context.error = _CLASSES.get(code[:2], dbapi.OperationalError)(f"{said.get('S')}: {said.get('M')} ({code})")

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802 - the driver's name
        """Answer with the password, where there is one."""
        if self.password is None and data[:4] in _PASSWORD_ASKED:
            raise dbapi.OperationalError(
                f"{self._shown}: asks for a password; give it a line in ~/.pgpass, which nobody else may read (chmod 600)"
            )
        super().handle_AUTHENTICATION_REQUEST(data, context)

    def _encodable(self, values: Sequence[object]) -> list[str | None]:
        """The parameters as text. Raises UnicodeEncodeError, while nothing is sent yet."""
        texts: list[str | None] = list(make_params(self.py_types, values))
        "".join(text for text in texts if text is not None).encode()
        return texts

    def _send_at_once(self, context: Any, oids: Sequence[int], texts: Sequence[str | None]) -> None:
        self.send_PARSE(NULL_BYTE, context.statement, oids)
        self.send_BIND(NULL_BYTE, texts)
        self._send_message(DESCRIBE, PORTAL + NULL_BYTE)
        self.send_EXECUTE()
        self._sock.write(SYNC_MSG)
        self._sock.flush()
        self.handle_messages(context)

    def _exchange(self, call: Callable[..., Any], *what: object) -> Any:
        try:
            return call(*what)
        except dbapi.DatabaseError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> Exception:
        """What is raised when it is not known any more what the server will say next."""
        self.close()
        cause = error.__cause__ or error
        lost: Exception = dbapi.OperationalError(f"{self._shown}: the connection is closed ({type(cause).__name__}: {cause})")
        return lost
