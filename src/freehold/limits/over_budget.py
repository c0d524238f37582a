"""What is told when a budget does not pay: which one, what is left of it, when it is whole again, and what helps.

A client's SDK tries 429 again by itself and gives up on 402. So 429 is told only where asking again soon will help: what
is left is merely reserved by others, or the window ends within a minute. Everything else is 402, without `retry-after`.
"""

import datetime as dt

from freehold.costs.bound import price_state
from freehold.fault import Fault, FaultError, Kind
from freehold.limits.charges import Item
from freehold.policy.budgets import NANO_USD_PER_USD, BudgetLine, BudgetTable, Unit
from freehold.routing.situation import OverBudget
from freehold.storage.reservations import Balance

SOON_S = 60.0
"""Official SDKs wait no longer than this for a `retry-after`; beyond it they guess, and ask again and again."""
BUSY_RETRY_S = 5.0
_REMEDY = {
    "local": "Ask for less (`max_tokens`, a shorter prompt) or for a model that is free, or wait; the operator can raise the budget.",
    "refuse": "Ask for less (`max_tokens`, a shorter prompt), or wait; the operator can raise the budget.",
}


class OverBudgetError(FaultError):
    """A budget does not pay for an attempt. `refuses`: it says that nothing free shall take its place."""

    def __init__(self, fault: Fault, *, refuses: bool) -> None:
        super().__init__(fault)
        self.refuses = refuses


def over_budget(item: Item, balance: Balance, needed: int, now_ms: int) -> OverBudgetError:
    """The account has no room for `needed`, the least that the attempt can be reserved with."""
    budget = item.line.budget
    left = max(item.limit - balance.spent, 0)
    resets_s = None if item.resets_ms is None else max((item.resets_ms - now_ms) / 1000, 0.0)
    is_reserved = needed <= left
    retry_s = BUSY_RETRY_S if is_reserved else resets_s if resets_s is not None and resets_s <= SOON_S else None
    if is_reserved:
        said = f"{amount(left, item.unit)} of {amount(item.limit, item.unit)} are left, and requests under way have reserved it"
    else:
        said = f"{amount(left, item.unit)} of {amount(item.limit, item.unit)} are left, and this may take {amount(needed, item.unit)}"
    return OverBudgetError(
        Fault(
            kind=Kind.BUDGET_SPENT if retry_s is None else Kind.BUDGET_BUSY,
            message=f"budget '{budget.name}' {span_said(item.line)}: {said}; {resets(item.resets_ms)}. {_REMEDY[budget.over]}",
            retry_after_s=retry_s,
            details={
                "budget": budget.name,
                "unit": item.unit,
                "limit": shown(item.limit, item.unit),
                "left": shown(left, item.unit),
                "resets_at": None if item.resets_ms is None else moment(item.resets_ms),
            },
        ),
        refuses=budget.over == "refuse",
    )


def unknown_price(line: BudgetLine, deployment: str, dearer: str = "") -> OverBudgetError:
    """The price of a deployment, or what the field `dearer` asks of it, is not known, and a budget of money holds it."""
    if dearer:
        said = (
            f"`{dearer}` asks '{deployment}' for other rates than its price, and budget '{line.name}' counts money: leave it out"
        )
    else:
        said = f"{why_unknown(line)}: '{deployment}' is not used; give it a `price`, or declare it `free`, in freehold.toml"
    return OverBudgetError(
        Fault(
            kind=Kind.BUDGET_SPENT,
            message=said,
            param=dearer or None,
            details={"budget": line.name},
        ),
        refuses=False,
    )


def why_unknown(line: BudgetLine) -> str:
    """Why a deployment without a known price is not used."""
    return f"its price is not known, and budget '{line.name}' counts money"


def unknown_prices(table: BudgetTable, at_ms: int) -> dict[str, dict[str, OverBudget]]:
    """By budget, then by deployment: what budgets keep out because its price is not known on that day."""
    found: dict[str, dict[str, OverBudget]] = {}
    for line in table.lines:
        if line.nano_usd is None or line.budget.unknown_price != "refuse":
            continue
        over = OverBudget(line.name, why_unknown(line))
        kept_out = {one.id: over for one in table.placed if one.id in line.covers and price_state(one, at_ms) == "unknown"}
        if kept_out:
            found[line.name] = kept_out
    return found


def span_said(line: BudgetLine) -> str:
    """The budget's window and whose account it is, in words."""
    budget = line.budget
    each = "" if budget.per == "all" else f" for each {budget.per}"
    return f"(in all{each})" if budget.window == "total" else f"(each {budget.window}{each})"


def resets(resets_ms: int | None) -> str:
    """When it is whole again, in words."""
    return "it is not filled up by itself" if resets_ms is None else f"it is whole again at {moment(resets_ms)}"


def told(line: BudgetLine) -> str:
    """What a budget holds, in words."""
    budget = line.budget
    sums = [amount(line.nano_usd, "usd")] if line.nano_usd is not None else []
    sums += [amount(budget.tokens, "tokens")] if budget.tokens is not None else []
    then = "then what is free" if budget.over == "local" else "then refused"
    return f"{' and '.join(sums)} {span_said(line)}, {then}"


def moment(at_ms: int) -> str:
    """A moment in UTC, to the second."""
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(count: int, unit: Unit) -> float | int:
    """An amount as people and programs read it: USD, or tokens."""
    return count / NANO_USD_PER_USD if unit == "usd" else count


def amount(count: int, unit: Unit) -> str:
    """An amount in words. Small sums of money keep their digits."""
    if unit == "tokens":
        return f"{count} tokens"
    usd = count / NANO_USD_PER_USD
    return f"{usd:.2f} USD" if usd >= 1 or usd == 0 else f"{usd:.9f}".rstrip("0") + " USD"
