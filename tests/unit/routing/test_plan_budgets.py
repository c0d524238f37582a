"""What a spent budget does to a plan: paid deployments leave it with their reason, free ones never do."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.fault import Kind
from freehold.policy.rules import Rule
from freehold.policy.snapshot import Policy
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Health, OverBudget, Situation
from freehold.runtime import Abilities, Deployment, Egress, Local, Model, Placed, Vendor, egress_of
from support.records import features

NOW_MS = 1_000_000


def place(name: str) -> Placed:
    kind, model = name.split("/")
    runtime = (Local if kind == "box" else Vendor)(name=kind, base_url="http://127.0.0.1:1/v1")
    deployment = Deployment(id=name, model=model, runtime=kind, served_as=model, abilities=Abilities(context=10_000))
    return Placed(deployment=deployment, runtime=runtime, model=Model(id=model), egress=egress_of(runtime))


NAMES = ("cloud/big", "cloud/mid", "box/small")


def policy(**rule: Any) -> Policy:
    placed = [place(name) for name in NAMES]
    rules = [msgspec.convert({"name": "r", **rule}, Rule)] if rule else []
    return Policy(placed, {"auto": NAMES}, rules, Egress.VENDOR)


def over(*names: str, refuses: bool = False, resets_ms: int | None = NOW_MS + 3_600_000) -> dict[str, OverBudget]:
    return {name: OverBudget("team", "budget 'team' does not pay for it", resets_ms, refuses) for name in names}


def plan(budgets: dict[str, OverBudget], *, with_policy: Policy | None = None, **situation: Any) -> Plan:
    now = Situation(now_ms=NOW_MS, hour=12, seed=0, budgets=budgets, **situation)
    return make_plan(features(), with_policy or policy(**{"try": ["vendor", "local"]}), now)


def ids(made: Plan) -> list[str]:
    return [step.placed.id for step in made.steps]


def test_what_a_budget_does_not_pay_for_is_rejected_with_the_reason_and_the_rest_goes_on():
    made = plan(over("cloud/big", "cloud/mid"))
    assert ids(made) == ["box/small"]
    assert [(one.deployment, one.reason) for one in made.rejected] == [
        ("cloud/big", "budget 'team' does not pay for it"),
        ("cloud/mid", "budget 'team' does not pay for it"),
    ]


def test_a_budget_that_refuses_lets_nothing_free_take_the_place_of_what_was_to_be_tried_first():
    made = plan(over("cloud/big", "cloud/mid", refuses=True))
    assert made.refusal is not None
    assert made.refusal.kind is Kind.BUDGET_SPENT
    assert made.steps == ()


def test_a_budget_that_refuses_leaves_alone_what_is_free_anyway():
    made = plan(over("cloud/big", "cloud/mid", refuses=True), with_policy=policy(**{"try": ["local", "vendor"]}))
    assert ids(made) == ["box/small"]
    assert made.refusal is None


def test_a_session_that_stays_with_a_free_deployment_is_not_refused_either():
    made = plan(over("cloud/big", "cloud/mid", refuses=True), sticky="box/small")
    assert ids(made) == ["box/small"]


def test_nothing_left_but_what_a_budget_keeps_out_is_402_with_the_budget_and_the_reset():
    made = plan(over("cloud/big", "cloud/mid"), down={"box": "it is starting"})
    assert made.refusal is not None
    assert made.refusal.kind is Kind.BUDGET_SPENT
    assert made.refusal.meaning.status == 402
    assert made.refusal.retry_after_s is None
    assert made.refusal.details["budget"] == "team"
    assert made.refusal.details["resets_ms"] == NOW_MS + 3_600_000


@pytest.mark.parametrize(("left_ms", "retry_s"), [(60_000, 60.0), (500, 1.0), (0, 1.0)])
def test_shortly_before_the_next_window_a_client_is_told_to_ask_again_then(left_ms: int, retry_s: float):
    made = plan(over(*NAMES, resets_ms=NOW_MS + left_ms))
    assert made.refusal is not None
    assert made.refusal.kind is Kind.BUDGET_BUSY
    assert made.refusal.meaning.status == 429
    assert made.refusal.retry_after_s == retry_s


def test_an_escalation_never_goes_where_a_budget_does_not_pay():
    escalate = {"on": ["empty"], "to": ["vendor"], "at_most": 2}
    made = plan(over("cloud/big"), with_policy=policy(**{"try": ["local"], "escalate": escalate}))
    assert made.escalate is not None
    assert [step.placed.id for step in made.escalate.steps] == ["cloud/mid"]


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
    st.sets(st.sampled_from(NAMES)),
    st.permutations(["vendor", "local", "cloud/mid"]),
)
def test_a_spent_budget_never_adds_a_deployment_to_a_plan(spent: set[str], refuses: bool, ill: set[str], order: list[str]):
    with_policy = policy(**{"try": order, "escalate": {"on": ["empty"], "to": ["vendor"]}})
    health = {name: Health("open", "it fails") for name in ill}
    free = plan({}, with_policy=with_policy, health=health)
    held = plan(over(*spent, refuses=refuses), with_policy=with_policy, health=health)
    assert set(ids(held)) <= set(ids(free)) - spent
    assert not held.steps or [one for one in ids(free) if one not in spent] == ids(held)
    escalated = [] if held.escalate is None else [step.placed.id for step in held.escalate.steps]
    assert not spent & set(escalated)
    again = msgspec.json.decode(msgspec.json.encode(Situation(now_ms=0, hour=0, seed=0, budgets=over(*spent))), type=Situation)
    assert again.budgets == over(*spent)
