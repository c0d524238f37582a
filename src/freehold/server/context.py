"""What every endpoint is handed: made once by the composition root."""

from collections.abc import Callable

import msgspec

from freehold.ledger import Ledger
from freehold.server.counting import Counting
from freehold.server.intake import Intake
from freehold.telemetry.log import Log


class Context(msgspec.Struct, frozen=True):
    """Shared by all endpoints."""

    intake: Intake
    ledger: Ledger
    log: Log
    now: Callable[[], float]
    """Monotonic seconds."""
    wall_ms: Callable[[], int]
    """Unix milliseconds."""
    max_body_bytes: int
    counting: Counting
