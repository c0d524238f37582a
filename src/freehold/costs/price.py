"""What one attempt cost, in integer nano-USD, and how that is known.

Promised: an unknown price is None with basis `unknown`, never zero; every token is charged once; sums are exact, and what
is not a whole nano-USD is rounded up, once per attempt; an attempt is charged by the price of its own day. Not done:
budgets, currencies, storage fees for caches, fees for a vendor's own tools (searches), rates of service tiers (`costs.dearer`
finds who asks for them; batches have a price of their own: `costs.batch_price`).
"""

import math

from freehold.chat import Usage
from freehold.record import CostBasis
from freehold.runtime import Egress, Local, Placed, Price, Rates, SelfHosted, Tariff

NANO_USD_PER_USD = 1_000_000_000
FEMTO_PER_NANO = 1_000_000
SECONDS_PER_HOUR = 3600
MS_PER_DAY = 86_400_000
EPOCH_DAY = 719_163
"""1970-01-01 as `date.toordinal` counts."""

Cost = tuple[int | None, CostBasis]


def price(
    usage: Usage | None,
    placed: Placed,
    seconds: float,
    at_ms: int,
    images: int | None = None,
    audio_s: float | None = None,
    *,
    dearer: bool = False,
) -> Cost:
    """The cost of an attempt in nano-USD and its basis.

    `seconds` is the share of the runtime's time that the attempt had (`dispatch.shares`); `at_ms` when it began; `images`
    and `audio_s` are what was answered beside tokens; `dearer`: it asked for other rates than a metered price says, so what that
    comes to is unknown. In this order: free by declaration costs 0; a metered price counts units (`estimated` when the usage is); a local runtime costs its busy
    watts and the share of its price, a self-hosted one its hourly price, both `amortised`; a local one with neither is free
    unless declared otherwise. Everything else is unknown.
    """
    deployment = placed.deployment
    if deployment.free is True:
        return 0, "free"
    if deployment.price is not None:
        held = price_at(deployment.price, at_ms)
        return (None, "unknown") if held is None or dearer else _metered(usage, held, images, audio_s)
    hourly = hourly_usd(placed)
    if hourly is not None:
        return math.ceil(hourly * max(seconds, 0.0) * NANO_USD_PER_USD / SECONDS_PER_HOUR), "amortised"
    if placed.egress is Egress.LOCAL and deployment.free is None:
        return 0, "free"
    return None, "unknown"


def price_at(prices: Price | tuple[Price, ...], at_ms: int) -> Price | None:
    """Of the prices that hold on that day (UTC), the last one. None: none holds."""
    day = at_ms // MS_PER_DAY + EPOCH_DAY
    for one in (prices,) if isinstance(prices, Price) else reversed(prices):
        if (one.since is None or one.since.toordinal() <= day) and (one.until is None or day < one.until.toordinal()):
            return one
    return None


def hourly_usd(placed: Placed) -> float | None:
    """What an hour of work on the runtime costs in USD, where that is known: for a self-hosted one, of one replica."""
    match placed.runtime:
        case Local(watts_busy=watts, usd_per_kwh=kwh, price_usd=worth, lifetime_hours=hours):
            power = None if watts is None or kwh is None else watts * kwh / 1000
            wear = None if worth is None or not hours else worth / hours
            return None if power is None and wear is None else (power or 0.0) + (wear or 0.0)
        case SelfHosted(usd_per_hour=hourly):
            return hourly
        case _:
            return None


def _metered(usage: Usage | None, tariff: Tariff, images: int | None, audio_s: float | None) -> Cost:
    """Units times rates. A unit that has a rate and was not told makes the cost unknown, where nothing else is charged."""
    if usage is None and images is None and audio_s is None:
        return None, "unknown"
    rates: Rates = tariff
    if usage is not None:
        for longer in tariff.long_prompts:
            if usage.input_tokens > longer.above_input_tokens:
                rates = longer
    beside = _beside_tokens(rates, images, audio_s)
    tokens = _tokens(usage, rates)
    if beside is None or tokens is None:
        return None, "unknown"
    return -(-(beside + tokens) // FEMTO_PER_NANO), "estimated" if usage is not None and usage.basis == "estimated" else "metered"


def _tokens(usage: Usage | None, rates: Rates) -> int | None:
    """Femto-USD of all tokens. None: some have no known rate."""
    charges_tokens = rates.input_usd_per_mtok > 0 or rates.output_usd_per_mtok > 0
    if usage is None:
        return None if charges_tokens else 0
    fresh = femto_usd_per_token(rates.input_usd_per_mtok)
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    femto_usd = usage.output_tokens * femto_usd_per_token(rates.output_usd_per_mtok)
    plain = usage.input_tokens - cached - written
    if cached:
        femto_usd += cached * _or(rates.cached_input_usd_per_mtok, fresh)
    if written:
        for_an_hour = min(usage.cache_write_1h_tokens, written)
        if for_an_hour and rates.cache_write_1h_usd_per_mtok is None:
            return None
        femto_usd += (written - for_an_hour) * _or(rates.cache_write_usd_per_mtok, fresh)
        femto_usd += for_an_hour * _or(rates.cache_write_1h_usd_per_mtok, fresh)
    if usage.audio_input_tokens or usage.audio_output_tokens or usage.image_input_tokens:
        dearer = _of_other_kinds(usage, rates, plain, fresh)
        if dearer is None:
            return None
        femto_usd += dearer
    return femto_usd + plain * fresh


def _of_other_kinds(usage: Usage, rates: Rates, plain: int, fresh: int) -> int | None:
    """What audio and images cost beyond text. They are taken to be of the fresh tokens, where those are enough."""
    heard = min(usage.audio_input_tokens, plain)
    seen = min(usage.image_input_tokens, plain - heard)
    said = min(usage.audio_output_tokens, usage.output_tokens)
    if (heard and rates.audio_input_usd_per_mtok is None) or (said and rates.audio_output_usd_per_mtok is None):
        return None
    written = femto_usd_per_token(rates.output_usd_per_mtok)
    return (
        heard * (_or(rates.audio_input_usd_per_mtok, fresh) - fresh)
        + seen * (_or(rates.image_input_usd_per_mtok, fresh) - fresh)
        + said * (_or(rates.audio_output_usd_per_mtok, written) - written)
    )


def _beside_tokens(rates: Rates, images: int | None, audio_s: float | None) -> int | None:
    """Femto-USD of images, audio by its length and the request. None: one is charged for and was not told."""
    femto_usd = 0 if rates.request_usd is None else round(rates.request_usd * 1e15)
    if rates.image_usd is not None:
        if images is None:
            return None
        femto_usd += images * round(rates.image_usd * 1e15)
    if rates.audio_usd_per_hour is not None:
        if audio_s is None:
            return None
        femto_usd += -(-round(audio_s * 1e6) * round(rates.audio_usd_per_hour * NANO_USD_PER_USD) // SECONDS_PER_HOUR)
    return femto_usd


def _or(usd_per_mtok: float | None, otherwise: int) -> int:
    return otherwise if usd_per_mtok is None else femto_usd_per_token(usd_per_mtok)


def femto_usd_per_token(usd_per_mtok: float) -> int:
    """A whole number, so that sums are exact: 0.15 USD per million tokens is 150,000,000 femto-USD per token."""
    return round(usd_per_mtok * 1e9)
