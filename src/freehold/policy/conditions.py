"""`when` turned into closures: the half that looks at the request, and the half that looks at deployments.

The request half runs for every decision, so each condition is one small function over features. The deployment half
does not depend on the request beyond its asked model; it is evaluated once per asked model and kept.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec

from freehold.features import LABEL_ORDER, Features, Label, Progress
from freehold.policy.globs import Matcher, make_matcher
from freehold.policy.rules import Callers, Match, Scope, hours_of, parse_hours
from freehold.runtime import EGRESS_ORDER, Placed

Condition = Callable[[Features, int], bool]
"""Features and the local hour; whether it holds."""


def request_conditions(when: Match) -> tuple[Condition, ...]:
    """The conditions on the request, cheapest first. All must hold."""
    return (*_class_conditions(when), *_shape_conditions(when), *_caller_conditions(when), *_progress_conditions(when))


def all_hold(conditions: Sequence[Condition], features: Features, hour: int) -> bool:
    """Whether every condition holds. None at all: yes."""
    for holds in conditions:  # noqa: SIM110 - a generator costs more than the conditions
        if not holds(features, hour):
            return False
    return True


def _class_conditions(when: Match) -> list[Condition]:
    conditions: list[Condition] = []
    if when.label is not None:
        # A tuple finds enum members by identity; a set would hash them in Python.
        at_least = tuple(label for label in Label if LABEL_ORDER[label] >= LABEL_ORDER[when.label])
        conditions.append(lambda features, _hour: features.label in at_least)
    if when.labels:
        labels = when.labels
        conditions.append(lambda features, _hour: features.label in labels)
    if when.tasks:
        tasks = when.tasks
        conditions.append(lambda features, _hour: features.task in tasks)
    if when.operations:
        operations = when.operations
        conditions.append(lambda features, _hour: features.operation in operations)
    if when.wire_formats:
        formats = when.wire_formats
        conditions.append(lambda features, _hour: features.wire_format in formats)
    if hours_of(when):
        hours = frozenset().union(*(parse_hours(span) for span in hours_of(when)))
        conditions.append(lambda _features, hour: hour in hours)
    return conditions


def _shape_conditions(when: Match) -> list[Condition]:
    conditions: list[Condition] = []
    if when.prompt_tokens_over is not None:
        over = when.prompt_tokens_over
        conditions.append(lambda features, _hour: features.prompt_tokens > over)
    if when.prompt_tokens_under is not None:
        under = when.prompt_tokens_under
        conditions.append(lambda features, _hour: features.prompt_tokens < under)
    if when.tools is not None:
        tools = when.tools
        conditions.append(lambda features, _hour: (features.tools > 0) is tools)
    if when.images is not None:
        images = when.images
        conditions.append(lambda features, _hour: (features.images > 0) is images)
    if when.schema is not None:
        schema = when.schema
        conditions.append(lambda features, _hour: features.schema is schema)
    if when.stream is not None:
        stream = when.stream
        conditions.append(lambda features, _hour: features.stream is stream)
    return conditions


def _caller_conditions(when: Match) -> list[Condition]:
    conditions: list[Condition] = []
    callers = when.callers or Callers()
    if callers.keys:
        key_fits = make_matcher(callers.keys)
        conditions.append(lambda features, _hour: key_fits(features.caller.key))
    if callers.users:
        user_fits = make_matcher(callers.users)
        conditions.append(lambda features, _hour: user_fits(features.caller.user))
    if callers.teams:
        team_fits = make_matcher(callers.teams)
        conditions.append(lambda features, _hour: features.caller.team is not None and team_fits(features.caller.team))
    if when.agents:
        agent_fits = make_matcher(when.agents)
        conditions.append(lambda features, _hour: features.agent is not None and agent_fits(features.agent))
    if when.request_classes:
        class_fits = make_matcher(when.request_classes)
        conditions.append(lambda features, _hour: features.request_class is not None and class_fits(features.request_class))
    if when.auxiliary:
        kinds = when.auxiliary
        conditions.append(lambda features, _hour: features.auxiliary in kinds)
    conditions.extend(_hint_condition(name, glob) for name, glob in when.hints.items())
    return conditions


PROGRESS_FIELDS = ("turns", "failed_results", "failed_share", "repeated_failures", "edits_without_progress")
"""What `when` can ask of an agent's progress, each with `_at_least` behind it."""


