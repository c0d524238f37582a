"""The words of a rule, exactly as `freehold.toml` spells them.

Every field of `when` that is given must hold. `allow` and `deny` are gates; `try` is a preference. A rule may have
both. What holds somebody (a gate, a budget, a rate) holds for every label above the ones it names, or else what raises a
label would open a way: `held` says so once for all. What a name in a rule refers to is checked by `policy.references`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.chat import WireFormat
from freehold.features import LABEL_ORDER, Auxiliary, Label, Task
from freehold.runtime import Egress

Check = Literal["empty", "refusal", "truncated", "invalid_json", "invalid_tool_arguments", "repeats", "prompt_cut"]
Hold = Literal["none", "tools", "whole"]
Times = Annotated[int, Meta(ge=1)]
Operation = Literal[
    "chat", "completion", "embeddings", "count_tokens", "image_generation", "transcription", "speech", "moderation", "rerank"
]


class Callers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks. Globs; every list that is given must have a match."""

    keys: tuple[str, ...] = ()
    """Names of virtual keys (never their values); `local` is the keyless local user."""
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a rule applies. Every field that is given must hold; a rule without any always applies.

    `models`, `open_weights` and `licences` look at deployments. A gate with one of them restricts just the deployments
    they fit (what is not known counts as a fit); a preference applies when one of the deployments the asked model may
    mean fits.
    """

    label: Label | None = None
    """The request's label is at least this."""
    labels: tuple[Label, ...] = ()
    """The request's label is one of these. In what holds somebody (a gate, a budget, a rate): one of these, or any higher one."""
    tasks: tuple[Task, ...] = ()
    models: tuple[str, ...] = ()
    """Globs over the asked model (then all deployments are meant) and over each deployment's model."""
    aliases: tuple[str, ...] = ()
    """The asked model was resolved through one of these aliases, named as in `[aliases]`."""
    open_weights: bool | None = None
    licences: tuple[str, ...] = ()
    """Globs over the licence of a deployment's model."""
    prompt_tokens_over: int | None = None
    """More prompt tokens than this, tools and system prompt included."""
    prompt_tokens_under: int | None = None
    tools: bool | None = None
    """Whether tools are offered."""
    images: bool | None = None
    """Whether there are images."""
    schema: bool | None = None
    """Whether structured output is asked for."""
    stream: bool | None = None
    wire_formats: tuple[WireFormat, ...] = ()
    """The format the client speaks."""
    callers: Callers | None = None
    hours: str | tuple[str, ...] = ()
    """Local hours of the server, the last one excluded: `9-17`, or a list; `22-6` wraps past midnight."""
    hints: dict[str, str] = {}
    """Globs over `x-freehold-hint-NAME` headers, by NAME. Clients choose them: for preferences, not for safety."""
    agents: tuple[str, ...] = ()
    """Globs over the recognised client program: `claude-code`, `codex` ..."""
    request_classes: tuple[str, ...] = ()
    """Globs over what the client says the request is for: `main`, `subagent`, `auxiliary` ..."""
    auxiliary: tuple[Auxiliary, ...] = ()
    """Kinds of side jobs, as headers or shapes show them: a title, a compaction, a token count, a web search, or another."""
    operations: tuple[Operation, ...] = ()
    turns_at_least: Times | None = None
    """The model had so many turns in this conversation, and tools have returned something."""
    failed_results_at_least: Times | None = None
    """So many of the newest forty results of tools say that the tool failed."""
    failed_share_at_least: Annotated[float, Meta(gt=0, le=1)] | None = None
    """This share, 0 to 1, of the newest ten results failed; before there are four, the share is 0."""
    repeated_failures_at_least: Times | None = None
    """One action failed so often in the same way without ever succeeding in between."""
    edits_without_progress_at_least: Times | None = None
    """One file was edited so often with the same failure coming back."""


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of deployments. `allow` keeps what fits every given field; `deny` drops what fits any of them.

    What is not known of a model counts against it, in both.
    """

    egress: Egress | None = None
    """In `allow`: at most this class. In `deny`: this class and every class beyond it."""
    deployments: tuple[str, ...] = ()
    """Ids, or globs such as `box/*`."""
    runtimes: tuple[str, ...] = ()
    """Names, or globs."""
    models: tuple[str, ...] = ()
    """Model ids, or globs."""
    open_weights: bool | None = None
    licences: tuple[str, ...] = ()
    """Globs such as `apache-*`."""


class Escalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a poor answer moves on, and to where. Every gate holds for the targets too."""

    on: tuple[Check, ...]
    """The checks whose bad verdict makes an answer poor."""
    to: tuple[str, ...]
    """As in `try`, but over all deployments that can serve the request, also beyond what the asked model means."""
    at_most: int = 1
    hold: Hold = "none"
    """What is withheld from the client until it is judged: nothing, tool calls, or the whole answer."""


class Caching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer the same request of the same caller again without a call. Whether that is wanted is the operator's choice."""

    ttl_s: Annotated[float, Meta(gt=0, le=31 * 86_400)]
    """How long an answer may be given again."""
    restricted: bool = False
    """Whether answers to requests with the label `restricted` are kept too, in memory as all others."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: when it applies, what it allows or denies, and what it prefers."""

    name: str
    """Unique; named in every decision it takes part in."""
    when: Match = Match()
    allow: Scope | None = None
    deny: Scope | None = None
    try_: tuple[str, ...] = msgspec.field(default=(), name="try")
    """Egress classes, runtimes, deployment ids, model ids or aliases, best first. What is not named comes last."""
    escalate: Escalation | None = None
    cache: Caching | None = None
    """Whether answers are kept and given again to the very same request. Needs a `try` beside it."""
    redact: bool = False
    """Whether a gate yields to redaction: where nothing may serve a request, what `labels.redact` names is replaced by
    placeholders, and this gate then looks at the label of what is left."""
    sticky: bool = True
    """Whether a session stays with the deployment that served it last."""


def parse_hours(text: str) -> frozenset[int]:
    """The hours of `9-17` as {9, ..., 16}; `22-6` wraps past midnight. Raises ValueError naming what is valid."""
    first, dash, last = text.partition("-")
    if not (dash and first.strip().isdecimal() and last.strip().isdecimal()):
        raise ValueError(f"'{text}' is not a span of hours such as '9-17'")
    start, end = int(first), int(last)
    if not (0 <= start <= 23 and 0 <= end <= 24):
        raise ValueError(f"'{text}' is outside 0-24")
    if start == end:
        raise ValueError(f"'{text}' is no hour at all; leave `hours` out for the whole day")
    return frozenset(range(start, end) if start < end else [*range(start, 24), *range(end)])


def hours_of(match: Match) -> tuple[str, ...]:
    """The spans of `when.hours`, whichever way they were written."""
    return (match.hours,) if isinstance(match.hours, str) else match.hours


def labels_of(match: Match) -> frozenset[Label]:
    """The labels that `label` and `labels` together name, exactly."""
    least = 0 if match.label is None else LABEL_ORDER[match.label]
    return frozenset(label for label in match.labels or Label if LABEL_ORDER[label] >= least)


def held(match: Match) -> Match:
    """The `when` of what holds somebody: a label that is named means every higher one too.

    A detector, a header or a dataset only ever raises a label. Were labels matched exactly here, raising one could take a
    request out of a gate's hold. Preferences, which only order, match exactly. A `when` that no label fits stays as it is.
    """
    named = labels_of(match) if match.labels else None
    return msgspec.structs.replace(match, label=min(named, key=LABEL_ORDER.__getitem__), labels=()) if named else match
