"""What every endpoint is handed: made once by the composition root."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from freehold.ledger import Ledger
from freehold.server.counting import Counting
from freehold.server.intake import Intake


class Log(Protocol):
    """The part of the structured log that endpoints use."""

    def event(self, name: str, /, *, level: Literal["debug", "info", "warning", "error"] = "info", **fields: object) -> None:
        """Write one event; fields hold no prompt and no secret."""


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