def asks_progress(when: Match) -> bool:
    """Whether a rule is for agents that do not get on."""
    return any(getattr(when, f"{field}_at_least") is not None for field in PROGRESS_FIELDS)


def _progress_conditions(when: Match) -> list[Condition]:
    asked = [(attrgetter(field), getattr(when, f"{field}_at_least")) for field in PROGRESS_FIELDS]
    return [_progress_condition(read, least) for read, least in asked if least is not None]


def _progress_condition(read: Callable[[Progress], float], least: float) -> Condition:
    return lambda features, _hour: features.progress is not None and read(features.progress) >= least


def _hint_condition(name: str, glob: str) -> Condition:
    name, fits = name.lower(), make_matcher([glob])
    return lambda features, _hour: name in features.hints and fits(features.hints[name])


class DeploymentHalf(msgspec.Struct, frozen=True):
    """The conditions on deployments in one `when`."""

    models: Matcher | None
    aliases: frozenset[str]
    open_weights: bool | None
    licences: Matcher | None

    def reached_through(self, through: Sequence[str]) -> bool:
        """Whether the asked model went through one of the aliases named, where any is."""
        return not self.aliases or not self.aliases.isdisjoint(through)

    def fits(self, placed: Placed, asked_fits: bool, *, unknown_fits: bool) -> bool:
        """Whether the deployment is meant. `asked_fits`: the asked model already satisfied `models`."""
        model = placed.model
        if self.models is not None and not asked_fits and not self.models(model.id):
            return False
        if self.open_weights is not None and model.open_weights is not self.open_weights:
            unknown_is_closed = model.open_weights is None and self.open_weights is False
            if not unknown_is_closed and not (unknown_fits and model.open_weights is None):
                return False
        if self.licences is not None:
            return unknown_fits if model.licence is None else self.licences(model.licence)
        return True

    def fits_all(self, asked_fits: bool) -> bool:
        """Whether no deployment can fall outside, given the asked model."""
        return (self.models is None or asked_fits) and self.open_weights is None and self.licences is None


def deployment_half(when: Match) -> DeploymentHalf:
    """The deployment conditions of a `when`."""
    return DeploymentHalf(
        models=make_matcher(when.models) if when.models else None,
        aliases=frozenset(when.aliases),
        open_weights=when.open_weights,
        licences=make_matcher(when.licences) if when.licences else None,
    )


def why_not_allowed(scope: Scope, placed: Placed) -> str | None:
    """Why `allow = scope` leaves the deployment out; None: it stays."""
    model = placed.model
    if scope.egress is not None and EGRESS_ORDER[placed.egress] > EGRESS_ORDER[scope.egress]:
        return f"allows {scope.egress} at most, this is {placed.egress}"
    if scope.runtimes and not make_matcher(scope.runtimes)(placed.runtime.name):
        return f"does not allow runtime '{placed.runtime.name}'"
    if scope.deployments and not make_matcher(scope.deployments)(placed.id):
        return "does not allow this deployment"
    if scope.models and not make_matcher(scope.models)(model.id):
        return f"does not allow model '{model.id}'"
    if scope.open_weights is not None and model.open_weights is not scope.open_weights:
        known = "not known to have" if model.open_weights is None else "not of"
        return f"allows models with {'open' if scope.open_weights else 'closed'} weights, this one is {known} them"
    if scope.licences and (model.licence is None or not make_matcher(scope.licences)(model.licence)):
        return f"does not allow licence '{model.licence or 'unknown'}'"
    return None


def why_denied(scope: Scope, placed: Placed) -> str | None:
    """Why `deny = scope` drops the deployment; None: it stays."""
    model = placed.model
    if scope.egress is not None and EGRESS_ORDER[placed.egress] >= EGRESS_ORDER[scope.egress]:
        return f"denies {scope.egress}{'' if placed.egress is scope.egress else ' and what lies beyond'}"
    if scope.runtimes and make_matcher(scope.runtimes)(placed.runtime.name):
        return f"denies runtime '{placed.runtime.name}'"
    if scope.deployments and make_matcher(scope.deployments)(placed.id):
        return "denies this deployment"
    if scope.models and make_matcher(scope.models)(model.id):
        return f"denies model '{model.id}'"
    if scope.open_weights is not None and model.open_weights in {scope.open_weights, None}:
        return f"denies models {'with' if scope.open_weights else 'without'} open weights, or whose weights are not known"
    if scope.licences and (model.licence is None or make_matcher(scope.licences)(model.licence)):
        return f"denies licence '{model.licence or 'unknown'}'"
    return None
