"""What a plan promises: order, reasons, refusals."""

from typing import Any

import msgspec
import pytest

from freehold.fault import Kind
from freehold.features import Caller, Features, Label, Task
from freehold.policy.rules import Rule
from freehold.policy.snapshot import Policy
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Health, Situation
from freehold.runtime import Abilities, Deployment, Egress, Local, Model, Placed, SelfHosted, Vendor, egress_of

NOON = Situation(now_ms=0, hour=12, seed=0)
KINDS = {"box": Local, "team": SelfHosted, "cloud": Vendor}


def place(name: str, **abilities: object) -> Placed:
    runtime_name, model = name.split("/")
    runtime = KINDS[runtime_name](name=runtime_name, base_url="http://127.0.0.1:1/v1")
    able = msgspec.convert({"context": 10_000, "tools": True, **abilities}, Abilities)
    deployment = Deployment(id=name, model=model, runtime=runtime_name, served_as=model, abilities=able)
    return Placed(deployment=deployment, runtime=runtime, model=Model(id=model), egress=egress_of(runtime))


def rule(**fields: object) -> Rule:
    return msgspec.convert({"name": "a rule", **fields}, Rule)


def policy(*rules: Rule, placed: list[Placed] | None = None, ceiling: Egress = Egress.VENDOR) -> Policy:
    placed = placed or [place("cloud/big"), place("team/mid"), place("box/small")]
    return Policy(placed, {"auto": [one.id for one in placed], "little": placed[-1:] and [placed[-1].id]}, rules, ceiling)


def asking(**fields: object) -> Features:
    base = Features(
        operation="chat", wire_format="openai_chat", asked_model="auto", caller=Caller(), prompt_tokens=100,
        prompt_tokens_exact=True, max_tokens=None, messages=1, stream=False, tools=0, images=0, schema=False,
        logprobs=False, choices=1, task=Task.CHAT, task_reason="", label=Label.INTERNAL, session=None,
    )  # fmt: skip
    return msgspec.structs.replace(base, **fields)


def ids(plan: Plan) -> list[str]:
    return [step.placed.id for step in plan.steps]


def test_without_a_rule_the_nearest_place_comes_first() -> None:
    plan = make_plan(asking(), policy(), NOON)
    assert ids(plan) == ["box/small", "team/mid", "cloud/big"]
    assert plan.rule is None
    assert plan.ceiling is Egress.VENDOR
    assert plan.refusal is None


def test_the_first_matching_preference_orders_and_says_why() -> None:
    rules = [
        rule(name="night", when={"hours": "22-6"}, **{"try": ["local"]}),
        rule(name="frontier", when={"tasks": ["architecture"]}, **{"try": ["vendor", "team"]}),
        rule(name="all", **{"try": ["local", "self_hosted", "vendor"]}),
    ]
    plan = make_plan(asking(task=Task.ARCHITECTURE), policy(*rules), NOON)
    assert (plan.rule, ids(plan)) == ("frontier", ["cloud/big", "team/mid", "box/small"])
    assert [step.reason for step in plan.steps] == [
        "rule 'frontier': vendor before team",
        "rule 'frontier': team last",
        "rule 'frontier': not named in its try, so after what is",
    ]
    assert make_plan(asking(), policy(*rules), msgspec.structs.replace(NOON, hour=23)).rule == "night"
    assert make_plan(asking(), policy(*rules), NOON).rule == "all"


def test_one_entry_of_try_keeps_the_configured_order() -> None:
    placed = [place("box/b"), place("box/a"), place("cloud/c")]
    plan = make_plan(asking(), policy(rule(**{"try": ["cloud/c", "local"]}), placed=placed), NOON)
    assert ids(plan) == ["cloud/c", "box/b", "box/a"]


def test_a_gate_that_empties_the_plan_is_a_refusal_naming_it_and_never_falls_through() -> None:
    stays = rule(name="restricted stays", when={"label": "restricted"}, allow={"egress": "local"})
    rules = policy(stays, rule(name="vendor first", **{"try": ["vendor"]}), placed=[place("cloud/big"), place("team/mid")])
    plan = make_plan(asking(label=Label.RESTRICTED), rules, NOON)
    assert plan.steps == ()
    assert plan.refusal is not None
    assert plan.refusal.kind is Kind.REFUSED_BY_POLICY
    assert plan.refusal.details == {"rule": "restricted stays", "rules": ["restricted stays"], "ceiling": "local"}
    assert "restricted stays" in plan.refusal.message
    assert {(one.deployment, one.rule) for one in plan.rejected} == {
        ("cloud/big", "restricted stays"),
        ("team/mid", "restricted stays"),
    }
    assert plan.ceiling is Egress.LOCAL
    assert len(make_plan(asking(), rules, NOON).steps) == 2


