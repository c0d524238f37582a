"""Why nothing may serve a request: the fault that goes to the caller when every candidate was turned away.

Candidates fall through a funnel: policy, ability, context, health, budget. The fault speaks of the stage that the farthest
one reached, since that is what stands between the request and an answer; gates that took others out are named too.
"""

from collections.abc import Sequence
from enum import IntEnum
from itertools import product

import msgspec

from freehold.fault import Fault, Kind
from freehold.features import Features
from freehold.policy.compiled import (
    ABILITY_NAMES,
    COMPLETION,
    COMPLETION_NAMES,
    ECHO,
    FILL_IN,
    FILL_IN_OLLAMA,
    LOGPROBS,
    RAW_PROMPT,
    SINGLE_NEEDS,
)
from freehold.policy.snapshot import Policy
from freehold.record import Rejected
from freehold.routing.situation import OverBudget
from freehold.runtime import Egress

RETRY_AFTER_S = 5.0
"""What a caller is told to wait when everything that may serve is down: an engine starts and a breaker cools in that."""
SOON_MS = 60_000
"""Official SDKs wait no longer than this for a `retry-after`; beyond it they guess, and ask again and again."""
_SHOWN = 5
_NAME_SHOWN = 80


class Funnel(IntEnum):
    """How far a candidate came before it was turned away."""

    POLICY = 0
    ABILITY = 1
    CONTEXT = 2
    HEALTH = 3
    BUDGET = 4


class Turned(msgspec.Struct, frozen=True):
    """A candidate that was turned away."""

    stage: Funnel
    rejected: Rejected
    lacks: int = 0
    """Ability bits, at the ability stage."""
    window: int = 0
    """Tokens, at the context stage."""
    over: OverBudget | None = None
    """At the budget stage."""


_NAMES = ABILITY_NAMES | COMPLETION_NAMES
_COMPLETION_LACKS = [
    sum(bits)
    for bits in product((0, COMPLETION), (0, RAW_PROMPT), (0, FILL_IN, FILL_IN_OLLAMA), (0, ECHO), (0, LOGPROBS))
    if any(bits[:-1])
]
LACKS = {
    mask: "cannot do " + ", ".join(name for bit, name in _NAMES.items() if mask & bit)
    for mask in (*range(1, 2 * LOGPROBS), *SINGLE_NEEDS.values(), *_COMPLETION_LACKS)
}
"""The reason for each set of abilities that can be missing: any of a chat's or a completion's, or the one that another
operation needs."""
_NAME_FAMILY = "leave `suffix` out, ask for a model whose family fills in, or name that family as `fim` in [[models]]"
_REMEDIES = {
    RAW_PROMPT: "send one text as `prompt`, without `echo`, `best_of` and `logit_bias`",
    FILL_IN: _NAME_FAMILY,
    FILL_IN_OLLAMA: _NAME_FAMILY,
}


def refuse_unknown(features: Features, policy: Policy) -> Fault:
    """The fault for a model nobody has heard of."""
    near = policy.close_to(features.asked_model)
    hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "`freehold models` lists what there is"
    return Fault(
        kind=Kind.UNKNOWN_MODEL,
        message=f"no deployment or alias is called {_shown(features.asked_model)}; {hint}",
        param="model",
        details={"close": near},
    )


def refuse(turned: Sequence[Turned], features: Features, ceiling: Egress, now_ms: int) -> Fault:
    """The fault for a request none of whose candidates may or can serve it."""
    farthest = max((one.stage for one in turned), default=Funnel.HEALTH)
    there = [one for one in turned if one.stage is farthest]
    rules = list(dict.fromkeys(one.rejected.rule for one in turned if one.rejected.rule is not None))
    asked = _shown(features.asked_model)
    match farthest:
        case Funnel.POLICY:
            return Fault(
                kind=Kind.REFUSED_BY_POLICY,
                message=f"policy leaves no deployment for {asked}, label {features.label}: {_each(there)}",
                details={"rule": rules[0] if rules else None, "rules": rules, "ceiling": ceiling.value},
            )
        case Funnel.ABILITY:
            lacks = _common_lack(there)
            return Fault(
                kind=Kind.UNSUPPORTED,
                message=f"no deployment that may serve {asked} can do {', '.join(lacks)}: {_each(there)}{_beside(rules)}{_remedy(there)}",
                param="suffix" if features.fill_in and COMPLETION_NAMES[FILL_IN] in lacks else None,
                details={"lacks": lacks, "rules": rules},
            )
        case Funnel.CONTEXT:
            limit = max(one.window for one in there)
            return Fault(
                kind=Kind.CONTEXT_OVERFLOW,
                message=f"the prompt of {features.prompt_tokens} tokens is too long for {asked}: {_each(there)}{_beside(rules)}",
                details={"prompt_tokens": features.prompt_tokens, "limit_tokens": limit, "rules": rules},
            )
        case Funnel.HEALTH:
            return Fault(
                kind=Kind.NO_DEPLOYMENT,
                message=f"no deployment can serve {asked} now: {_each(there)}{_beside(rules)}",
                retry_after_s=RETRY_AFTER_S,
                details={"rules": rules},
            )
        case Funnel.BUDGET:
            return refuse_over_budget(there, asked, now_ms)


def refuse_over_budget(there: Sequence[Turned], asked: str, now_ms: int) -> Fault:
    """Budgets stand between the request and its answer. Within a minute of the next window it is worth asking again."""
    resets_ms = min(
        (one.over.resets_ms for one in there if one.over is not None and one.over.resets_ms is not None), default=None
    )
    budgets = list(dict.fromkeys(one.over.budget for one in there if one.over is not None))
    retry_s = None if resets_ms is None or resets_ms - now_ms > SOON_MS else max(resets_ms - now_ms, 1000) / 1000
    return Fault(
        kind=Kind.BUDGET_SPENT if retry_s is None else Kind.BUDGET_BUSY,
        message=f"no budget pays for {asked}: {_each(there)}; ask for less or for a model that is free, or wait; "
        "the operator can raise the budget",
        retry_after_s=retry_s,
        details={"budget": budgets[0] if budgets else None, "budgets": budgets, "resets_ms": resets_ms},
    )


def _common_lack(there: Sequence[Turned]) -> list[str]:
    """What all of them lack; where they lack different things, everything that any of them lacks."""
    common, some = there[0].lacks, 0
    for one in there:
        common &= one.lacks
        some |= one.lacks
    return [name for bit, name in _NAMES.items() if (common or some) & bit]


def _remedy(there: Sequence[Turned]) -> str:
    said = [remedy for bit, remedy in _REMEDIES.items() if all(one.lacks & bit for one in there)]
    return f"; {', and '.join(said)}" if said else ""


def _each(there: Sequence[Turned]) -> str:
    said = "; ".join(f"{one.rejected.deployment}: {one.rejected.reason}" for one in there[:_SHOWN])
    return said + (f"; and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")


def _beside(rules: Sequence[str]) -> str:
    return f" (others are taken out by {', '.join(repr(rule) for rule in rules)})" if rules else ""


def _shown(name: str) -> str:
    """A name chosen by a client, made harmless to print."""
    return repr(name if len(name) <= _NAME_SHOWN else name[:_NAME_SHOWN] + "...")
