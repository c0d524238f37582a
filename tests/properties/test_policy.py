"""Promises about policy that hold for any deployments, rules, requests and situations."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.features import LABEL_ORDER, Caller, Features, Label, Progress, Task
from freehold.policy.rules import Rule
from freehold.policy.snapshot import Policy
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Health, Situation
from freehold.runtime import Abilities, Deployment, Egress, Local, Model, Placed, Runtime, SelfHosted, Vendor, egress_of

QUICK = settings(max_examples=150, deadline=None)
RUNTIMES: list[Runtime] = [Local(name="box"), SelfHosted(name="team"), Vendor(name="cloud"), Vendor(name="sky")]
MODELS = ["small", "gpt-x", "claude-y"]
IDS = [f"{runtime.name}/{model}" for runtime in RUNTIMES for model in MODELS]
GLOBS = [*MODELS, "gpt-*", "*", "*-y", "nothing*"]
LICENCES = [None, "Apache-2.0", "MIT", "LicenseRef-Closed"]
some = st.booleans


def lists(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=2)


@st.composite
def fleets(draw: st.DrawFn) -> list[Placed]:
    fleet: list[Placed] = []
    for name in draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True)):
        runtime = next(one for one in RUNTIMES if one.name == name.split("/")[0])
        abilities = Abilities(
            context=draw(st.sampled_from([None, 500, 10_000, 200_000])),
            tools=draw(some()), images=draw(some()), json_schema=draw(some()), embeddings=draw(some()), chat=draw(st.sampled_from([True, True, False])),
        )  # fmt: skip
        model = name.split("/")[1]
        fleet.append(
            Placed(
                deployment=Deployment(id=name, model=model, runtime=runtime.name, served_as=model, abilities=abilities),
                runtime=runtime,
                model=Model(
                    id=model, open_weights=draw(st.sampled_from([None, True, False])), licence=draw(st.sampled_from(LICENCES))
                ),
                egress=egress_of(runtime),
            )
        )
    return fleet


@st.composite
def whens(draw: st.DrawFn) -> dict[str, object]:
    fields: dict[str, st.SearchStrategy[object]] = {
        "label": st.sampled_from(list(Label)),
        "labels": lists([*Label]),
        "tasks": lists([*Task]),
        "models": lists(GLOBS),
        "aliases": lists(["auto", "claude-*"]),
        "open_weights": some(),
        "licences": lists(["apache-*", "mit", "*"]),
        "prompt_tokens_over": st.sampled_from([0, 600]),
        "tools": some(),
        "images": some(),
        "hours": st.sampled_from(["9-17", "22-6"]),
        "operations": lists(["chat", "embeddings"]),
        "hints": st.just({"mode": "fast"}),
        "turns_at_least": st.just(3),
        "failed_results_at_least": st.just(2),
        "failed_share_at_least": st.just(0.5),
        "repeated_failures_at_least": st.integers(1, 3),
        "edits_without_progress_at_least": st.just(2),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True))
    return {name: draw(fields[name]) for name in chosen}


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, object]:
    fields: dict[str, st.SearchStrategy[object]] = {
        "egress": st.sampled_from(list(Egress)),
        "deployments": st.lists(st.sampled_from(["box/*", "*/small", "cloud/*"]), min_size=1, max_size=2),
        "runtimes": st.lists(st.sampled_from(["b*", "*", "sk?"]), min_size=1, max_size=2),
        "models": st.lists(st.sampled_from(["gpt-*", "*-y", "*"]), min_size=1, max_size=2),
        "open_weights": some(),
        "licences": st.lists(st.sampled_from(["apache-*", "mit*", "*"]), min_size=1, max_size=2),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=2, unique=True))
    return {name: draw(fields[name]) for name in chosen}


@st.composite
def gates(draw: st.DrawFn, name: str = "gate") -> Rule:
    body = {field: draw(scopes()) for field in draw(st.sampled_from([["allow"], ["deny"], ["allow", "deny"]]))}
    return msgspec.convert({"name": name, "when": draw(whens()), **body}, Rule)


@st.composite
def preferences(draw: st.DrawFn, name: str) -> Rule:
    entries = st.lists(st.sampled_from([*Egress]), min_size=1, max_size=3)
    body: dict[str, object] = {"name": name, "when": draw(whens()), "try": draw(entries), "sticky": draw(some())}
    if draw(some()):
        body["escalate"] = {"on": ["empty"], "to": draw(entries)}
    return msgspec.convert(body, Rule)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[Rule]:
    kinds = draw(st.lists(some(), max_size=4))
    return [draw(gates(f"gate {index}") if kind else preferences(f"preference {index}")) for index, kind in enumerate(kinds)]


progresses = st.builds(
    Progress,
    turns=st.integers(1, 4),
    results=st.integers(1, 5),
    failed_results=st.integers(0, 3),
    failed_share=st.sampled_from([0.0, 0.5, 1.0]),
    repeated_failures=st.integers(0, 4),
    edits_without_progress=st.integers(0, 3),
)


@st.composite
def requests(draw: st.DrawFn) -> Features:
    return Features(
        operation=draw(st.sampled_from(["chat", "embeddings", "count_tokens"])),
        wire_format=draw(st.sampled_from(["openai_chat", None])),
        asked_model=draw(st.one_of(st.sampled_from(["auto", "claude-z", *MODELS, *IDS]), st.text(max_size=300))),
        caller=Caller(),
        prompt_tokens=draw(st.sampled_from([0, 400, 9_000, 10**9])),
        prompt_tokens_exact=draw(some()),
        max_tokens=draw(st.sampled_from([None, 0, 10**9])),
        messages=1, stream=draw(some()), tools=draw(st.sampled_from([0, 3])), images=draw(st.sampled_from([0, 0, 1])),
        schema=draw(some()), logprobs=False, choices=1, task=draw(st.sampled_from(list(Task))), task_reason="",
        label=draw(st.sampled_from(list(Label))), session=None, ceiling=draw(st.sampled_from(list(Egress))),
        hints=draw(st.sampled_from([{}, {"mode": "fast"}])), progress=draw(st.one_of(st.none(), progresses)),
    )  # fmt: skip


situations = st.builds(
    Situation,
    now_ms=st.just(0),
    hour=st.integers(0, 23),
    seed=st.just(0),
    health=st.dictionaries(st.sampled_from(IDS), st.sampled_from([Health("open"), Health("half_open")]), max_size=2),
    down=st.dictionaries(st.sampled_from(["box", "cloud"]), st.just("why"), max_size=1),
    windows=st.dictionaries(st.sampled_from(IDS), st.sampled_from([100, 50_000]), max_size=2),
    sticky=st.sampled_from([None, *IDS]),
)


def policy_of(fleet: list[Placed], rules: list[Rule], ceiling: Egress = Egress.VENDOR) -> Policy:
    return Policy(fleet, {"auto": [one.id for one in fleet], "claude-*": ["auto"]}, rules, ceiling)


def steps(plan: Plan) -> set[str]:
    return {step.placed.id for step in plan.steps}


def escalations(plan: Plan) -> set[str]:
    return {step.placed.id for step in plan.escalate.steps} if plan.escalate else set()


@QUICK
@given(fleets(), rule_lists(), gates("the added gate"), st.integers(0, 4), requests(), situations)
def test_adding_a_gate_never_adds_a_deployment(
    fleet: list[Placed], rules: list[Rule], gate: Rule, at: int, features: Features, situation: Situation
) -> None:
    before = make_plan(features, policy_of(fleet, rules), situation)
    after = make_plan(features, policy_of(fleet, [*rules[:at], gate, *rules[at:]]), situation)
    assert steps(after) <= steps(before)
    assert escalations(after) <= escalations(before)
    assert after.ceiling.within(before.ceiling)


@QUICK
@given(fleets(), rule_lists(), requests(), situations, st.sampled_from(list(Egress)), some())
def test_a_tighter_ceiling_leaves_a_subset_within_it(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation, ceiling: Egress, of_server: bool
) -> None:
    before = make_plan(features, policy_of(fleet, rules), situation)
    tighter = ceiling if ceiling.within(features.ceiling) else features.ceiling
    after = (
        make_plan(features, policy_of(fleet, rules, ceiling), situation)
        if of_server
        else make_plan(msgspec.structs.replace(features, ceiling=tighter), policy_of(fleet, rules), situation)
    )
    assert steps(after) <= steps(before)
    assert escalations(after) <= escalations(before)
    used = [step.placed for step in (*after.steps, *(after.escalate.steps if after.escalate else ()))]
    assert all(one.egress.within(after.ceiling) and one.egress.within(ceiling) for one in used)


@QUICK
@given(fleets(), rule_lists(), requests(), situations)
def test_every_plan_accounts_for_every_candidate_and_is_the_same_again(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation
) -> None:
    policy = policy_of(fleet, rules)
    plan = make_plan(features, policy, situation)
    assert plan == make_plan(features, policy_of(fleet, rules), situation)
    assert (plan.refusal is None) == bool(plan.steps)
    candidates = {one.id for one in policy.resolve(features.asked_model) or ()}
    rejected = {one.deployment for one in plan.rejected}
    assert steps(plan) | rejected == candidates
    assert not steps(plan) & rejected
    assert all(one.reason for one in plan.rejected)
    assert all(step.reason for step in plan.steps)


@QUICK
@given(fleets(), rule_lists(), st.integers(0, 4), requests(), situations, progresses, lists([*Egress]), st.integers(1, 3))
def test_a_rule_for_stuck_agents_orders_and_never_adds_a_deployment(
    fleet: list[Placed],
    rules: list[Rule],
    at: int,
    features: Features,
    situation: Situation,
    progress: Progress,
    to: list[str],
    least: int,
) -> None:
    features = msgspec.structs.replace(features, progress=progress)
    when = {"repeated_failures_at_least": least}
    moving = msgspec.convert({"name": "moving", "when": when, "try": [*to, "vendor"], "sticky": False}, Rule)
    before = make_plan(features, policy_of(fleet, rules), situation)
    after = make_plan(features, policy_of(fleet, [*rules[:at], moving, *rules[at:]]), situation)
    assert steps(after) == steps(before)
    assert after.ceiling is before.ceiling
    assert (after.refusal is None) == (before.refusal is None)


@QUICK
@given(fleets(), rule_lists(), requests(), situations, progresses)
def test_an_agent_that_fares_worse_never_opens_a_gate(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation, worse: Progress
) -> None:
    policy = policy_of(fleet, rules)
    calm = msgspec.structs.replace(features, progress=None)
    stuck = msgspec.structs.replace(features, progress=worse)
    before, after = make_plan(calm, policy, situation), make_plan(stuck, policy, situation)
    assert steps(after) <= steps(before)
    assert after.ceiling.within(before.ceiling)


@QUICK
@given(fleets(), rule_lists(), requests(), situations)
def test_the_order_of_gates_does_not_matter(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation
) -> None:
    narrowing = [rule for rule in rules if not rule.try_]
    ordering = [rule for rule in rules if rule.try_]
    one = make_plan(features, policy_of(fleet, [*narrowing, *ordering]), situation)
    other = make_plan(features, policy_of(fleet, [*ordering, *reversed(narrowing)]), situation)
    assert one.steps == other.steps
    assert one.escalate == other.escalate
    assert one.ceiling == other.ceiling


@st.composite
def label_gates(draw: st.DrawFn) -> list[Rule]:
    """Rules with gates that look at the label, at least one or exactly, among others."""
    rules = draw(rule_lists())
    for index in range(draw(st.integers(1, 2))):
        when = draw(
            st.one_of(
                st.fixed_dictionaries({"label": st.sampled_from(list(Label))}, optional={"labels": lists([*Label])}),
                st.fixed_dictionaries({"labels": st.lists(st.sampled_from(list(Label)), min_size=1, max_size=3, unique=True)}),
            )
        )
        gate = {"name": f"label gate {index}", "when": when, draw(st.sampled_from(["allow", "deny"])): draw(scopes())}
        rules.insert(draw(st.integers(0, len(rules))), msgspec.convert(gate, Rule))
    return rules


@st.composite
def easy_requests(draw: st.DrawFn) -> Features:
    """What nearly every deployment can do: policy alone decides."""
    return msgspec.structs.replace(
        draw(requests()), operation="chat", asked_model="auto", prompt_tokens=400, max_tokens=None, tools=0, images=0, schema=False,
        ceiling=Egress.VENDOR,
    )  # fmt: skip


def raise_label(features: Features, label: Label) -> Features:
    return msgspec.structs.replace(features, label=max(label, features.label, key=LABEL_ORDER.__getitem__))


@QUICK
@given(fleets(), label_gates(), easy_requests(), situations, st.sampled_from(list(Label)))
def test_raising_the_label_never_adds_a_deployment(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation, label: Label
) -> None:
    raised = raise_label(features, label)
    policy = policy_of(fleet, rules)
    before, after = make_plan(features, policy, situation), make_plan(raised, policy, situation)
    assert steps(after) <= steps(before)
    assert after.ceiling.within(before.ceiling)


@QUICK
@given(fleets(), label_gates(), easy_requests(), situations, st.sampled_from(list(Label)))
def test_raising_the_label_never_lets_an_escalation_go_where_the_gates_did_not(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation, label: Label
) -> None:
    """A preference may name other targets for a higher label: they are among those that the gates allowed at the lower one."""
    raised = raise_label(features, label)
    gates_alone = [rule for rule in rules if rule.allow or rule.deny]
    anything = [msgspec.convert({"name": "any", "try": [*Egress], "escalate": {"on": ["empty"], "to": [*Egress]}}, Rule)]
    gates_alone = [
        msgspec.convert({"name": one.name, "when": one.when, "allow": one.allow, "deny": one.deny}, Rule) for one in gates_alone
    ]
    allowed = make_plan(features, policy_of(fleet, [*gates_alone, *anything]), situation)
    plan = make_plan(raised, policy_of(fleet, rules), situation)
    if plan.refusal is None and allowed.refusal is None:
        assert escalations(plan) <= steps(allowed) | escalations(allowed)


@QUICK
@given(fleets(), rule_lists(), requests(), situations, st.sampled_from(list(Egress)))
def test_no_rule_label_or_situation_reaches_above_a_ceiling(
    fleet: list[Placed], rules: list[Rule], features: Features, situation: Situation, ceiling: Egress
) -> None:
    for label in Label:
        plan = make_plan(msgspec.structs.replace(features, label=label, ceiling=ceiling), policy_of(fleet, rules), situation)
        used = [step.placed for step in (*plan.steps, *(plan.escalate.steps if plan.escalate else ()))]
        assert all(one.egress.within(ceiling) for one in used)
        assert plan.ceiling.within(ceiling)
