"""A thousand at once against one budget, on every store: what the vendor's own journal says was spent, and how much of it was used."""

from pathlib import Path

import pytest

from proof.conftest import Found, StartFake
from support.budget_servers import Backing, Servers
from support.paid import says
from support.paying_gateways import PayingGateways, judge, numbers, told

CROWD = 1000
USD = 0.3
GATEWAYS = {
    "SQLite": ("sqlite", 1, 1),
    "PostgreSQL, 2 gateways": ("postgres", 2, 1),
    "Redis, 4 gateways and one ledger in PostgreSQL": ("redis+postgres", 4, 1),
    "Redis, 4 workers of one gateway": ("redis", 1, 4),
}
"""Kind of backing, gateways, processes of each."""


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("where", "midway"), [*((where, midway) for where in GATEWAYS for midway in ("calm", "killed")), ("SQLite", "locked")]
)
async def test_a_thousand_at_once_spend_no_more_than_the_budget(
    tmp_path: Path, start_fake: StartFake, servers: Servers, found: Found, where: str, midway: str
) -> None:
    kind, gateways, workers = GATEWAYS[where]
    vendor = await start_fake(lambda _received: says(40, slow_s=0.005))
    backing = Backing(kind, tmp_path, servers)
    made = PayingGateways(tmp_path, backing, vendor, {"team": USD}, gateways=gateways, workers=workers)
    is_killed, is_kept = midway != "calm", backing.server is not None or midway == "locked"
    try:
        await made.start()
        crowd = await made.crowd("team", CROWD, killed_at=100 if is_killed else None, is_locked=midway == "locked")
        judge(crowd, is_killed=is_killed, is_server=is_kept)
        assert crowd.affordable < CROWD
        await made.finished()
        await made.stop()
    finally:
        made.kill()
    finals = made.final_rows()
    assert set(finals.values()) == {1}
    assert {one.request_id for one in crowd.answers if told(one) is None or not is_killed or is_kept} <= set(finals)
    assert made.charged() == made.account("team")[0]
    happened = {
        "calm": "",
        "killed": ", its server killed midway"
        if is_kept
        else ", the gateway killed midway and started again, where what it had reserved counts as spent",
        "locked": ", its file locked by another process midway",
    }[midway]
    found(
        f"{CROWD} requests at once against one budget on {where}{happened}: the vendor's journal shows no more than the budget, and "
        "at least 90 % of what was affordable is admitted.",
        **numbers(crowd),
    )
