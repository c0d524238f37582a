"""What is allowed but can hardly be meant: rules that can never match, gates that leave nothing, dead preferences.

Found by evaluating the gates over all deployments, not by running requests. A concern says which requests it bears on.
Deliberately not done: proving that two arbitrary conditions exclude each other; only labels, tasks and operations are
compared, so a pair may be reported that never meets.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from freehold.features import LABEL_ORDER
from freehold.policy.compiled import why_blocked
from freehold.policy.conditions import PROGRESS_FIELDS, asks_progress
from freehold.policy.globs import is_glob, make_matcher
from freehold.policy.rules import Match, Rule, hours_of, labels_of
from freehold.policy.snapshot import Policy
from freehold.policy.unserved import always_holds, unserved_labels
from freehold.runtime import EGRESS_ORDER, SINGLE_OPERATIONS, Placed, completes

NOTHING_CONFIGURED = "no deployment is configured: every request will be refused, but for what is found on this machine"
_LISTS = (
    "labels",
    "tasks",
    "operations",
    "wire_formats",
    "models",
    "aliases",
    "licences",
    "agents",
    "request_classes",
    "auxiliary",
)
_FLAGS = ("tools", "images", "schema", "stream", "open_weights")


def concerns_of(policy: Policy) -> tuple[str, ...]:
    """Every concern, in words, in the order of the rules."""
    placed = tuple(policy.placed.values())
    if not placed:
        return (NOTHING_CONFIGURED,)
    return (
        *_above_ceiling(policy, placed),
        *_gates(policy.gates, placed),
        *unserved_labels(policy),
        *_datasets(policy, placed),
        *_unredacted(policy),
        *_stuck(policy),
        *_dead(policy),
        *_idle_globs(policy, placed),
    )


def describe_when(when: Match) -> str:
    """The requests a `when` matches, in words."""
    said = [f"label {when.label} or higher"] if when.label is not None else []
    said += [f"{field.replace('_', ' ')} {', '.join(values)}" for field in _LISTS if (values := getattr(when, field))]
    flags = [(field, getattr(when, field)) for field in _FLAGS if getattr(when, field) is not None]
    said += [f"{'with' if value else 'without'} {field.replace('_', ' ')}" for field, value in flags]
    if when.prompt_tokens_over is not None:
        said.append(f"over {when.prompt_tokens_over} prompt tokens")
    if when.prompt_tokens_under is not None:
        said.append(f"under {when.prompt_tokens_under} prompt tokens")
    said += [
        f"{least} or more {field.replace('_', ' ')}"
        for field in PROGRESS_FIELDS
        if (least := getattr(when, f"{field}_at_least")) is not None
    ]
    said += [f"hours {', '.join(hours_of(when))}"] if hours_of(when) else []
    said += ["certain callers"] if when.callers is not None else []
    said += [f"hint {name}={glob}" for name, glob in when.hints.items()]
    return "; ".join(said) or "every request"


def _above_ceiling(policy: Policy, placed: Sequence[Placed]) -> Iterator[str]:
    allowed = [one for one in placed if one.egress.within(policy.server_ceiling)]
    if not allowed:
        yield f"the server's ceiling is {policy.server_ceiling} and no deployment is within it: every request will be refused"
    elif len(allowed) < len(placed):
        out = [one.id for one in placed if one not in allowed]
        yield f"the server's ceiling is {policy.server_ceiling}: never used are {', '.join(out)}"


def _datasets(policy: Policy, placed: Sequence[Placed]) -> Iterator[str]:
    """Datasets whose label and ceiling together leave nothing."""
    for name, ceiling in policy.ceilings.items():
        if EGRESS_ORDER[ceiling] > policy.server_rank:
            yield f"dataset '{name}': its ceiling {ceiling} is above the server's, {policy.server_ceiling}, which holds"
        label = max(policy.labels.datasets[name], policy.labels.default, key=LABEL_ORDER.__getitem__)
        within = [one for one in placed if one.egress.within(ceiling) and one.egress.within(policy.server_ceiling)]
        gates = [gate for gate in policy.gates if always_holds(gate.when, label, "chat")]
        if within and not _left(gates, within):
            rules = ", ".join(f"'{gate.name}'" for gate in gates)
            yield f"dataset '{name}': label {label} under ceiling {ceiling} leaves no deployment, by {rules}; all of it is refused"
        elif not within:
            yield f"dataset '{name}': no deployment is within its ceiling {ceiling}; all of it is refused"


def _stuck(policy: Policy) -> Iterator[str]:
    """Rules that should move a stuck agent and leave its session where it is."""
    for rule in policy.rules:
        if rule.try_ and rule.sticky and asks_progress(rule.when):
            yield (
                f"rule '{rule.name}' is for agents that do not get on, and a session stays with the deployment that served it last: "
                "say `sticky = false` for it to move them"
            )


def _unredacted(policy: Policy) -> Iterator[str]:
    """One half of what redaction needs, without the other."""
    rules = [gate.name for gate in policy.gates if gate.redact]
    if rules and not policy.labels.redact:
        yield f"rule '{rules[0]}' yields to redaction, and labels.redact names nothing: nothing is ever redacted"
    elif policy.labels.redact and not rules:
        yield "labels.redact names what may be redacted, and no rule with `allow` or `deny` says `redact = true`: nothing ever is"


def _gates(gates: Sequence[Rule], placed: Sequence[Placed]) -> Iterator[str]:
    empty: set[str] = set()
    for gate in gates:
        for kind, able in _able(gate.when, placed):
            if able and not _left([gate], able):
                empty.add(gate.name)
                yield f"rule '{gate.name}' leaves no {kind} deployment; refused: {describe_when(gate.when)}"
    for one, other in combinations([gate for gate in gates if gate.name not in empty], 2):
        if not _may_meet(one.when, other.when):
            continue
        for kind, able in _able(one.when, placed):
            if able and (kind, able) in list(_able(other.when, placed)) and not _left([one, other], able):
                yield (
                    f"rules '{one.name}' and '{other.name}' together leave no {kind} deployment; refused: "
                    f"{describe_when(one.when)}; {describe_when(other.when)}"
                )


def _able(when: Match, placed: Sequence[Placed]) -> Iterator[tuple[str, list[Placed]]]:
    """The deployments a gate is judged over, by kind of work; only gates that bear on all of them can empty a plan."""
    if when.models or when.open_weights is not None or when.licences:
        return
    if not when.operations or "chat" in when.operations:
        yield "chat", [one for one in placed if one.deployment.abilities.chat]
    if "completion" in when.operations and "chat" not in when.operations:
        yield "completion", [one for one in placed if completes(one)]
    for operation in SINGLE_OPERATIONS:
        if not when.operations or operation in when.operations:
            yield operation, [one for one in placed if getattr(one.deployment.abilities, operation)]


def _left(gates: Sequence[Rule], placed: Sequence[Placed]) -> list[Placed]:
    return [one for one in placed if all(why_blocked(gate, one) is None for gate in gates)]


def _may_meet(one: Match, other: Match) -> bool:
    if not labels_of(one) & labels_of(other):
        return False
    return all(
        not getattr(one, field) or not getattr(other, field) or set(getattr(one, field)) & set(getattr(other, field))
        for field in ("tasks", "operations", "wire_formats", "aliases")
    )


def _dead(policy: Policy) -> Iterator[str]:
    for rule in (*policy.gates, *(one for one in policy.preferences if one not in policy.gates)):
        if not labels_of(rule.when):
            yield f"rule '{rule.name}' can never match: none of its labels is at least {rule.when.label}"
    for index, rule in enumerate(policy.preferences):
        earlier = next((one for one in policy.preferences[:index] if one.when in (Match(), rule.when)), None)
        if earlier is not None:
            yield f"the `try` of rule '{rule.name}' is never reached: rule '{earlier.name}' always matches before it"


def _idle_globs(policy: Policy, placed: Sequence[Placed]) -> Iterator[str]:
    for rule in policy.gates:
        for field, scope in (("allow", rule.allow), ("deny", rule.deny)):
            for kind, globs, known in (
                ("deployments", scope.deployments if scope else (), [one.id for one in placed]),
                ("runtimes", scope.runtimes if scope else (), [one.runtime.name for one in placed]),
                ("models", scope.models if scope else (), [one.model.id for one in placed]),
            ):
                for glob in globs:
                    if is_glob(glob) and not any(map(make_matcher([glob]), known)):
                        yield f"rule '{rule.name}': `{field}.{kind}` has '{glob}', which fits nothing that is configured"
