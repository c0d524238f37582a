"""The plan: which deployments may and should serve a request, in what order, and why. Pure.

Promised: every deployment the asked model may mean is either a step or rejected with its reason; nothing above the
ceiling and nothing a gate blocks is ever a step or an escalation; the same values give the same plan. A gate that
empties the plan is a refusal, never a reason to look elsewhere. Not done here: running the plan (`freehold.dispatch`).
"""

from collections.abc import Sequence

import msgspec

from freehold.fault import Fault
from freehold.features import Features
from freehold.fit.context import fits
from freehold.policy.compiled import (
    CHAT,
    COMPLETION,
    ECHO,
    FILL_IN,
    FILL_IN_OLLAMA,
    IMAGES,
    JSON_SCHEMA,
    LOGPROBS,
    RAW_PROMPT,
    SINGLE_NEEDS,
    TOOLS,
    Candidate,
    Gate,
    Preference,
)
from freehold.policy.conditions import all_hold
from freehold.policy.globs import Matcher
from freehold.policy.rules import Caching, Hold
from freehold.policy.snapshot import Policy
from freehold.record import Rejected
from freehold.routing.permitted import model_matcher
from freehold.routing.situation import Situation
from freehold.routing.turned_away import LACKS, Funnel, Turned, refuse, refuse_over_budget, refuse_unknown
from freehold.runtime import EGRESS_ORDER, Egress, Placed

__all__ = ["Escalate", "Hold", "Plan", "Step", "make_plan"]

UNKNOWN_WINDOW_TOKENS = 8192
"""What a deployment with an unknown window is trusted with; above that it is tried after all others."""


class Step(msgspec.Struct, frozen=True):
    """One deployment to try."""

    placed: Placed
    reason: str
    redacted: bool = False
    """It is sent what redaction left of the request."""


class Escalate(msgspec.Struct, frozen=True, kw_only=True):
    """When a poor answer moves on, and to where."""

    checks: tuple[str, ...]
    """Names from `routing.judge.CHECKS` that count as poor."""
    steps: tuple[Step, ...]
    """Deployments to try, best first; some may be steps of the plan too, and one already tried is passed over."""
    at_most: int
    hold: Hold


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The decision. Either `steps` is not empty, or `refusal` says why nothing may serve."""

    steps: tuple[Step, ...]
    rejected: tuple[Rejected, ...]
    rule: str | None
    """The preference rule that ordered the steps."""
    ceiling: Egress
    """The highest class any call made for this request may reach, extra calls included."""
    escalate: Escalate | None = None
    cache: Caching | None = None
    """Whether the answer may come from, and go into, the response cache."""
    refusal: Fault | None = None


class _Demand(msgspec.Struct, frozen=True):
    """What every deployment is held against for one request."""

    features: Features
    situation: Situation
    ceiling_rank: int
    gates: Sequence[Gate]
    need: int
    key_allows: Matcher | None
    """Of a deployment's id or model; None: the key does not limit them."""


_LOCAL, _SELF_HOSTED, _VENDOR = Egress.LOCAL, Egress.SELF_HOSTED, Egress.VENDOR
_CLASSES = (_LOCAL, _SELF_HOSTED, _VENDOR)


