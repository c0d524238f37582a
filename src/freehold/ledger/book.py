"""The ledger's writing side: three calls in a request's life, each queued at once and made a row later.

Promised: no call waits or fails. Not done here: making the records (whoever runs the request), reading (`queries`).
"""

from collections.abc import Callable

from freehold.record import AttemptRecord, DecisionRecord, RequestRecord
from freehold.storage.rows import PolicyRecord
from freehold.storage.writer import Writer


class Ledger:
    """Takes records of decisions, attempts and finished requests."""

    def __init__(self, writer: Writer, now_ms: Callable[[], int]) -> None:
        """Write through `writer`, which whoever made it starts and closes; `now_ms` dates the first use of a policy."""
        self._put = writer.put
        self._now_ms = now_ms

    def decided(self, record: DecisionRecord) -> None:
        """A request was decided, whatever comes of it."""
        self._put("decisions", record)

    def attempted(self, record: AttemptRecord) -> None:
        """An upstream attempt ended."""
        self._put("attempts", record)

    def finished(self, record: RequestRecord) -> None:
        """A request ended. To be called exactly once per request."""
        self._put("requests", record)

    def policy_used(self, version: str, source_json: str) -> None:
        """A policy came into force. Kept once per version, however often it is said."""
        self._put("policies", PolicyRecord(version=version, source=source_json, first_used_ms=self._now_ms()))