@pytest.mark.parametrize(
    ("server", "request_ceiling", "expected"),
    [
        (Egress.LOCAL, Egress.VENDOR, ["box/small"]),
        (Egress.VENDOR, Egress.SELF_HOSTED, ["box/small", "team/mid"]),
        (Egress.SELF_HOSTED, Egress.LOCAL, ["box/small"]),
    ],
)
def test_the_tightest_ceiling_holds(server: Egress, request_ceiling: Egress, expected: list[str]) -> None:
    plan = make_plan(asking(ceiling=request_ceiling), policy(ceiling=server), NOON)
    assert ids(plan) == expected
    assert all("ceiling" in one.reason for one in plan.rejected)


def test_nothing_within_the_ceiling_names_the_ceiling() -> None:
    plan = make_plan(asking(asked_model="big"), policy(ceiling=Egress.LOCAL), NOON)
    assert plan.refusal is not None
    assert plan.refusal.kind is Kind.REFUSED_BY_POLICY
    assert plan.refusal.details["ceiling"] == "local"
    assert plan.refusal.details["rule"] is None


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        ({"images": 1}, ["images"]),
        ({"schema": True}, ["json_schema"]),
        ({"logprobs": True, "tools": 2}, ["logprobs"]),
        ({"operation": "embeddings"}, ["embeddings"]),
    ],
)
def test_what_nobody_can_do_is_refused_by_its_name(needs: dict[str, object], lacks: list[str]) -> None:
    plan = make_plan(asking(**needs), policy(), NOON)
    assert plan.refusal is not None
    assert (plan.refusal.kind, plan.refusal.details["lacks"]) == (Kind.UNSUPPORTED, lacks)


def test_only_who_can_do_it_is_a_step() -> None:
    placed = [place("box/small"), place("cloud/eyes", images=True)]
    plan = make_plan(asking(images=1), policy(placed=placed), NOON)
    assert ids(plan) == ["cloud/eyes"]
    assert [one.reason for one in plan.rejected] == ["cannot do images"]


def test_a_prompt_too_long_for_all_that_are_allowed_names_the_largest_window_among_them() -> None:
    placed = [place("box/a", context=1000), place("box/b", context=2000), place("cloud/c", context=200_000)]
    rules = policy(rule(name="local only", allow={"egress": "local"}), placed=placed)
    plan = make_plan(asking(prompt_tokens=5000), rules, NOON)
    assert plan.refusal is not None
    assert plan.refusal.kind is Kind.CONTEXT_OVERFLOW
    assert plan.refusal.details == {"prompt_tokens": 5000, "limit_tokens": 2000, "rules": ["local only"]}


def test_a_window_found_out_at_run_time_beats_the_configured_one() -> None:
    served = msgspec.structs.replace(NOON, windows={"box/small": 128})
    assert "box/small" not in ids(make_plan(asking(), policy(), served))


def test_an_unknown_window_is_trusted_with_little_and_comes_last_above_that() -> None:
    placed = [place("box/unknown", context=None), place("cloud/known", context=100_000)]
    rules = policy(placed=placed)
    assert ids(make_plan(asking(), rules, NOON)) == ["box/unknown", "cloud/known"]
    long = make_plan(asking(prompt_tokens=20_000), rules, NOON)
    assert ids(long) == ["cloud/known", "box/unknown"]
    assert "not known" in long.steps[1].reason


def test_open_breakers_and_runtimes_that_are_down_are_out_and_half_open_ones_last() -> None:
    situation = msgspec.structs.replace(
        NOON, health={"box/small": Health("half_open"), "cloud/big": Health("open", "5 failures")}, down={"team": "starting"}
    )
    plan = make_plan(asking(), policy(), situation)
    assert ids(plan) == ["box/small"]
    assert {one.deployment: one.reason for one in plan.rejected} == {
        "cloud/big": "its breaker is open: 5 failures",
        "team/mid": "runtime 'team' is down: starting",
    }
    situation = msgspec.structs.replace(NOON, health={"box/small": Health("half_open")}, sticky="box/small")
    assert ids(make_plan(asking(), policy(), situation))[-1] == "box/small"