def make_plan(features: Features, policy: Policy, situation: Situation) -> Plan:
    """Decide. Never raises: what cannot be served is a plan with a refusal."""
    ceiling_rank = min(_rank(features.ceiling), policy.server_rank)
    found = policy.resolution(features.asked_model)
    if found is None:
        return _refused(refuse_unknown(features, policy), (), None, ceiling_rank)
    gates = [gate for gate in found.gates if _holds(gate, features, situation.hour)]
    for gate in gates:
        ceiling_rank = min(ceiling_rank, gate.ceiling_rank)
    key_allows = model_matcher(features.caller, features.asked_model)
    demand = _Demand(features, situation, ceiling_rank, gates, _needs(features), key_allows)
    preference = next(one for one in found.preferences if all_hold(one.conditions, features, situation.hour))
    steps: list[Step] = []
    late: list[Step] = []
    turned: list[Turned] = []
    first: Turned | None = None
    """What a budget keeps out although it would have been tried first, and nothing may take its place."""
    judged: dict[str, bool] = {}
    for candidate, reason in preference.order:
        verdict = _turn_away(candidate, demand)
        judged[candidate.id] = verdict is None
        if verdict is not None:
            turned.append(verdict)
            if verdict.over is not None and verdict.over.refuses and not steps:
                first = first or verdict
        elif (why_late := _why_late(candidate, demand)) is not None:
            late.append(Step(candidate.placed, why_late))
        else:
            steps.append(Step(candidate.placed, reason))
    if situation.sticky is not None and preference.sticky:
        _stay(steps, situation.sticky)
    steps += late
    rejected = tuple(one.rejected for one in turned)
    if first is not None and (situation.sticky is None or not steps or steps[0].placed.id != situation.sticky):
        fault = refuse_over_budget([first], repr(features.asked_model[:80]), situation.now_ms)
        return _refused(fault, rejected, preference.name, ceiling_rank)
    if not steps:
        fault = refuse(turned, demand.features, _CLASSES[ceiling_rank], situation.now_ms)
        return _refused(fault, rejected, preference.name, ceiling_rank)
    return Plan(
        steps=tuple(_with_causes(steps, features, situation.sticky, preference, rejected)),
        rejected=rejected,
        rule=preference.name,
        ceiling=_CLASSES[ceiling_rank],
        escalate=None if preference.escalation is None else _escalate(preference, demand, judged),
        cache=preference.cache,
    )


def _holds(gate: Gate, features: Features, hour: int) -> bool:
    """Whether a gate applies. One that does not yield to redaction also looks at the label there was before it."""
    if all_hold(gate.conditions, features, hour):
        return True
    before = features.label_before
    if before is None or gate.redact:
        return False
    return all_hold(gate.conditions, msgspec.structs.replace(features, label=before), hour)


def _with_causes(
    steps: list[Step], features: Features, sticky: str | None, preference: Preference, rejected: Sequence[Rejected]
) -> list[Step]:
    """The steps, the first saying why the session is not served where it was, and each that it is redacted."""
    if sticky is not None and steps[0].placed.id != sticky:
        why = _why_it_leaves(sticky, preference, steps, rejected)
        steps[0] = Step(steps[0].placed, f"{steps[0].reason}; the session leaves {sticky}: {why}")
    return [_redacted(step) for step in steps] if features.redacted else steps


def _redacted(step: Step) -> Step:
    return Step(step.placed, f"redacted; {step.reason}", redacted=True)


def _refused(fault: Fault, rejected: tuple[Rejected, ...], rule: str | None, ceiling_rank: int) -> Plan:
    return Plan(steps=(), rejected=rejected, rule=rule, ceiling=_CLASSES[ceiling_rank], refusal=fault)


def _rank(egress: Egress) -> int:
    # By identity: hashing an enum member for a lookup costs a call into Python.
    return 0 if egress is _LOCAL else 1 if egress is _SELF_HOSTED else 2


def _needs(features: Features) -> int:
    single = SINGLE_NEEDS.get(features.operation)
    if single is not None:
        return single
    if features.operation == "completion":
        return (
            COMPLETION
            | (RAW_PROMPT if features.needs_raw else 0)
            | (ECHO if features.needs_echo else 0)
            | _fill_in_need(features)
            | (LOGPROBS if features.logprobs else 0)
        )
    return (
        CHAT
        | (TOOLS if features.tools else 0)
        | (IMAGES if features.images else 0)
        | (JSON_SCHEMA if features.schema else 0)
        | (LOGPROBS if features.logprobs else 0)
    )


def _fill_in_need(features: Features) -> int:
    if not features.fill_in:
        return 0
    return FILL_IN_OLLAMA if features.wire_format == "ollama" else FILL_IN


