"""What a deployment costs at its vendor's own Batch API."""

import datetime as dt

import msgspec

from freehold.chat import Usage
from freehold.costs.batch_price import at_batch_price
from freehold.costs.price import price
from freehold.runtime import Placed, Price, Tariff
from support.priced import AT_MS, PLACED

BATCH = Tariff(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0, cached_input_usd_per_mtok=0.25)


def priced(*prices: Price, free: bool | None = None) -> Placed:
    held = (prices[0] if len(prices) == 1 else prices) if prices else None
    return msgspec.structs.replace(PLACED, deployment=msgspec.structs.replace(PLACED.deployment, price=held, free=free))


def test_it_costs_there_what_the_same_price_says_of_batches():
    whole = priced(Price(input_usd_per_mtok=3.0, output_usd_per_mtok=6.0, batch=BATCH))
    there = at_batch_price(whole, AT_MS)
    assert there is not None
    usage = Usage(input_tokens=1000, output_tokens=10, cached_tokens=400)
    assert price(usage, there, 0.0, AT_MS) == (720_000, "metered")
    assert there.id == whole.id


def test_the_price_of_that_day_counts():
    day = dt.datetime.fromtimestamp(AT_MS / 1000, dt.UTC).date()
    old = Price(input_usd_per_mtok=9.0, output_usd_per_mtok=9.0, until=day)
    now = Price(input_usd_per_mtok=3.0, output_usd_per_mtok=6.0, batch=BATCH, since=day)
    there = at_batch_price(priced(old, now), AT_MS)
    assert there is not None
    assert price(Usage(input_tokens=1000, output_tokens=0), there, 0.0, AT_MS) == (1_000_000, "metered")


def test_a_price_without_one_for_batches_is_none_and_no_price_is_none_there_either():
    assert at_batch_price(priced(Price(input_usd_per_mtok=3.0, output_usd_per_mtok=6.0)), AT_MS) is None
    assert at_batch_price(priced(), AT_MS) == priced()
    assert at_batch_price(priced(Price(input_usd_per_mtok=3.0, output_usd_per_mtok=6.0), free=True), AT_MS) is not None
