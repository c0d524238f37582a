from datetime import date

import msgspec
import pytest

from freehold.chat import Usage
from freehold.costs.batch_price import at_batch_price
from freehold.costs.price import price
from freehold.runtime import Deployment, Egress, Local, Model, Placed, Price, Runtime, SelfHosted, Vendor, egress_of

SONNET = Price(input_usd_per_mtok=3.0, output_usd_per_mtok=15.0, cached_input_usd_per_mtok=0.3)
USAGE = Usage(input_tokens=1000, output_tokens=500, cached_tokens=200)


def placed(runtime: Runtime, *, rates: Price | None = None, free: bool | None = None) -> Placed:
    deployment = Deployment(id="r/m", model="m", runtime=runtime.name, served_as="m", price=rates, free=free)
    return Placed(deployment=deployment, runtime=runtime, model=Model(id="m"), egress=egress_of(runtime))


def test_metered_tokens_are_counted_once_each_and_cached_ones_at_their_own_rate():
    # 800 x 3000 + 200 x 300 + 500 x 15000 nano-USD
    assert price(USAGE, placed(Vendor(name="v"), rates=SONNET), 9.0, 0) == (9_960_000, "metered")


def test_cached_tokens_without_a_rate_cost_what_input_costs():
    rates = Price(input_usd_per_mtok=3.0, output_usd_per_mtok=15.0)
    assert price(USAGE, placed(Vendor(name="v"), rates=rates), 9.0, 0) == (10_500_000, "metered")


def test_fractions_of_a_nano_dollar_are_rounded_up():
    rates = Price(input_usd_per_mtok=0.0001, output_usd_per_mtok=0.0)
    assert price(Usage(input_tokens=1, output_tokens=0), placed(Vendor(name="v"), rates=rates), 0.0, 0) == (1, "metered")
    assert price(Usage(input_tokens=20, output_tokens=0), placed(Vendor(name="v"), rates=rates), 0.0, 0) == (2, "metered")


@pytest.mark.parametrize("rate", [0.15, 0.1, 0.0375, 0.07, 2.675])
def test_decimal_prices_are_exact_over_a_million_tokens(rate: float):
    rates = Price(input_usd_per_mtok=rate, output_usd_per_mtok=0.0)
    cost, _ = price(Usage(input_tokens=1_000_000, output_tokens=0), placed(Vendor(name="v"), rates=rates), 0.0, 0)
    assert cost == round(rate * 1e9)


def test_estimated_usage_gives_an_estimated_cost():
    usage = Usage(input_tokens=10, output_tokens=1, basis="estimated")
    assert price(usage, placed(Vendor(name="v"), rates=SONNET), 1.0, 0) == (45_000, "estimated")


@pytest.mark.parametrize(
    ("where", "cost"),
    [
        (placed(Vendor(name="v")), (None, "unknown")),
        (placed(SelfHosted(name="s")), (None, "unknown")),
        (placed(Vendor(name="v"), free=False), (None, "unknown")),
        (placed(Local(name="l"), free=False), (None, "unknown")),
        (placed(Local(name="l")), (0, "free")),
        (placed(SelfHosted(name="s"), free=True), (0, "free")),
        (placed(Vendor(name="v"), rates=SONNET, free=True), (0, "free")),
        (placed(Local(name="l", watts_busy=90.0)), (0, "free")),
        (placed(Local(name="l", watts_busy=100.0, usd_per_kwh=0.36)), (100_000, "amortised")),
        (placed(SelfHosted(name="s", usd_per_hour=3.6)), (10_000_000, "amortised")),
    ],
)
def test_every_kind_of_runtime_has_its_basis_and_unknown_is_never_zero(where: Placed, cost: tuple[int | None, str]):
    assert price(USAGE, where, 10.0, 0) == cost


def test_a_metered_price_without_usage_is_unknown():
    assert price(None, placed(Vendor(name="v"), rates=SONNET), 3.0, 0) == (None, "unknown")


def test_an_attempt_is_charged_by_the_price_of_its_own_day():
    day = 86_400_000
    prices = (
        Price(input_usd_per_mtok=2.0, output_usd_per_mtok=0.0, until=date(1970, 1, 11)),
        Price(input_usd_per_mtok=1.0, output_usd_per_mtok=0.0, since=date(1970, 1, 6)),
        Price(input_usd_per_mtok=4.0, output_usd_per_mtok=0.0, since=date(1970, 1, 21), until=date(1970, 1, 31)),
    )
    deployment = Deployment(id="r/m", model="m", runtime="v", served_as="m", price=prices)
    where = Placed(deployment=deployment, runtime=Vendor(name="v"), model=Model(id="m"), egress=Egress.VENDOR)
    one = Usage(input_tokens=1, output_tokens=0)
    costs = [price(one, where, 0.0, at_ms)[0] for at_ms in (0, 5 * day - 1, 5 * day, 20 * day - 1, 20 * day, 30 * day)]
    assert costs == [2000, 2000, 1000, 1000, 4000, 1000]
    ended = msgspec.structs.replace(where, deployment=msgspec.structs.replace(deployment, price=prices[0]))
    assert price(one, ended, 0.0, 10 * day) == (None, "unknown")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=9, output_tokens=1, cache_write_tokens=5, cache_write_1h_tokens=1),
        Usage(input_tokens=9, output_tokens=1, audio_input_tokens=1),
        Usage(input_tokens=9, output_tokens=1, audio_output_tokens=1),
    ],
)
def test_what_is_dearer_and_has_no_rate_makes_the_cost_unknown(usage: Usage):
    assert price(usage, placed(Vendor(name="v"), rates=SONNET), 1.0, 0) == (None, "unknown")


def test_what_has_no_rate_for_batches_is_not_sold_in_one():
    assert at_batch_price(placed(Vendor(name="v"), rates=SONNET), 0) is None


def test_images_audio_and_requests_are_charged_by_the_piece_and_unknown_when_not_told():
    rates = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, image_usd=0.04, request_usd=0.01)
    assert price(None, placed(Vendor(name="v"), rates=rates), 1.0, 0, images=3) == (130_000_000, "metered")
    assert price(USAGE, placed(Vendor(name="v"), rates=rates), 1.0, 0) == (None, "unknown")
    heard = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, audio_usd_per_hour=0.36)
    assert price(None, placed(Vendor(name="v"), rates=heard), 1.0, 0, audio_s=0.001) == (100, "metered")
    assert price(None, placed(Vendor(name="v"), rates=heard), 1.0, 0, audio_s=0.0001234) == (13, "metered")
    assert price(USAGE, placed(Vendor(name="v"), rates=heard), 1.0, 0) == (None, "unknown")


def test_a_local_machine_costs_its_power_and_its_wear():
    worn = Local(name="l", watts_busy=100.0, usd_per_kwh=0.36, price_usd=3600.0, lifetime_hours=1000.0)
    assert price(USAGE, placed(worn), 10.0, 0) == (100_000 + 10_000_000, "amortised")
    bought = Local(name="l", price_usd=3600.0, lifetime_hours=1000.0)
    assert price(USAGE, placed(bought), 10.0, 0) == (10_000_000, "amortised")