def test_when_all_that_may_serve_are_down_the_caller_is_told_to_wait() -> None:
    placed = [place("box/small"), place("cloud/big")]
    rules = policy(rule(name="local only", allow={"egress": "local"}), placed=placed)
    plan = make_plan(asking(), rules, msgspec.structs.replace(NOON, down={"box": "it restarts"}))
    assert plan.refusal is not None
    assert plan.refusal.kind is Kind.NO_DEPLOYMENT
    assert plan.refusal.retry_after_s is not None
    assert "it restarts" in plan.refusal.message


def test_an_unknown_model_is_refused_with_close_names() -> None:
    plan = make_plan(asking(asked_model="bigg"), policy(), NOON)
    assert plan.refusal is not None
    assert (plan.refusal.kind, plan.refusal.details) == (Kind.UNKNOWN_MODEL, {"close": ["big"]})


def test_a_model_or_deployment_asked_for_by_name_is_pinned() -> None:
    for name in ("mid", "team/mid"):
        plan = make_plan(asking(asked_model=name), policy(), NOON)
        assert [(step.placed.id, step.reason) for step in plan.steps] == [("team/mid", "asked for by name")]


def test_a_session_stays_where_it_is_unless_its_rule_says_otherwise_or_a_gate_forbids() -> None:
    stayed = msgspec.structs.replace(NOON, sticky="cloud/big")
    plan = make_plan(asking(), policy(rule(**{"try": ["local"]})), stayed)
    assert (plan.steps[0].placed.id, plan.steps[0].reason) == ("cloud/big", "session stays where it is")
    assert ids(make_plan(asking(), policy(rule(sticky=False, **{"try": ["local"]})), stayed))[0] == "box/small"
    assert "cloud/big" not in ids(make_plan(asking(), policy(ceiling=Egress.LOCAL), stayed))


LEAVES: list[tuple[str, dict[str, Any], list[Any], dict[str, Any], str]] = [
    ("its breaker", {}, [], {"health": {"cloud/big": Health("open", "5 failures")}}, "its breaker is open: 5 failures"),
    ("its engine", {}, [], {"down": {"cloud": "it restarts"}}, "runtime 'cloud' is down: it restarts"),
    ("half open", {}, [], {"health": {"cloud/big": Health("half_open")}}, "its breaker is half open, so it is tried last"),
    ("its rule", {}, [{"name": "free", "sticky": False, "try": ["local"]}], {}, "rule 'free' says sticky = false"),
    ("another model", {"asked_model": "mid"}, [], {}, "the model asked for does not mean it now"),
    (
        "a gate",
        {"label": Label.RESTRICTED},
        [{"name": "stays here", "when": {"label": "restricted"}, "allow": {"egress": "local"}}],
        {},
        "rule 'stays here' allows local at most, this is vendor",
    ),
]


@pytest.mark.parametrize(("asked", "rules", "changed", "why"), [one[1:] for one in LEAVES], ids=[one[0] for one in LEAVES])
def test_a_session_that_leaves_says_why(asked: dict[str, Any], rules: list[Any], changed: dict[str, Any], why: str) -> None:
    situation = msgspec.structs.replace(NOON, sticky="cloud/big", **changed)
    plan = make_plan(asking(**asked), policy(*(rule(**one) for one in rules)), situation)
    first, *others = plan.steps
    assert first.placed.id != "cloud/big"
    assert first.reason.endswith(f"; the session leaves cloud/big: {why}")
    assert not any("the session leaves" in step.reason for step in others)


def test_escalation_reaches_beyond_the_asked_alias_but_never_past_a_gate() -> None:
    rules = [
        rule(
            name="routine",
            escalate={"on": ["empty"], "to": ["self_hosted", "vendor"], "at_most": 2, "hold": "tools"},
            **{"try": ["local"]},
        ),
        rule(name="confidential", when={"label": "confidential"}, allow={"egress": "self_hosted"}),
    ]
    open_plan = make_plan(asking(asked_model="little"), policy(*rules), NOON)
    assert open_plan.escalate is not None
    assert [step.placed.id for step in open_plan.escalate.steps] == ["team/mid", "cloud/big"]
    assert (open_plan.escalate.checks, open_plan.escalate.at_most, open_plan.escalate.hold) == (("empty",), 2, "tools")
    gated = make_plan(asking(asked_model="little", label=Label.CONFIDENTIAL), policy(*rules), NOON)
    assert gated.escalate is not None
    assert [step.placed.id for step in gated.escalate.steps] == ["team/mid"]
    assert make_plan(asking(asked_model="little", ceiling=Egress.LOCAL), policy(*rules), NOON).escalate is None


