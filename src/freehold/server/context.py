"""What every endpoint is handed: made once by the composition root."""

from collections.abc import Awaitable, Callable

import msgspec

from freehold.dispatch.answer_cache import AnswerCache
from freehold.fault import Fault, FaultError, Kind
from freehold.ledger import Ledger
from freehold.limits.rates import Rates
from freehold.limits.standings import AccountStanding
from freehold.server.batches.desk import Desk
from freehold.server.idempotency.desk import IdempotencyDesk
from freehold.server.intake import Intake
from freehold.server.key_desk import KeyDesk
from freehold.sessions.loops import Loops
from freehold.telemetry.log import Log

RETRY_AFTER_S = 1.0


class Context(msgspec.Struct, frozen=True):
    """Shared by all endpoints."""

    intake: Intake
    ledger: Ledger
    log: Log
    now: Callable[[], float]
    """Monotonic seconds."""
    wall_ms: Callable[[], int]
    """Unix milliseconds."""
    ledger_is_behind: Callable[[], bool]
    answers: AnswerCache
    desk: Desk
    """Files and batches."""
    keys: KeyDesk
    """Virtual keys."""
    rates: Rates
    """Counts what `[[rates]]` limit."""
    accounts: Callable[[], Awaitable[list[AccountStanding]]]
    """How budgets stand now. Raises FaultError while their store is away."""
    loops: Loops
    """Stops sessions that run in circles."""
    idempotency: IdempotencyDesk
    """Answers what comes again under the same `Idempotency-Key`."""

    @property
    def max_body_bytes(self) -> int:
        """The longest body that is taken now."""
        return self.intake.max_body_bytes

    def admit(self) -> None:
        """Turn new work away, before any is done, while its rows could not be written. Raises FaultError."""
        if self.ledger_is_behind():
            raise FaultError(
                Fault(
                    kind=Kind.LEDGER_BEHIND,
                    message="the store does not take rows fast enough; the log says why it is slow",
                    retry_after_s=RETRY_AFTER_S,
                )
            )
