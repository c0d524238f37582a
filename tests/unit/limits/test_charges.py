"""What of an attempt is charged to which budget: nothing where it costs nothing, and what is said where nobody knows."""

import pytest

from freehold.costs.bound import Most
from freehold.features import Caller
from freehold.limits.charges import Item, Spans, UnknownPrice, charges_something, items_of
from freehold.policy.budgets import BudgetTable
from freehold.runtime import Local, Placed, SelfHosted, Vendor
from support.priced import AT_MS, lines, place


def item_for(placed: Placed, table: BudgetTable) -> tuple[Item, ...] | UnknownPrice:
    return items_of(table.lines, placed, Caller(), Most(input_tokens=10), AT_MS, Spans(lambda: AT_MS))


FREE = [
    place(Local(name="v"), price=None),
    place(Local(name="v", watts_busy=90.0, usd_per_kwh=0.3), price=None),
    place(SelfHosted(name="v", usd_per_hour=2.0), price=None),
    place(Vendor(name="v"), free=True),
]


@pytest.mark.parametrize("placed", FREE, ids=["local", "watts", "hourly", "declared"])
def test_free_work_is_charged_no_money_and_waits_for_nothing(placed: Placed):
    table = lines({"usd": 0.0, "tokens": 0}, placed=placed)
    assert not charges_something(table.lines, placed, AT_MS)
    assert item_for(placed, table) == ()


@pytest.mark.parametrize("placed", FREE, ids=["local", "watts", "hourly", "declared"])
def test_tokens_of_free_work_count_where_the_budget_says_so(placed: Placed):
    table = lines({"tokens": 100, "local_tokens": True}, placed=placed)
    assert charges_something(table.lines, placed, AT_MS)
    items = item_for(placed, table)
    assert isinstance(items, tuple)
    assert [one.unit for one in items] == ["tokens"]


@pytest.mark.parametrize(
    ("policy", "units"), [("refuse", None), ("tokens", ["tokens"]), ("allow", ["tokens"])], ids=["refuse", "tokens", "allow"]
)
def test_an_unknown_price_is_refused_held_to_tokens_or_allowed(policy: str, units: list[str] | None):
    unknown = place(price=None)
    items = item_for(unknown, lines({"usd": 1.0, "tokens": 100, "unknown_price": policy}, placed=unknown))
    assert isinstance(items, UnknownPrice) if units is None else [one.unit for one in items] == units  # type: ignore[union-attr]
