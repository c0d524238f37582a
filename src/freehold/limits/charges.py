"""What one attempt is to be charged: for each budget it is held to, the account and the amount by the answer's length.

Promised: an amount is never less than what the request as sent can cost. A deployment that is free is charged nothing but
tokens, and those only where a budget says that it counts them; so an empty purse never stands in the way of free work.
An attempt's row says what its accounts are charged, also where that is not known and what was reserved is charged.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from freehold.chat import Usage
from freehold.costs.bound import Bound, Most, bound, price_state
from freehold.costs.price import FEMTO_PER_NANO
from freehold.features import Caller
from freehold.policy.budgets import BudgetLine, Span, Unit, Window, account_of, span_at
from freehold.record import SETTLED_AS_RESERVED, AttemptRecord
from freehold.runtime import Placed
from freehold.storage.reservations import Begun, Charge


class Item(msgspec.Struct, frozen=True):
    """One account, and what it is charged."""

    line: BudgetLine
    unit: Unit
    account: str
    limit: int
    """Nano-USD or tokens."""
    resets_ms: int | None
    bound: Bound
    """In the account's unit; for tokens as if each cost one nano-USD."""

    def charge(self, output_tokens: int) -> Charge:
        """What to reserve where each choice may have that many tokens."""
        return Charge(self.account, self.limit, self.bound.cost_of(output_tokens))

    def most_tokens(self, output_tokens: int) -> tuple[int, int]:
        """In and out, of an account of tokens: what is reserved where each choice may have that many."""
        return self.bound.fixed_nano_usd, self.bound.cost_of(output_tokens) - self.bound.fixed_nano_usd


class UnknownPrice(msgspec.Struct, frozen=True):
    """A budget of money holds a deployment whose price, or the price of what is asked of it, is not known."""

    line: BudgetLine
    dearer: str = ""
    """The field by which other rates are asked for; "": it is the deployment's own price."""


class Spans:
    """The present window of each kind, worked out once per window. `wall_ms` gives Unix milliseconds."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._known: dict[Window, Span] = {}

    def now(self, window: Window) -> Span:
        """The window of this moment."""
        span = self._known.get(window)
        if span is None or (span.resets_ms is not None and self._wall_ms() >= span.resets_ms):
            span = self._known[window] = span_at(window, self._wall_ms())
        return span


def charges_something(lines: Iterable[BudgetLine], placed: Placed, at_ms: int) -> bool:
    """Whether an attempt there needs a reservation at all. Free work does not, unless its tokens are counted."""
    state = price_state(placed, at_ms)
    for line in lines:
        if placed.id not in line.covers:
            continue
        budget = line.budget
        if state != "free" or (budget.tokens is not None and budget.local_tokens):
            return True
    return False


def items_of(
    lines: Sequence[BudgetLine], placed: Placed, caller: Caller, most: Most, at_ms: int, spans: Spans
) -> tuple[Item, ...] | UnknownPrice:
    """The accounts to charge, in the order of the budgets."""
    state = price_state(placed, at_ms)
    money = bound(most, placed, at_ms) if state == "priced" else None
    items: list[Item] = []
    for line in lines:
        if placed.id not in line.covers:
            continue
        budget = line.budget
        span = spans.now(budget.window)
        if line.nano_usd is not None and state != "free":
            if money is not None:
                account = account_of(line, "usd", span.name, caller, placed.model.id)
                items.append(Item(line, "usd", account, line.nano_usd, span.resets_ms, money))
            elif budget.unknown_price == "refuse":
                return UnknownPrice(line, most.dearer if state == "priced" else "")
        if budget.tokens is not None and (state != "free" or budget.local_tokens):
            account = account_of(line, "tokens", span.name, caller, placed.model.id)
            tokens = Bound(most.input_tokens + most.predicted_tokens * most.choices, most.choices * FEMTO_PER_NANO)
            items.append(Item(line, "tokens", account, budget.tokens, span.resets_ms, tokens))
    return tuple(items)


def begun_with(begun: Begun, items: Iterable[Item], output_tokens: int) -> Begun:
    """What is known of the attempt, with what is reserved for it where each choice may have that many tokens."""
    nano_usd = input_tokens = None
    most_output = 0
    for item in items:
        if item.unit == "usd":
            nano_usd = item.bound.cost_of(output_tokens)
        else:
            input_tokens, most_output = item.most_tokens(output_tokens)
    return msgspec.structs.replace(begun, nano_usd=nano_usd, input_tokens=input_tokens, output_tokens=most_output)


def charged(record: AttemptRecord, items: Iterable[Item], output_tokens: int) -> tuple[AttemptRecord, dict[str, int]]:
    """The row of an attempt that is over, and what that charges each account.

    What is not known and some account is charged for is what was reserved with answers of that length; the row is marked then.
    """
    nano_usd, usage = record.cost_nano_usd, record.usage
    amounts: dict[str, int] = {}
    for item in items:
        if item.unit == "usd":
            nano_usd = item.bound.cost_of(output_tokens) if nano_usd is None else nano_usd
            amounts[item.account] = nano_usd
        else:
            if usage is None:
                most_input, most_output = item.most_tokens(output_tokens)
                usage = Usage(input_tokens=most_input, output_tokens=most_output, basis="estimated")
            amounts[item.account] = usage.input_tokens + usage.output_tokens
    if nano_usd == record.cost_nano_usd and usage is record.usage:
        return record, amounts
    basis = record.cost_basis if nano_usd == record.cost_nano_usd else "estimated"
    edits = (*record.edits, SETTLED_AS_RESERVED)
    row = msgspec.structs.replace(record, cost_nano_usd=nano_usd, cost_basis=basis, usage=usage, edits=edits)
    return row, amounts