@pytest.mark.parametrize(
    ("to", "reached"), [(["self_hosted", "vendor"], []), (["mid"], ["team/mid"]), (["cloud"], ["cloud/big"])]
)
def test_who_names_a_model_gets_no_other_one_unless_the_rule_names_that_one_too(to: list[str], reached: list[str]) -> None:
    rules = rule(name="routine", escalate={"on": ["empty"], "to": to}, **{"try": ["local"]})
    escalate = make_plan(asking(asked_model="small"), policy(rules), NOON).escalate
    assert ([] if escalate is None else [step.placed.id for step in escalate.steps]) == reached


def test_a_gate_on_a_models_licence_treats_unknown_as_the_worst_case() -> None:
    free, unknown = place("box/free"), place("box/unknown")
    free = msgspec.structs.replace(free, model=Model(id="free", open_weights=True, licence="Apache-2.0"))
    for gate in ({"allow": {"licences": ["apache-*"]}}, {"allow": {"open_weights": True}}, {"deny": {"open_weights": False}},
                 {"when": {"licences": ["gpl*"]}, "deny": {"egress": "local"}}):  # fmt: skip
        assert ids(make_plan(asking(), policy(rule(**gate), placed=[free, unknown]), NOON)) == ["box/free"], gate


def test_a_gate_on_models_holds_for_the_asked_name_and_for_what_is_deployed() -> None:
    gate = policy(
        rule(when={"models": ["gpt-*"]}, allow={"egress": "local"}),
        placed=[place("cloud/gpt-5"), place("cloud/other"), place("box/small")],
    )
    assert ids(make_plan(asking(), gate, NOON)) == ["box/small", "cloud/other"]
    assert make_plan(asking(asked_model="GPT-5"), gate, NOON).refusal is not None
    assert make_plan(asking(asked_model="gpt-5"), gate, NOON).ceiling is Egress.LOCAL


def test_what_is_not_known_of_a_model_does_not_choose_a_preference() -> None:
    rules = policy(rule(name="apache", when={"licences": ["*"]}, **{"try": ["vendor"]}))
    assert make_plan(asking(), rules, NOON).rule is None


def test_denying_a_class_lowers_the_ceiling_below_it() -> None:
    plan = make_plan(asking(), policy(rule(deny={"egress": "vendor"})), NOON)
    assert plan.ceiling is Egress.SELF_HOSTED
    assert make_plan(asking(), policy(rule(deny={"egress": "self_hosted"})), NOON).ceiling is Egress.LOCAL


def fetching(one: Placed) -> Placed:
    return msgspec.structs.replace(one, deployment=msgspec.structs.replace(one.deployment, quirks=("fetches",)))


def test_only_a_vendor_is_sent_addresses_for_media() -> None:
    plan = make_plan(asking(fetches=1), policy(), NOON)
    assert ids(plan) == ["cloud/big"]
    assert [(one.deployment, "data: URL" in one.reason) for one in plan.rejected] == [("box/small", True), ("team/mid", True)]


def test_where_no_vendor_may_be_called_addresses_are_refused() -> None:
    for plan in (
        make_plan(asking(fetches=1), policy(ceiling=Egress.SELF_HOSTED), NOON),
        make_plan(asking(fetches=1, ceiling=Egress.LOCAL), policy(placed=[fetching(place("box/small"))]), NOON),
        make_plan(asking(fetches=1), policy(placed=[fetching(place("team/mid"))], ceiling=Egress.SELF_HOSTED), NOON),
    ):
        assert plan.refusal is not None
        assert plan.refusal.kind is Kind.REFUSED_BY_POLICY
        assert "address" in plan.refusal.message


def test_a_runtime_that_may_fetch_does_so_under_a_vendors_ceiling_alone() -> None:
    assert ids(make_plan(asking(fetches=2), policy(placed=[fetching(place("box/small"))]), NOON)) == ["box/small"]


def test_no_escalation_is_sent_addresses_either() -> None:
    up = rule(**{"try": ["vendor"], "escalate": {"to": ["self_hosted"], "on": ["refusal"]}})
    assert make_plan(asking(), policy(up), NOON).escalate is not None
    assert make_plan(asking(fetches=1), policy(up), NOON).escalate is None
