"""Repeats of the same idempotency keys while workers, and the whole server, are killed: nobody pays twice."""

from pathlib import Path

from support.budget_servers import Backing, Servers
from support.repeats import Repeats, vendor


async def test_no_key_is_paid_twice_while_workers_and_the_server_are_killed(tmp_path: Path, servers: Servers) -> None:
    runtime = await vendor()
    try:
        repeats = Repeats(tmp_path, Backing("sqlite", tmp_path, servers), runtime, gateways=1, workers=2, seed=20261121)
        await repeats.run(["worker", "gateway"])
        repeats.judge()
        assert repeats.found.cut
        assert repeats.found.given(again=True)
    finally:
        await runtime.stop()
