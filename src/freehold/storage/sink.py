"""The SQL end of the writer: batches of records in, rows in one transaction out.

INSERTs are compiled once by SQLAlchemy Core for the database at hand and then run as text with flat tuples, many rows
to a statement: Core's work per row is skipped, and the interpreter lock is given up once per statement, not per row.
Writing a row twice leaves one (`doubled` counts it). A row that the database refuses is mended (numbers too large,
text that is no UTF-8) or handed back as refused; it never holds up the others. Imports SQLAlchemy.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError, SQLAlchemyError

from freehold.storage.engine import create_tables, insert_once, open_engine
from freehold.storage.rows import SHAPES, TO_ROW, Cell, Record, RowKind, mended_cell
from freehold.storage.schema import metadata
from freehold.storage.store import StoreUnavailableError

SIZES = (256, 64, 16, 4, 1)
"""Rows per statement, largest first; any number of rows is a sum of these.

A busy event loop gives the interpreter lock back only every few milliseconds, and each statement waits for it once:
with 256 rows in one, a thread still writes some 50,000 rows a second beside a loop that never rests.
"""
_REPEATABLE: frozenset[RowKind] = frozenset({"policies"})
_REFUSALS = (
    *(IntegrityError, DataError, ProgrammingError, InterfaceError, NotSupportedError),
    *(OverflowError, UnicodeError, AttributeError, KeyError, TypeError, ValueError),
)
"""What says that a row is at fault, not the database: by the driver, or on the way to it."""

Batch = Sequence[tuple[RowKind, Record]]


class Refused(msgspec.Struct, frozen=True):
    """A record that the database will not take, and why."""

    kind: RowKind
    record: Record
    reason: str


class Written(msgspec.Struct, frozen=True):
    """What became of a batch."""

    rows: int
    """Now in the database, each exactly once."""
    doubled: int
    """Were there already, where they should not have been: a policy may be written again, the rest may not."""
    mended: int = 0
    """Of `rows`: written with a value changed so that the database takes it."""
    refused: tuple[Refused, ...] = ()


class Sink:
    """One connection that stays open, and the statements compiled for it. For one thread only."""

    def __init__(self, url: str, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._engine = open_engine(url)
        self._statements = {
            (kind, len(columns), rows): statement
            for kind, shapes in SHAPES.items()
            for columns in shapes
            for rows, statement in self._compiled(kind, columns)
        }
        self._connection: Connection | None = None
        self._are_tables_there = False

    def open(self) -> None:
        """Connect, and make the tables of a fresh store. Raises StoreUnavailableError."""
        try:
            self._opened()
        except SQLAlchemyError as error:
            self.close()
            raise StoreUnavailableError(_reason(error)) from error

    def write(self, batch: Batch) -> Written:
        """Write all of it in one transaction. Raises StoreUnavailableError, and then wrote nothing of it."""
        try:
            try:
                return self._write_chunks(batch)
            except _REFUSALS:
                return self._write_each(batch)
        except SQLAlchemyError as error:
            self.close()
            raise StoreUnavailableError(_reason(error)) from error

    def close(self) -> None:
        """Let go of the connection; the next write opens it again."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except SQLAlchemyError:
            pass  # it was broken, which is why it is let go of
        finally:
            self._engine.dispose()

    def _compiled(self, kind: RowKind, columns: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """The INSERT of these columns for each size: compiled for one row, whose placeholders are then repeated."""
        table = metadata.tables[kind]
        if tuple(name for name in table.columns.keys() if name in columns) != columns:  # noqa: SIM118 - no mapping
            raise AssertionError(f"schema.{kind} must name its columns in the order of rows.SHAPES")
        one = str(insert_once(table, self._engine).values(dict.fromkeys(columns, "")).compile(self._engine))
        head, values, rest = one.partition(" VALUES (")
        places, closing, tail = rest.partition(")")
        for rows in SIZES:
            yield rows, head + values + f"{places}{closing}, (".join([""] * rows) + places + closing + tail

    def _opened(self) -> Connection:
        if not self._are_tables_there:
            create_tables(self._engine, now_ms=self._now_ms())
            self._are_tables_there = True
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _write_chunks(self, batch: Batch) -> Written:
        connection = self._opened()
        gathered: dict[tuple[RowKind, int], list[Cell]] = {}
        rows = doubled = 0
        with connection.begin():
            for kind, record in batch:
                row = TO_ROW[kind](record)
                width = len(row)
                cells = gathered.get((kind, width))
                if cells is None:
                    cells = gathered[kind, width] = []
                cells += row
                if len(cells) == width * SIZES[0]:
                    wrote = self._insert(connection, kind, width, cells)
                    rows, doubled = rows + wrote, doubled + _missing(kind, SIZES[0], wrote)
                    cells.clear()
            for (kind, width), left in gathered.items():
                for chunk in _chunks(left, width):
                    wrote = self._insert(connection, kind, width, chunk)
                    rows, doubled = rows + wrote, doubled + _missing(kind, len(chunk) // width, wrote)
        return Written(rows, doubled)

    def _insert(self, connection: Connection, kind: RowKind, width: int, cells: Sequence[Cell]) -> int:
        """Insert rows of one width, as many as a statement takes, cell after cell. Gives how many were not there yet."""
        return connection.exec_driver_sql(self._statements[kind, width, len(cells) // width], tuple(cells)).rowcount

    def _write_each(self, batch: Batch) -> Written:
        """The careful way, after a row of the batch was refused: each row by itself, mended where that helps."""
        connection = self._opened()
        rows = mended = doubled = 0
        refused: list[Refused] = []
        with connection.begin():
            for kind, record in batch:
                try:
                    row = TO_ROW[kind](record)
                    fit = tuple(mended_cell(cell) for cell in row)
                    with connection.begin_nested():
                        wrote = self._insert(connection, kind, len(fit), fit)
                    rows += wrote
                    mended += wrote if fit != row else 0
                    doubled += _missing(kind, 1, wrote)
                except _REFUSALS as error:
                    refused.append(Refused(kind, record, _reason(error)))
        return Written(rows, doubled, mended, tuple(refused))


def _chunks(cells: list[Cell], width: int) -> Iterator[list[Cell]]:
    at = 0
    for size in SIZES:
        while len(cells) - at >= size * width:
            yield cells[at : at + size * width]
            at += size * width


def _missing(kind: RowKind, offered: int, wrote: int) -> int:
    """How many were there already and should not have been."""
    return 0 if kind in _REPEATABLE else offered - wrote


def _reason(error: Exception) -> str:
    """The driver's own words: without the statement, and without the row, which SQLAlchemy would print."""
    return f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
