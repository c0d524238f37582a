"""Rules seen from one asked model: everything that does not depend on the rest of the request, worked out once.

A `Resolution` holds the deployments the asked model may mean, what each gate would block, and how each preference
orders them, reasons included. Deciding a request then only checks conditions and walks tuples.
"""

from collections.abc import Mapping

import msgspec

from freehold.policy.conditions import (
    Condition,
    DeploymentHalf,
    deployment_half,
    request_conditions,
    why_denied,
    why_not_allowed,
)
from freehold.policy.names import Names
from freehold.policy.rules import Caching, Escalation, Rule, held
from freehold.runtime import EGRESS_ORDER, SINGLE_OPERATIONS, Egress, Placed, completes, fills_in

CHAT, EMBEDDINGS, TOOLS, IMAGES, JSON_SCHEMA, LOGPROBS = 1, 2, 4, 8, 16, 32
ABILITY_NAMES = {
    CHAT: "chat",
    EMBEDDINGS: "embeddings",
    TOOLS: "tools",
    IMAGES: "images",
    JSON_SCHEMA: "json_schema",
    LOGPROBS: "logprobs",
    64: "image_generation",
    128: "transcription",
    256: "speech",
    512: "moderation",
    1024: "rerank",
}
"""Bits of `Candidate.has`, and the ability in `[[deployments]]` that each stands for."""
COMPLETION, RAW_PROMPT, FILL_IN, ECHO, FILL_IN_OLLAMA = 2048, 4096, 8192, 16384, 32768
COMPLETION_NAMES = {
    COMPLETION: "completion",
    RAW_PROMPT: "raw prompts",
    FILL_IN: "fill-in-the-middle",
    ECHO: "echo and best_of",
    FILL_IN_OLLAMA: "fill-in-the-middle",
}
"""What a completion needs: a deployment that goes on with a text, one whose runtime speaks that format itself, a model
that is known to fill in, or a runtime that takes a suffix, one that does not pass over `echo` and `best_of`. A client of
Ollama's is served by a runtime that speaks Ollama too: that one knows by itself whether its model fills in."""
SINGLE_NEEDS = {name: bit for bit, name in ABILITY_NAMES.items() if name in SINGLE_OPERATIONS}
"""What an operation other than a chat needs."""

_CLASS_NAMES = frozenset(egress.value for egress in Egress)
_FARTHEST = max(EGRESS_ORDER.values())


class Candidate(msgspec.Struct, frozen=True):
    """A deployment with what a decision looks at, ready to be compared."""

    id: str
    placed: Placed
    runtime: str
    egress_rank: int
    has: int
    window: int | None
    fetches: bool = False
    """It may fetch what requests name by an address."""


class Gate(msgspec.Struct, frozen=True):
    """A gate as it bears on one asked model."""

    name: str
    conditions: tuple[Condition, ...]
    blocked: Mapping[str, str]
    """Deployment id to the reason, in words."""
    ceiling_rank: int
    """The highest egress class it leaves to any call made for the request."""
    redact: bool = False
    """It looks at what redaction left; otherwise also at what there was before."""


class Preference(msgspec.Struct, frozen=True):
    """A preference as it bears on one asked model."""

    name: str | None
    """None: the built-in order."""
    conditions: tuple[Condition, ...]
    order: tuple[tuple[Candidate, str], ...]
    """Every candidate, best first, with the reason for its place."""
    escalation: Escalation | None
    targets: tuple[tuple[Candidate, str], ...]
    sticky: bool
    cache: Caching | None = None


class Resolution(msgspec.Struct, frozen=True):
    """What an asked model means, and how every rule bears on it."""

    placed: tuple[Placed, ...]
    through: tuple[str, ...]
    """The aliases it went through."""
    gates: tuple[Gate, ...]
    preferences: tuple[Preference, ...]
    """In the order of the rules; the last one has no conditions."""


class _CompiledRule(msgspec.Struct, frozen=True):
    rule: Rule
    conditions: tuple[Condition, ...]
    """As a preference matches."""
    held: tuple[Condition, ...]
    """As a gate holds."""
    half: DeploymentHalf
    blocked: Mapping[str, str]
    ceiling_rank: int
    ranks: Mapping[str, tuple[int, str]]
    """For a preference: deployment id to its place and the reason."""
    targets: tuple[tuple[Candidate, str, bool], ...]
    """Where a poor answer moves on to, the reason, and whether only an egress class was named, which is nobody's wish."""


