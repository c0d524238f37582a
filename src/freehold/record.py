"""What is written down: one row per request, one per attempt, one per decision.

A request has exactly one final row, each upstream attempt one row. Times are Unix milliseconds, durations
milliseconds, money integer nano-USD (None: unknown, which is never zero). No prompt and no answer is in here.
"""

from typing import Literal

import msgspec

from freehold.chat import Usage
from freehold.features import Features

Outcome = Literal["served", "failed", "refused", "cancelled", "cut"]
CostBasis = Literal["metered", "amortised", "estimated", "unknown", "free"]
AttemptEnd = Literal["served", "fault", "escalated", "cancelled", "cut"]
SETTLED_AS_RESERVED = "settled_as_reserved"
"""Among an attempt's `edits`: what it cost or used is not known, and is taken to be what was reserved for it."""


class Rejected(msgspec.Struct, frozen=True):
    """A deployment that is not in the plan, and why."""

    deployment: str
    reason: str
    rule: str | None = None
    """The gate's name, where a rule rejected it."""


class PlannedStep(msgspec.Struct, frozen=True):
    """One deployment to try."""

    deployment: str
    reason: str
    """Why it stands at this place, in words."""
    redacted: bool = False
    """It is sent what redaction left of the request."""


class Verdict(msgspec.Struct, frozen=True):
    """A judgement of a reply by a named check."""

    check: str
    poor: bool
    detail: str = ""


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with all that went into it, so that it can be computed again."""

    request_id: str
    at_ms: int
    policy_version: str
    features: Features
    situation: msgspec.Raw
    """JSON of the Situation as it was."""
    rule: str | None
    """The preference rule that ordered the plan; None: the built-in order."""
    steps: tuple[PlannedStep, ...]
    rejected: tuple[Rejected, ...]


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one deployment."""

    attempt_id: str
    """`request_id`, a full stop and `number`: what the ledger makes it from again."""
    request_id: str
    number: int
    """From 1."""
    deployment: str
    runtime: str
    egress: str
    sent_model: str
    answered_model: str | None
    fingerprint: str | None = None
    mode: Literal["relay", "translate"]
    edits: tuple[str, ...] = ()
    """Names of the edits made to a relayed request or reply, and of the repairs of its tool calls; `SETTLED_AS_RESERVED`."""
    started_ms: int
    first_content_ms: float | None
    """From the attempt's start."""
    duration_ms: float
    end: AttemptEnd
    status: int | None = None
    fault: str | None = None
    fault_message: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    usage: Usage | None = None
    cost_nano_usd: int | None = None
    cost_basis: CostBasis = "unknown"
    images: int | None = None
    """Images in the answer; None: it is no answer of images."""
    audio_s: float | None = None
    """Seconds of audio as the runtime reported them."""
    price_version: str | None = None
    """The price it was costed by: source, date, hash."""
    sent_bytes: int | None = None
    """Of the request's body, where it left this machine; None: it went to a local runtime, or nowhere."""


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The final row of a request, whatever happened to it."""

    request_id: str
    at_ms: int
    operation: str
    wire_format: str | None
    caller_key: str
    caller_user: str
    caller_team: str | None
    session: str | None
    agent: str | None
    asked_model: str
    task: str
    label: str
    stream: bool
    policy_version: str
    outcome: Outcome
    status: int
    fault: str | None
    fault_message: str | None
    deployment: str | None
    runtime: str | None
    egress: str | None
    reason: str
    attempts: int
    prompt_tokens_counted: int
    usage: Usage | None
    cost_nano_usd: int | None
    cost_basis: CostBasis
    first_content_ms: float | None
    duration_ms: float
    overhead_ms: float | None
    """Our share of the time: total less the time spent waiting for upstreams."""
