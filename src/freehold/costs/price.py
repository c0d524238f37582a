"""What one attempt cost, in integer nano-USD, and how that is known.

Promised: an unknown price is None with basis `unknown`, never zero; what is not whole is rounded up. Not done:
budgets, currencies, prices that depend on the length of the prompt, dearer cache writes.
"""

import math

from freehold.chat import Usage
from freehold.record import CostBasis
from freehold.runtime import Egress, Local, Placed, Price, SelfHosted

NANO_USD_PER_USD = 1_000_000_000
FEMTO_PER_NANO = 1_000_000
SECONDS_PER_HOUR = 3600


def price(usage: Usage | None, placed: Placed, seconds: float) -> tuple[int | None, CostBasis]:
    """The cost of an attempt in nano-USD and its basis.

    `seconds` is how long the attempt kept the runtime busy. In this order: free by declaration costs 0; a metered
    price counts tokens (`estimated` when the usage is); a local runtime costs its busy watts where both watts and
    the price of a kWh are known, a self-hosted one its hourly price (of one replica), both `amortised` and both as
    if the attempt had the machine alone, which is an upper bound; a local one with neither is free unless declared
    otherwise. Everything else is unknown.
    """
    deployment = placed.deployment
    if deployment.free is True:
        return 0, "free"
    if deployment.price is not None:
        return _metered(usage, deployment.price)
    hourly = _hourly_usd(placed)
    if hourly is not None:
        return math.ceil(hourly * max(seconds, 0.0) * NANO_USD_PER_USD / SECONDS_PER_HOUR), "amortised"
    if placed.egress is Egress.LOCAL and deployment.free is None:
        return 0, "free"
    return None, "unknown"


def _metered(usage: Usage | None, rates: Price) -> tuple[int | None, CostBasis]:
    """Tokens times rates. Cached reads without a rate of their own cost what fresh input costs."""
    if usage is None:
        return None, "unknown"
    cached = min(usage.cached_tokens, usage.input_tokens)
    input_rate = _femto_usd_per_token(rates.input_usd_per_mtok)
    cached_rate = input_rate if rates.cached_input_usd_per_mtok is None else _femto_usd_per_token(rates.cached_input_usd_per_mtok)
    femto_usd = (
        (usage.input_tokens - cached) * input_rate
        + cached * cached_rate
        + usage.output_tokens * _femto_usd_per_token(rates.output_usd_per_mtok)
    )
    return -(-femto_usd // FEMTO_PER_NANO), "estimated" if usage.basis == "estimated" else "metered"


def _femto_usd_per_token(usd_per_mtok: float) -> int:
    """A whole number, so that sums are exact: 0.15 USD per million tokens is 150,000,000 femto-USD per token."""
    return round(usd_per_mtok * 1e9)


def _hourly_usd(placed: Placed) -> float | None:
    """What an hour of the runtime costs in USD, where that is known."""
    match placed.runtime:
        case Local(watts_busy=watts, usd_per_kwh=kwh) if watts is not None and kwh is not None:
            return watts * kwh / 1000
        case SelfHosted(usd_per_hour=hourly):
            return hourly
        case _:
            return None
