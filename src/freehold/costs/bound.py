"""The most that a request as sent can cost, in whole nano-USD. Pure.

Promised: for any usage within the bounds given, `costs.price` charges no more than `cost_of` says here. Every token counts
at the dearest rate it may have (a cache write, audio, an image), and every tier that the prompt may reach is considered.
Not done: what a vendor charges beyond the request (its own tools' fees): docs/budgets.md.
"""

from typing import Literal

import msgspec

from freehold.costs.price import FEMTO_PER_NANO, NANO_USD_PER_USD, SECONDS_PER_HOUR, femto_usd_per_token, hourly_usd, price_at
from freehold.runtime import Egress, Placed, Rates

PriceState = Literal["priced", "free", "unknown"]


class Most(msgspec.Struct, frozen=True, kw_only=True):
    """The most an attempt can use, by what is sent."""

    input_tokens: int
    output_tokens: int | None = 0
    """Of one choice; None: nothing bounds it."""
    choices: int = 1
    predicted_tokens: int = 0
    """Of a guess at the answer that came along: what of it is not in the answer is charged as output, beside the answer."""
    images: int = 0
    """In the answer."""
    audio_s: float = 0.0
    writes_cache: bool = False
    writes_cache_1h: bool = False
    hears: bool = False
    """Some of the input may be audio."""
    sees: bool = False
    """Some of the input may be images."""
    speaks: bool = False
    """Some of the output may be audio."""
    dearer: str = ""
    """The field by which other rates are asked for than the price says (`costs.dearer`); "": none."""


class Bound(msgspec.Struct, frozen=True):
    """What it costs at most: a fixed part, and one for each token of the answer."""

    fixed_nano_usd: int
    femto_usd_per_output_token: int
    """For all choices together."""

    def cost_of(self, output_tokens: int) -> int:
        """Nano-USD, rounded up, where each choice may have that many tokens."""
        return self.fixed_nano_usd - (-output_tokens * self.femto_usd_per_output_token // FEMTO_PER_NANO)

    def tokens_for(self, nano_usd: int) -> int | None:
        """The longest answer that so much pays for, negative where not even the prompt is; None: of any length."""
        left = nano_usd - self.fixed_nano_usd
        if left < 0:
            return -1
        if self.femto_usd_per_output_token == 0:
            return None
        return left * FEMTO_PER_NANO // self.femto_usd_per_output_token


def price_state(placed: Placed, at_ms: int) -> PriceState:
    """Whether a call there is paid for by use, and by which price. What runs on hardware one has counts as free: its power
    and its wear are on the row, but no bill comes of a call.
    """
    deployment = placed.deployment
    if deployment.free is True:
        return "free"
    if deployment.price is not None:
        return "unknown" if price_at(deployment.price, at_ms) is None else "priced"
    if hourly_usd(placed) is not None or (placed.egress is Egress.LOCAL and deployment.free is None):
        return "free"
    return "unknown"


def bound(most: Most, placed: Placed, at_ms: int) -> Bound | None:
    """The most it can cost on a priced deployment. None: a rate that it may need is not known, or it asks for another one."""
    prices = placed.deployment.price
    tariff = None if prices is None else price_at(prices, at_ms)
    if tariff is None or most.dearer:
        return None
    reached = (tariff, *(longer for longer in tariff.long_prompts if most.input_tokens > longer.above_input_tokens))
    bounds = [_bound_at(most, rates) for rates in reached]
    known = [one for one in bounds if one is not None]
    if len(known) < len(bounds):
        return None
    return Bound(
        max(one.fixed_nano_usd for one in known),
        max(one.femto_usd_per_output_token for one in known),
    )


def _bound_at(most: Most, rates: Rates) -> Bound | None:
    dearest_in = _dearest(
        rates.input_usd_per_mtok,
        (most.hears, rates.audio_input_usd_per_mtok, True),
        (most.sees, rates.image_input_usd_per_mtok, False),
        (most.writes_cache, rates.cache_write_usd_per_mtok, False),
        (most.writes_cache_1h, rates.cache_write_1h_usd_per_mtok, True),
        (True, rates.cached_input_usd_per_mtok, False),
    )
    dearest_out = _dearest(rates.output_usd_per_mtok, (most.speaks, rates.audio_output_usd_per_mtok, True))
    if dearest_in is None or dearest_out is None:
        return None
    femto_usd = most.input_tokens * dearest_in + most.predicted_tokens * most.choices * dearest_out + _femto(rates.request_usd)
    femto_usd += most.images * _femto(rates.image_usd)
    if rates.audio_usd_per_hour is not None:
        seconds = -(-round(most.audio_s * 1e6) // 1)
        femto_usd += -(-seconds * round(rates.audio_usd_per_hour * NANO_USD_PER_USD) // SECONDS_PER_HOUR)
    return Bound(-(-femto_usd // FEMTO_PER_NANO), dearest_out * most.choices)


def _dearest(plain: float, *others: tuple[bool, float | None, bool]) -> int | None:
    """Femto-USD of the dearest kind of token that may come. Each other: whether it may, its rate, whether it needs one.

    Where a kind that is always dearer than text has no rate of its own, the cost would not be known. Text alone never needs
    it, so a request that cannot have it is not held up; and one with no charge for tokens at all is not either.
    """
    dearest = femto_usd_per_token(plain)
    for may_come, rate, needs_rate in others:
        if not may_come:
            continue
        if rate is not None:
            dearest = max(dearest, femto_usd_per_token(rate))
        elif needs_rate and plain > 0:
            return None
    return dearest


def _femto(usd: float | None) -> int:
    return 0 if usd is None else round(usd * 1e15)