class Compiler:
    """Turns rules into resolutions. Holds tables made once at load and is not changed afterwards."""

    __slots__ = ("_candidates", "_names", "_rules")

    def __init__(self, names: Names, rules: tuple[Rule, ...]) -> None:
        self._names = names
        self._candidates = {one.id: make_candidate(one) for one in names.placed.values()}
        self._rules = tuple(self._compile(rule) for rule in rules)

    def resolution(self, asked: str) -> Resolution | None:
        """Everything known about an asked model; None: no deployment or alias has this name."""
        found = self._names.resolve(asked)
        if found is None:
            return None
        ids, through = found
        candidates = tuple(self._candidates[one] for one in ids)
        preferences = [
            self._preference(compiled, candidates, through)
            for compiled in self._rules
            if compiled.rule.try_ and self._prefers(compiled, asked, candidates, through)
        ]
        return Resolution(
            placed=tuple(candidate.placed for candidate in candidates),
            through=through,
            gates=self._gates(asked, through),
            preferences=(*preferences, _built_in(candidates, through)),
        )

    def _compile(self, rule: Rule) -> _CompiledRule:
        placed = self._names.placed
        return _CompiledRule(
            rule=rule,
            conditions=request_conditions(rule.when),
            held=request_conditions(held(rule.when)),
            half=deployment_half(rule.when),
            blocked={one.id: reason for one in placed.values() if (reason := why_blocked(rule, one)) is not None},
            ceiling_rank=_ceiling_rank(rule),
            ranks=self._ranks(rule),
            targets=self._targets(rule),
        )

    def _ranks(self, rule: Rule) -> dict[str, tuple[int, str]]:
        ranks: dict[str, tuple[int, str]] = {}
        for place, entry in enumerate(rule.try_):
            rest = rule.try_[place + 1 :]
            turn = f"before {', '.join(rest)}" if rest else "last" if place else "first"
            for one in self._names.entry(entry) or ():
                ranks.setdefault(one, (len(ranks), f"rule '{rule.name}': {entry} {turn}"))
        return ranks

    def _targets(self, rule: Rule) -> tuple[tuple[Candidate, str, bool], ...]:
        targets: dict[str, tuple[Candidate, str, bool]] = {}
        for entry in rule.escalate.to if rule.escalate is not None else ():
            is_class = entry in _CLASS_NAMES
            for one in self._names.entry(entry) or ():
                targets.setdefault(one, (self._candidates[one], f"rule '{rule.name}' escalates to {entry}", is_class))
        return tuple(targets.values())

    def _prefers(self, compiled: _CompiledRule, asked: str, candidates: tuple[Candidate, ...], through: tuple[str, ...]) -> bool:
        """Judged over all candidates, before any gate: otherwise a gate could switch to another rule and add its targets."""
        half = compiled.half
        asked_fits = half.models is not None and half.models(asked)
        return half.reached_through(through) and any(
            half.fits(candidate.placed, asked_fits, unknown_fits=False) for candidate in candidates
        )

    def _preference(self, compiled: _CompiledRule, candidates: tuple[Candidate, ...], through: tuple[str, ...]) -> Preference:
        rule, ranks = compiled.rule, compiled.ranks
        unnamed = (len(ranks), f"rule '{rule.name}': not named in its try, so after what is")
        ranked = sorted(candidates, key=lambda candidate: ranks.get(candidate.id, unnamed)[0] * 4 + _tie(candidate, ranks))
        return Preference(
            name=rule.name,
            conditions=compiled.conditions,
            order=tuple((candidate, ranks.get(candidate.id, unnamed)[1]) for candidate in ranked),
            escalation=rule.escalate,
            # Who asks for a model by its own name gets no other one, unless the rule names that one too.
            targets=tuple(
                (target, reason)
                for target, reason, is_class in compiled.targets
                if through or not is_class or target in candidates
            ),
            sticky=rule.sticky,
            cache=rule.cache,
        )

    def _gates(self, asked: str, through: tuple[str, ...]) -> tuple[Gate, ...]:
        gates: list[Gate] = []
        for compiled in self._rules:
            half = compiled.half
            if not half.reached_through(through):
                continue
            asked_fits = half.models is not None and half.models(asked)
            ceiling_rank = compiled.ceiling_rank if half.fits_all(asked_fits) else _FARTHEST
            blocked = {
                one: reason
                for one, reason in compiled.blocked.items()
                if half.fits(self._names.placed[one], asked_fits, unknown_fits=True)
            }
            if blocked or ceiling_rank < _FARTHEST:
                gates.append(Gate(compiled.rule.name, compiled.held, blocked, ceiling_rank, compiled.rule.redact))
        return tuple(gates)


def make_candidate(placed: Placed) -> Candidate:
    """A deployment as decisions see it."""
    able = placed.deployment.abilities
    has = sum(bit for bit, name in ABILITY_NAMES.items() if getattr(able, name))
    if placed.runtime.formats == ("openai_completions",):
        has &= ~CHAT  # only a chat template makes a prompt of a conversation, and this runtime is not asked to use one
    has |= _completion_bits(placed)
    rank = EGRESS_ORDER[placed.egress]
    return Candidate(placed.id, placed, placed.runtime.name, rank, has, able.context, "fetches" in placed.quirks)


def _completion_bits(placed: Placed) -> int:
    if not completes(placed):
        return 0
    has = COMPLETION | (FILL_IN_OLLAMA if "ollama" in placed.runtime.formats else 0)
    if "openai_completions" not in placed.runtime.formats:
        return has
    has |= (FILL_IN | FILL_IN_OLLAMA) if fills_in(placed) else 0
    return has | RAW_PROMPT | (ECHO if "no_echo" not in placed.quirks else 0)


def why_blocked(rule: Rule, placed: Placed) -> str | None:
    """Why a rule's gates block the deployment whenever they apply to it; None: they do not."""
    reason = why_not_allowed(rule.allow, placed) if rule.allow is not None else None
    if reason is None and rule.deny is not None:
        reason = why_denied(rule.deny, placed)
    return None if reason is None else f"rule '{rule.name}' {reason}"


def _ceiling_rank(rule: Rule) -> int:
    rank = _FARTHEST
    if rule.allow is not None and rule.allow.egress is not None:
        rank = EGRESS_ORDER[rule.allow.egress]
    if rule.deny is not None and rule.deny.egress is not None:
        rank = min(rank, max(EGRESS_ORDER[rule.deny.egress] - 1, 0))
    return rank


def _tie(candidate: Candidate, ranks: Mapping[str, tuple[int, str]]) -> int:
    """Those a rule does not name stand in the built-in order among themselves."""
    return 0 if candidate.id in ranks else candidate.egress_rank


def _built_in(candidates: tuple[Candidate, ...], through: tuple[str, ...]) -> Preference:
    reason = "no rule prefers: local, then self_hosted, then vendor" if through else "asked for by name"
    ranked = sorted(candidates, key=lambda candidate: candidate.egress_rank)
    return Preference(None, (), tuple((candidate, reason) for candidate in ranked), None, (), sticky=True)
