"""Counters of this process: for tests, `/readyz` and the metrics to come. No labels with anyone's data in them."""

import msgspec

from freehold.record import AttemptRecord, Outcome, RequestRecord
from freehold.storage.writer import Writer


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All counters at one moment, since the start."""

    requests: dict[Outcome, int]
    """By outcome."""
    attempts: dict[str, int]
    """By fault; those without one under how they ended."""
    rows_written: int
    rows_queued: int
    rows_doubled: int
    """Offered twice: a defect."""
    rows_refused: int
    """The database would not take them; they lie in the journal's `.refused` file."""
    rows_spilled: int
    write_failures: int


class Counters:
    """Counts on one thread, the loop's."""

    def __init__(self, writer: Writer) -> None:
        """The rows are counted by `writer`."""
        self._writer = writer
        self._requests: dict[Outcome, int] = {}
        self._attempts: dict[str, int] = {}

    def count_request(self, record: RequestRecord) -> None:
        """A request ended."""
        self._requests[record.outcome] = self._requests.get(record.outcome, 0) + 1

    def count_attempt(self, record: AttemptRecord) -> None:
        """An attempt ended."""
        name = record.fault or record.end
        self._attempts[name] = self._attempts.get(name, 0) + 1

    def snapshot(self) -> Snapshot:
        """The counters now."""
        tally = self._writer.tally
        return Snapshot(
            requests=dict(self._requests),
            attempts=dict(self._attempts),
            rows_written=tally.rows,
            rows_queued=self._writer.queued,
            rows_doubled=tally.doubled,
            rows_refused=tally.refused,
            rows_spilled=tally.spilled,
            write_failures=tally.failures,
        )
