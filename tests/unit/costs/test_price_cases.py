"""Costs computed by hand from vendors' price pages equal ours, by the list that comes with Freehold.

`by_hand` says units and rates as the page has them ("1000 x 3" is 1000 tokens at 3 USD a million, "90s x 0.36" is 90 seconds
at 0.36 USD an hour); `nano_usd` is their sum; `seen` is the day the page was read.
"""

import csv
import datetime as dt
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import pytest

from freehold.chat import Usage
from freehold.config.prices import Pricing
from freehold.costs.batch_price import at_batch_price
from freehold.costs.price import price
from freehold.runtime import Deployment, Egress, Model, Placed, Vendor

CASES = list(csv.DictReader((Path(__file__).resolve().parents[2] / "data/price_cases.csv").read_text().splitlines()))
PRICING = Pricing()


def by_hand(terms: str) -> int:
    nano_usd = Decimal(0)
    for term in terms.split("+"):
        count, _, rate = term.strip().partition(" x ")
        is_time = count.endswith("s")
        nano_usd += Decimal(count.rstrip("s")) * Decimal(rate) * (Decimal(10**9) / 3600 if is_time else 1000)
    return int(nano_usd.quantize(Decimal("0.000001")).to_integral_value(ROUND_CEILING))


def count(case: dict[str, str], name: str) -> int:
    return int(case[name] or 0)


def test_there_are_enough_cases_of_every_kind() -> None:
    assert len(CASES) >= 60
    for kind in ("cached", "cache_write", "cache_write_1h", "audio_in", "image_in", "audio_s", "batch", "images", "reasoning"):
        assert any(case[kind] for case in CASES), kind
    assert all(case["source"].startswith("https://") and dt.date.fromisoformat(case["seen"]) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=[f"{case['model']}-{index}" for index, case in enumerate(CASES)])
def test_our_cost_is_the_one_computed_by_hand(case: dict[str, str]) -> None:
    runtime = Vendor(name=case["vendor"], base_url=case["base_url"])
    asked = Deployment(id="v/m", model="m", runtime=runtime.name, served_as=case["model"])
    deployment, _ = PRICING.priced(asked, runtime, found=False)
    placed = Placed(deployment=deployment, runtime=runtime, model=Model(id="m"), egress=Egress.VENDOR)
    day = dt.datetime.combine(dt.date.fromisoformat(case["day"]), dt.time(12), dt.UTC)
    usage = None
    if case["input"]:
        usage = Usage(
            input_tokens=count(case, "input"),
            output_tokens=count(case, "output"),
            cached_tokens=count(case, "cached"),
            cache_write_tokens=count(case, "cache_write"),
            cache_write_1h_tokens=count(case, "cache_write_1h"),
            audio_input_tokens=count(case, "audio_in"),
            audio_output_tokens=count(case, "audio_out"),
            image_input_tokens=count(case, "image_in"),
            reasoning_tokens=count(case, "reasoning"),
        )
    sold = at_batch_price(placed, int(day.timestamp() * 1000)) if case["batch"] == "yes" else placed
    assert sold is not None
    cost = price(
        usage,
        sold,
        1.0,
        int(day.timestamp() * 1000),
        images=count(case, "images") or None,
        audio_s=float(case["audio_s"]) if case["audio_s"] else None,
    )
    assert by_hand(case["by_hand"]) == int(case["nano_usd"])
    assert cost == (int(case["nano_usd"]), "metered")
