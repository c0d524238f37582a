"""A reservation is never less than what the request can cost: over any price, any tier, and any usage within the bounds."""

import datetime as dt
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Usage
from freehold.costs.bound import Most, bound
from freehold.costs.price import price
from freehold.runtime import Deployment, Egress, LongPromptRates, Model, Placed, Price, Vendor

rate = st.floats(0, 500, allow_nan=False)
maybe = st.none() | rate
kinds: dict[str, Any] = {
    "input_usd_per_mtok": rate,
    "output_usd_per_mtok": rate,
    "cached_input_usd_per_mtok": maybe,
    "cache_write_usd_per_mtok": maybe,
    "cache_write_1h_usd_per_mtok": maybe,
    "audio_input_usd_per_mtok": maybe,
    "audio_output_usd_per_mtok": maybe,
    "image_input_usd_per_mtok": maybe,
    "image_usd": st.none() | st.floats(0, 2),
    "audio_usd_per_hour": st.none() | st.floats(0, 50),
    "request_usd": st.none() | st.floats(0, 1),
}
tier = st.builds(LongPromptRates, above_input_tokens=st.integers(1, 300_000), **kinds)
prices = st.builds(
    Price,
    long_prompts=st.lists(tier, max_size=3).map(lambda tiers: tuple(sorted(tiers, key=lambda one: one.above_input_tokens))),
    since=st.none() | st.just(dt.date(2020, 1, 1)),
    **kinds,
)
count = st.integers(0, 400_000)


@st.composite
def usages(draw: Any) -> Usage:
    tokens_in, tokens_out = draw(count), draw(count)
    cached = draw(st.integers(0, tokens_in))
    written = draw(st.integers(0, tokens_in - cached))
    heard = draw(st.integers(0, tokens_in - cached - written))
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        audio_input_tokens=heard,
        image_input_tokens=draw(st.integers(0, tokens_in - cached - written - heard)),
        audio_output_tokens=draw(st.integers(0, tokens_out)),
    )


def placed(of: Price) -> Placed:
    return Placed(
        deployment=Deployment(id="v/m", model="m", runtime="v", served_as="m", price=of),
        runtime=Vendor(name="v"),
        model=Model(id="m"),
        egress=Egress.VENDOR,
    )


@settings(max_examples=400, deadline=None)
@given(prices, usages(), st.integers(0, 10), st.floats(0, 40_000), st.integers(0, 5000), st.integers(1, 4), st.booleans())
def test_no_usage_within_the_bounds_costs_more_than_was_reserved(
    of: Price, usage: Usage, images: int, audio_s: float, slack: int, choices: int, predicts: bool
) -> None:
    where, at_ms = placed(of), 1_800_000_000_000
    most = Most(
        input_tokens=usage.input_tokens + slack,
        output_tokens=-(-usage.output_tokens // choices) // 2 if predicts else -(-usage.output_tokens // choices),
        predicted_tokens=-(-usage.output_tokens // choices) if predicts else 0,
        choices=choices,
        images=images,
        audio_s=audio_s,
        writes_cache=usage.cache_write_tokens > 0,
        writes_cache_1h=usage.cache_write_1h_tokens > 0,
        hears=usage.audio_input_tokens > 0,
        sees=usage.image_input_tokens > 0,
        speaks=usage.audio_output_tokens > 0,
    )
    cost, _ = price(usage, where, 1.0, at_ms, images=images, audio_s=audio_s)
    reserved = bound(most, where, at_ms)
    if cost is not None and reserved is not None:
        assert reserved.cost_of(most.output_tokens or 0) >= cost
    if cost is not None and reserved is None:
        # Only where a kind that is always dearer may come and has no rate: then it may cost anything.
        missing = (
            (most.hears, "audio_input_usd_per_mtok"),
            (most.writes_cache_1h, "cache_write_1h_usd_per_mtok"),
            (most.speaks, "audio_output_usd_per_mtok"),
        )
        assert any(may and getattr(one, name) is None for may, name in missing for one in (of, *of.long_prompts))


@settings(max_examples=200, deadline=None)
@given(prices, st.integers(0, 200_000), st.integers(0, 10**12), st.integers(1, 4))
def test_the_longest_answer_that_a_sum_pays_for_is_paid_for_and_one_token_more_is_not(
    of: Price, tokens_in: int, nano_usd: int, choices: int
) -> None:
    reserved = bound(Most(input_tokens=tokens_in, choices=choices), placed(of), 1_800_000_000_000)
    assert reserved is not None
    longest = reserved.tokens_for(nano_usd)
    if longest is None:
        assert reserved.cost_of(10**9) <= nano_usd
    elif longest < 0:
        assert reserved.cost_of(0) > nano_usd
    else:
        assert reserved.cost_of(longest) <= nano_usd < reserved.cost_of(longest + 1)
