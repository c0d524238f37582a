"""Repeats of the same idempotency keys through hundreds of kills, on one machine's file and on a ledger that gateways share."""

from pathlib import Path
from random import Random

import pytest

from proof.conftest import Found
from support.budget_servers import Backing, Servers
from support.repeats import Kill, Repeats, numbers, vendor

WORKER_KILLS, GATEWAY_KILLS = 60, 30
SHAPES = {"one gateway on SQLite": ("sqlite", 1), "two gateways on one PostgreSQL ledger": ("postgres", 2)}
"""Kind of backing, gateways of two workers each."""


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", SHAPES)
async def test_no_key_is_ever_paid_twice_through_kills(tmp_path: Path, servers: Servers, found: Found, where: str) -> None:
    kind, gateways = SHAPES[where]
    runtime = await vendor()
    kills: list[Kill] = ["worker"] * WORKER_KILLS + ["gateway"] * GATEWAY_KILLS
    Random(7).shuffle(kills)
    try:
        repeats = Repeats(tmp_path, Backing(kind, tmp_path, servers), runtime, gateways=gateways, workers=2, seed=7)
        await repeats.run(kills)
        repeats.judge()
    finally:
        await runtime.stop()
    assert repeats.found.given(again=True) > len(kills)
    assert repeats.found.refused > len(kills) // 10, "kills met requests that were under way"
    promise = (
        f"SIGKILL of workers and whole servers, {where}, while each idempotency key is sent by several clients again and again: "
        "by the vendor's journal no key is paid twice, and every client is given the one answer or told for good that it is not known."
    )
    found(promise, **numbers(repeats.found), **{"calls of the vendor": len(runtime.journal)})
