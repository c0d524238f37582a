"""Deployments with a price, and the budgets that hold for them."""

from typing import Any

from freehold.policy.budgets import Budget, BudgetTable
from freehold.runtime import Deployment, Model, Placed, Price, Vendor, egress_of

AT_MS = 1_795_000_000_000
PRICE = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=10.0)
"""1,000 nano-USD for a token in, 10,000 for one out."""


def place(runtime: Any = None, **fields: Any) -> Placed:
    runtime = runtime or Vendor(name="v")
    fields = {"price": PRICE} | fields
    return Placed(
        deployment=Deployment(id="v/m", model="m", runtime=runtime.name, served_as="m", **fields),
        runtime=runtime,
        model=Model(id="m"),
        egress=egress_of(runtime),
    )


PLACED = place()


def lines(*budgets: dict[str, Any], placed: Placed = PLACED) -> Any:
    made = [Budget(**({"name": f"b{at}", "window": "day"} | fields)) for at, fields in enumerate(budgets)]
    return BudgetTable(made, [placed])
