"""Labels that can never be served: every deployment for some kind of work is kept out by gates that always hold for them.

Only gates that look at nothing but the label and the operation count, since others may not hold. What is refused is said
as request shapes: the kinds of work, the labels, and what in the configuration gives a request such a label.
"""

from collections.abc import Iterator, Sequence

import msgspec

from freehold.features import LABEL_ORDER, Label
from freehold.policy.compiled import why_blocked
from freehold.policy.labels import LabelSettings
from freehold.policy.rules import Match
from freehold.policy.snapshot import Policy
from freehold.runtime import SINGLE_OPERATIONS, Placed, completes


def unserved_labels(policy: Policy) -> Iterator[str]:
    """One sentence for each set of gates that leaves nothing, in words."""
    placed = [one for one in policy.placed.values() if one.egress.within(policy.server_ceiling)]
    refused: dict[tuple[str, ...], tuple[list[Label], dict[str, None]]] = {}
    for label in Label:
        for work, able in _by_work(placed):
            gates = [gate for gate in policy.gates if always_holds(gate.when, label, work)]
            if able and all(any(why_blocked(gate, one) is not None for gate in gates) for one in able):
                names = tuple(gate.name for gate in gates if any(why_blocked(gate, one) is not None for one in able))
                labels, works = refused.setdefault(names, ([], {}))
                works[work] = None
                if label not in labels:
                    labels.append(label)
    for names, (labels, works) in refused.items():
        rules = " and ".join(f"'{name}'" for name in names)
        said = "label" if len(labels) == 1 else "labels"
        yield (
            f"{said} {', '.join(labels)} can never be served: {'rule' if len(names) == 1 else 'rules'} {rules} leave"
            f"{'s' if len(names) == 1 else ''} nothing; refused: every {', '.join(works)} request with {'it' if len(labels) == 1 else 'them'}"
            f"{_given_by(policy.labels, labels)}"
        )


def _by_work(placed: Sequence[Placed]) -> Iterator[tuple[str, list[Placed]]]:
    yield "chat", [one for one in placed if one.deployment.abilities.chat]
    yield "completion", [one for one in placed if completes(one)]
    for operation in SINGLE_OPERATIONS:
        yield operation, [one for one in placed if getattr(one.deployment.abilities, operation)]


def always_holds(when: Match, label: Label, work: str) -> bool:
    """Whether a gate holds for every request of this label and kind of work, whatever else there is to it."""
    if msgspec.structs.replace(when, label=None, labels=(), operations=()) != Match():
        return False
    is_high_enough = when.label is None or LABEL_ORDER[label] >= LABEL_ORDER[when.label]
    return is_high_enough and (not when.labels or label in when.labels) and (not when.operations or work in when.operations)


def _given_by(labels: LabelSettings, refused: Sequence[Label]) -> str:
    """What in the configuration sets these labels, beside keys, headers and detectors."""
    given = [
        *(["the default"] if labels.default in refused else []),
        *(f"dataset {name}" for name, label in labels.datasets.items() if label in refused),
        *(f"path {glob}" for glob, label in labels.paths.items() if label in refused),
        *(f"detector {name}" for name, label in labels.detectors.items() if label in {one.value for one in refused}),
        *(f"pattern {one.name}" for one in labels.patterns if one.label in refused),
    ]
    return f" (set by {', '.join(given)}, among others)" if given else ""
