"""Checks of prices and of what a machine costs: finite, never negative, dates and lengths in order."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

from freehold.config.settings import PriceEntry
from freehold.policy.problems import Problem
from freehold.runtime import Local, Placed, Price, Rates, Runtime, SelfHosted, Tariff, Vendor

_MOST_USD = 1e6
"""Of any rate. More is a slip of the unit, and would not fit the ledger's integers."""


def check_price(price: Price | tuple[Price, ...], path: str) -> Iterator[Problem]:
    """A deployment's price, or its prices by date."""
    if isinstance(price, Price):
        yield from _check_one(price, path)
        return
    if not price:
        yield Problem(path, "is an empty list", "leave it out where the price is not known, which is not zero")
    for index, one in enumerate(price):
        yield from _check_one(one, f"{path}[{index}]")
    for index, (earlier, later) in enumerate(pairwise(price), 1):
        if later.since is None or (earlier.since is not None and later.since <= earlier.since):
            yield Problem(f"{path}[{index}].since", "is not later than that of the price before", "the newest price stands last")


def check_prices(entries: Iterable[tuple[PriceEntry, str]], runtimes: Iterable[str]) -> Iterator[Problem]:
    """`[[prices]]`. `entries` are (entry, path)."""
    known = set(runtimes)
    for entry, path in entries:
        if entry.runtime not in known:
            yield Problem(f"{path}.runtime", f"'{entry.runtime}' is no runtime", f"one of {', '.join(sorted(known))}")
        yield from check_price(entry.price, f"{path}.price")


def batch_concerns(placed: Iterable[Placed]) -> tuple[str, ...]:
    """Deployments whose runtime has a Batch API that no line of a batch can go to."""
    unpriced = [one.id for one in placed if isinstance(one.runtime, Vendor) and one.runtime.batch_api and _lacks_batch(one)]
    if not unpriced:
        return ()
    shown = ", ".join(unpriced[:5]) + (f" and {len(unpriced) - 5} more" if len(unpriced) > 5 else "")
    return (f"lines of batches for {shown} are not handed on: no price of batches is known of them; give them `price.batch`",)


def _lacks_batch(placed: Placed) -> bool:
    held = placed.deployment.price
    if held is None or placed.deployment.free is True:
        return False
    return all(one.batch is None for one in ((held,) if isinstance(held, Price) else held))


def check_machine(runtime: Runtime, path: str) -> Iterator[Problem]:
    """What a runtime's own machine costs."""
    match runtime:
        case Local():
            amounts: dict[str, float | None] = {
                name: getattr(runtime, name)
                for name in ("watts_busy", "watts_idle", "usd_per_kwh", "price_usd", "lifetime_hours")
            }
        case SelfHosted():
            amounts = {"usd_per_hour": runtime.usd_per_hour, "replicas": runtime.replicas}
        case _:
            return
    for field, amount in amounts.items():
        if amount is not None and not 0 <= amount < math.inf:
            yield Problem(f"{path}.{field}", f"{amount} is not a finite number of 0 or more")
        elif amount == 0 and field in ("lifetime_hours", "replicas"):
            yield Problem(f"{path}.{field}", "is 0", "leave it out when it is not known")
    if isinstance(runtime, Local):
        for here, missing in (("price_usd", "lifetime_hours"), ("lifetime_hours", "price_usd")):
            if amounts[here] is not None and amounts[missing] is None:
                yield Problem(f"{path}.{here}", f"says nothing without `{missing}`", f"give both, `{here}` and `{missing}`")


def _check_one(price: Price, path: str) -> Iterator[Problem]:
    yield from _check_tariff(price, path)
    if price.batch is not None:
        yield from _check_tariff(price.batch, f"{path}.batch")
    if price.since is not None and price.until is not None and price.until <= price.since:
        yield Problem(f"{path}.until", "is not later than `since`", "it is the first day the price no longer holds")


def _check_tariff(tariff: Tariff, path: str) -> Iterator[Problem]:
    yield from _check_rates(tariff, path)
    above = 0
    for index, longer in enumerate(tariff.long_prompts):
        yield from _check_rates(longer, f"{path}.long_prompts[{index}]")
        if longer.above_input_tokens <= above:
            yield Problem(
                f"{path}.long_prompts[{index}].above_input_tokens", f"{longer.above_input_tokens} is not more than {above}"
            )
        above = longer.above_input_tokens


def _check_rates(rates: Rates, path: str) -> Iterator[Problem]:
    for field in Rates.__struct_fields__:
        value = getattr(rates, field)
        if value is not None and not 0 <= value <= _MOST_USD:
            yield Problem(f"{path}.{field}", f"{value} is not a finite price of 0 or more")
