"""A gateway with what a test says, and nothing behind it."""

from typing import Any

from freehold.server.door import Door
from freehold.server.gateway import Gateway
from freehold.server.routes import speller_of
from freehold.telemetry.log import Log


async def _nothing() -> None:
    pass


def bare_house(*, door: Door = Door(frozenset(), frozenset()), tell: Any = lambda _line: None, **routed: Any) -> Gateway:  # noqa: B008 - frozen
    """`routed`: `routes` and `tails`; `tell` gets each line of its log."""
    return Gateway(
        **({"routes": {}, "tails": {}} | routed),
        door=door,
        speller_of=speller_of,
        keep_alive_s=10,
        start=_nothing,
        stop=_nothing,
        now_ms=lambda: 0,
        random_bytes=bytes,
        log=Log(tell, now_ms=lambda: 0, form="json", level="info"),
    )
