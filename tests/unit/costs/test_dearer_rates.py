"""Which requests ask for other rates than a price says, and that nothing is reckoned by the ordinary ones then."""

from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.costs.bound import Most, bound
from freehold.costs.dearer import asked_dearer
from freehold.costs.price import price
from freehold.runtime import Deployment, Egress, Local, LongPromptRates, Model, Placed, Price, Runtime, Vendor


def top(body: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in body.items()}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"service_tier": None, "speed": None}, ""),
        ({"service_tier": "Auto", "speed": "standard", "inference_geo": "global"}, ""),
        ({"service_tier": "flex"}, ""),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "ultrafast"}, "service_tier"),
        ({"service_tier": 1}, "service_tier"),
        ({"speed": "fast", "service_tier": "auto"}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
    ],
)
def test_what_is_not_known_to_cost_no_more_asks_for_other_rates(body: dict[str, Any], field: str) -> None:
    assert asked_dearer(top(body)) == field
    assert asked_dearer({"service_tier": "priority"}) == "service_tier", "a form has texts"


def placed(runtime: Runtime, egress: Egress, **more: Any) -> Placed:
    deployment = Deployment(id="x/m", model="m", runtime="x", served_as="m", **more)
    return Placed(deployment=deployment, runtime=runtime, model=Model(id="m"), egress=egress)


def test_its_cost_is_unknown_at_a_vendor_and_nothing_where_nothing_is_charged() -> None:
    usage = Usage(input_tokens=10, output_tokens=10, basis="reported")
    metered = placed(Vendor(name="x"), Egress.VENDOR, price=Price(input_usd_per_mtok=3, output_usd_per_mtok=15))
    assert price(usage, metered, 1.0, 0) == (180_000, "metered")
    assert price(usage, metered, 1.0, 0, dearer=True) == (None, "unknown")
    assert bound(Most(input_tokens=10, output_tokens=10), metered, 0) is not None
    assert bound(Most(input_tokens=10, output_tokens=10, dearer="speed"), metered, 0) is None
    assert price(usage, placed(Local(name="x"), Egress.LOCAL), 1.0, 0, dearer=True) == (0, "free")


@pytest.mark.parametrize("above", [0, 1])
def test_the_dearer_rates_of_long_prompts_are_reserved_from_the_first_token_on_that_has_them(above: int) -> None:
    long = LongPromptRates(above_input_tokens=1000, input_usd_per_mtok=6, output_usd_per_mtok=30)
    of = placed(Vendor(name="x"), Egress.VENDOR, price=Price(input_usd_per_mtok=3, output_usd_per_mtok=15, long_prompts=(long,)))
    reserved = bound(Most(input_tokens=1000 + above), of, 0)
    usage = Usage(input_tokens=1000 + above, output_tokens=10, basis="reported")
    assert reserved is not None
    assert reserved.cost_of(10) == price(usage, of, 1.0, 0)[0] == (3_150_000, 6_306_000)[above]
