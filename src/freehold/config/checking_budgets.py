"""Checks of budgets: what cannot be meant is a problem, what can hardly be meant a warning.

Problems: a budget of nothing, a `when` that a client could step out of, a name twice. Warnings: a budget that no request
meets, one that can never be reached because another one of the same callers ends earlier, one whose longer window is
smaller than its shorter one's, one that pays for nothing but unknown prices.
"""

from collections.abc import Iterator, Sequence

from freehold.config.checking import check_name, check_reference, check_unique, is_loopback
from freehold.config.settings import File, Settings
from freehold.costs.bound import price_state
from freehold.gateways.connector import read_base_url
from freehold.policy.budgets import MATCHED, WINDOWS, AlertSettings, Budget, BudgetTable
from freehold.policy.problems import Problem
from freehold.policy.rules import Match
from freehold.policy.snapshot import Policy
from freehold.runtime import EGRESS_ORDER, Egress, Placed


def check_budgets(user: File, paths: Sequence[str]) -> Iterator[Problem]:
    """`[[budgets]]` and `[alerts]`. `paths` are those of the budgets that could be read."""
    for budget, path in zip(user.budgets, paths, strict=True):
        yield from _check_one(budget, path)
    yield from check_unique([(one.name, f"{path}.name") for one, path in zip(user.budgets, paths, strict=True)], "budget", [])
    yield from _check_alerts(user.alerts)


def _check_one(budget: Budget, path: str) -> Iterator[Problem]:
    yield from check_name(budget.name, f"{path}.name")
    if "/" in budget.name:
        yield Problem(f"{path}.name", "has a slash, which parts the names of accounts", "spell it with a dash")
    if budget.usd is None and budget.tokens is None:
        yield Problem(path, "holds nothing", "give `usd`, `tokens`, or both")
    if budget.unknown_price == "tokens" and budget.tokens is None:
        yield Problem(f"{path}.unknown_price", "is held to `tokens`, and there are none", "give `tokens` too")
    if budget.local_tokens and budget.tokens is None:
        yield Problem(f"{path}.local_tokens", "counts tokens, and there are none", "give `tokens` too")
    empty = Match()
    for field in Match.__struct_fields__:
        if field not in MATCHED and getattr(budget.when, field) != getattr(empty, field):
            remedy = f"one of {', '.join(sorted(MATCHED))}"
            yield Problem(f"{path}.when.{field}", "is for a client to say or to leave out, so it cannot hold anybody", remedy)


def _check_alerts(alerts: AlertSettings) -> Iterator[Problem]:
    yield from check_reference(alerts.api_key, "alerts.api_key")
    if alerts.webhook is None:
        if alerts.api_key is not None:
            yield Problem("alerts.api_key", "is for a `webhook`, and there is none")
        return
    try:
        address = read_base_url(alerts.webhook)
    except ValueError as error:
        yield Problem("alerts.webhook", str(error), "an address such as https://host/path")
        return
    if alerts.egress == "local" and not is_loopback(address.host):
        yield Problem("alerts.webhook", "is not on this machine, and `egress` says local", "a loopback address or `localhost`")
    if alerts.egress == "vendor" and not address.tls and not is_loopback(address.host):
        yield Problem("alerts.webhook", "is plain http, so alerts would cross the internet readable", "use https://")


def budget_concerns(settings: Settings, policy: Policy) -> tuple[str, ...]:
    """What can hardly be meant."""
    said: list[str] = []
    table = BudgetTable(settings.budgets, policy.placed.values())
    for line in table.lines:
        covered = [one for one in table.placed if one.id in line.covers]
        if not covered:
            said.append(f"budget '{line.name}' holds nothing: no deployment is what its `when` says")
        elif line.nano_usd is not None and line.budget.tokens is None and all(_state(one) == "free" for one in covered):
            said.append(f"budget '{line.name}' counts money, and every deployment it holds is free")
        elif line.nano_usd is not None and line.budget.unknown_price == "refuse":
            unknown = [one.id for one in covered if _state(one) == "unknown"]
            if unknown:
                shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
                said.append(
                    f"budget '{line.name}' keeps out {shown}: their price is not known; give them one, or set unknown_price"
                )
    said.extend(_contradictions(settings.budgets))
    alerts = settings.alerts
    if alerts.webhook is not None and EGRESS_ORDER[Egress(alerts.egress)] > EGRESS_ORDER[policy.server_ceiling]:
        said.append(f"alerts are not sent: {alerts.egress} is above the server's ceiling, {policy.server_ceiling}")
    return tuple(said)


def _contradictions(budgets: Sequence[Budget]) -> Iterator[str]:
    """Of two budgets that hold the same callers to the same things: a longer window that ends before the shorter one."""
    for at, one in enumerate(budgets):
        for other in budgets[at + 1 :]:
            if (one.per, one.when) != (other.per, other.when):
                continue
            short, long = sorted((one, other), key=lambda budget: WINDOWS.index(budget.window))
            for unit in ("usd", "tokens"):
                less, more = getattr(short, unit), getattr(long, unit)
                if less is None or more is None:
                    continue
                if short.window == long.window:
                    yield f"budgets '{one.name}' and '{other.name}' hold the same in {unit} for the same window: the smaller counts"
                elif less >= more:
                    yield (
                        f"budget '{short.name}' ({less} {unit} each {short.window}) can never be reached: "
                        f"'{long.name}' ends at {more} {_in_window(long)}"
                    )


def _in_window(budget: Budget) -> str:
    return "in all" if budget.window == "total" else f"each {budget.window}"


def _state(placed: Placed) -> str:
    """As `price_state`, but a price counts whatever the day is."""
    one = placed.deployment
    return "priced" if one.price is not None and one.free is not True else price_state(placed, 0)


def budgets_of(settings: Settings, policy: Policy) -> BudgetTable | None:
    """The budgets compiled for the deployments there are; None: there are none, which costs a request nothing."""
    return BudgetTable(settings.budgets, policy.placed.values()) if settings.budgets else None