def _turn_away(candidate: Candidate, demand: _Demand) -> Turned | None:
    """Why the deployment cannot be a step: policy first, so that nothing blocked is judged any further."""
    one = candidate.id
    if (refused := _refused_by_policy(candidate, demand)) is not None:
        return Turned(Funnel.POLICY, refused)
    if lacks := demand.need & ~candidate.has:
        return Turned(Funnel.ABILITY, Rejected(one, LACKS[lacks]), lacks=lacks)
    situation, features = demand.situation, demand.features
    window = situation.windows.get(one, candidate.window)
    if window is not None:
        fit = fits(features.prompt_tokens, features.prompt_tokens_exact, features.max_tokens, window)
        if not fit.ok:
            return Turned(Funnel.CONTEXT, Rejected(one, fit.reason), window=window)
    if (why := situation.down.get(candidate.runtime)) is not None:
        return Turned(Funnel.HEALTH, Rejected(one, f"runtime '{candidate.runtime}' is down: {why}"))
    health = situation.health.get(one)
    if health is not None and health.state == "open":
        return Turned(Funnel.HEALTH, Rejected(one, f"its breaker is open: {health.reason or 'it failed too often'}"))
    over = situation.budgets.get(one) if situation.budgets else None
    return None if over is None else Turned(Funnel.BUDGET, Rejected(one, over.why), over=over)


def _refused_by_policy(candidate: Candidate, demand: _Demand) -> Rejected | None:
    one = candidate.id
    if demand.key_allows is not None and not (demand.key_allows(one) or demand.key_allows(candidate.placed.model.id)):
        return Rejected(one, f"the key '{demand.features.caller.key}' may not use it")
    for gate in demand.gates:
        if (reason := gate.blocked.get(one)) is not None:
            return Rejected(one, reason, gate.name)
    if candidate.egress_rank > demand.ceiling_rank:
        return Rejected(one, f"{candidate.placed.egress} is above the {_CLASSES[demand.ceiling_rank]} ceiling")
    why = _why_not_fetched(candidate, demand) if demand.features.fetches else None
    return None if why is None else Rejected(one, why)


_FETCHES = (
    "it would fetch what the request names by an address: send the data itself, as a data: URL; "
    "or search the web by itself (`web_search`, `web_fetch`): leave that tool out, or let a vendor serve it"
)


def _why_not_fetched(candidate: Candidate, demand: _Demand) -> str | None:
    """Why a runtime of ours is not given addresses: it would fetch from any host that a request names. A vendor fetches at home."""
    if candidate.egress_rank == EGRESS_ORDER[_VENDOR]:
        return None
    if not candidate.fetches:
        return _FETCHES
    if demand.ceiling_rank < EGRESS_ORDER[_VENDOR]:
        return f"it would fetch what the request names by an address, from anywhere, above the {_CLASSES[demand.ceiling_rank]} ceiling"
    return None


def _why_late(candidate: Candidate, demand: _Demand) -> str | None:
    """Why a deployment that may serve is tried after all others."""
    situation = demand.situation
    health = situation.health.get(candidate.id)
    if health is not None and health.state == "half_open":
        return "its breaker is half open, so it is tried last"
    if (
        candidate.window is None
        and demand.features.prompt_tokens > UNKNOWN_WINDOW_TOKENS
        and candidate.id not in situation.windows
    ):
        return f"its window is not known and the prompt is over {UNKNOWN_WINDOW_TOKENS} tokens, so it is tried last"
    return None


def _stay(steps: list[Step], sticky: str) -> None:
    for index, step in enumerate(steps):
        if step.placed.deployment.id == sticky:
            steps.insert(0, Step(steps.pop(index).placed, "session stays where it is"))
            return


def _why_it_leaves(sticky: str, preference: Preference, steps: Sequence[Step], rejected: Sequence[Rejected]) -> str:
    """Why a session does not stay with the deployment that served it last. Nothing else moves one."""
    for one in rejected:
        if one.deployment == sticky:
            return one.reason
    for step in steps:
        if step.placed.id == sticky:
            return f"rule '{preference.name}' says sticky = false" if not preference.sticky else step.reason
    return "the model asked for does not mean it now"


def _escalate(preference: Preference, demand: _Demand, judged: dict[str, bool]) -> Escalate | None:
    assert preference.escalation is not None
    steps: list[Step] = []
    for target, reason in preference.targets:
        may_serve = judged.get(target.id)
        if may_serve or (may_serve is None and _turn_away(target, demand) is None):
            steps.append(Step(target.placed, reason))
    if not steps:
        return None
    if demand.features.redacted:
        steps = [_redacted(step) for step in steps]
    rule = preference.escalation
    return Escalate(checks=rule.on, steps=tuple(steps), at_most=rule.at_most, hold=rule.hold)
