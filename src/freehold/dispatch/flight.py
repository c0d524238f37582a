"""One request while it is being served: what was decided, what was tried, how long we waited for others.

Written by dispatch, read by the server and the ledger. Not shared between requests.
"""

import math
from collections.abc import Mapping, Sequence

from freehold.chat import ChatRequest
from freehold.dispatch.reach import Reaches
from freehold.features import Features
from freehold.policy.budgets import BudgetLine
from freehold.policy.rates import RateTable
from freehold.record import AttemptRecord
from freehold.routing.placeholders import Placeholders
from freehold.routing.plan import Plan
from freehold.runtime import Egress
from freehold.wire.codec import Asked, Codec, Envelope
from freehold.wire.offering import without_conversation
from freehold.wire.steady import steady


class Flight:
    """A request between its decision and its final row."""

    __slots__ = (
        "attempts",
        "budgets",
        "called",
        "deadline_s",
        "ends_s",
        "features",
        "first_content_s",
        "headers",
        "is_bulk",
        "plan",
        "policy_version",
        "queue_wait_s",
        "rates",
        "reaches",
        "request_id",
        "step_ends_s",
        "tries",
        "waited_s",
        "yields",
    )

    def __init__(
        self,
        *,
        request_id: str,
        headers: Mapping[str, str],
        features: Features,
        plan: Plan,
        policy_version: str,
        reaches: Reaches,
    ) -> None:
        self.budgets: Sequence[BudgetLine] = ()
        """What its attempts are held to."""
        self.rates: RateTable | None = None
        """The rates of this server; None: it has none."""
        self.is_bulk = False
        """Several texts to be embedded at once: ingest rather than a question."""
        self.yields = False
        """Nobody waits for it: a line of a batch, which stands back for those who do."""
        self.request_id = request_id
        self.headers = headers
        self.features = features
        self.plan = plan
        self.policy_version = policy_version
        """Of the policy the plan was made with."""
        self.reaches = reaches
        """Where the plan's runtimes answer: those of the same configuration, also when it was replaced meanwhile."""
        self.attempts: list[AttemptRecord] = []
        """Attempts that ended."""
        self.deadline_s: float | None = None
        """Monotonic time at which the whole answer must be there, where the client said so; None: only the runtime's deadlines."""
        self.tries = 0
        """Attempts begun."""
        self.called: tuple[str, ...] = ()
        """Runtimes that were called for it."""
        self.ends_s: float | None = None
        """Monotonic time at which all of it must be over; None before its first step."""
        self.step_ends_s = math.inf
        """Monotonic time at which the step under way must have its first content."""
        self.queue_wait_s: float | None = None
        """How long the step under way may wait for a place at its runtime."""
        self.waited_s = 0.0
        """Time spent waiting for upstreams; the rest of the duration is our overhead."""
        self.first_content_s: float | None = None
        """Monotonic time at which the first content was ready to go out."""

    @property
    def is_background(self) -> bool:
        """Whether those who wait for an answer come first."""
        return self.yields or self.is_bulk


class ChatFlight(Flight):
    """A chat request."""

    __slots__ = ("_offering", "_request", "_steady", "_steady_request", "asked", "codec", "envelope", "placeholders")

    def __init__(
        self,
        *,
        request_id: str,
        headers: Mapping[str, str],
        features: Features,
        plan: Plan,
        policy_version: str,
        reaches: Reaches,
        codec: Codec,
        envelope: Envelope,
        asked: Asked,
        placeholders: Placeholders | None = None,
    ) -> None:
        """`placeholders`: the envelope is what redaction left, and these are put back into the answer."""
        super().__init__(
            request_id=request_id,
            headers=headers,
            features=features,
            plan=plan,
            policy_version=policy_version,
            reaches=reaches,
        )
        self.codec = codec
        self.envelope = envelope
        self.asked = asked
        self.placeholders = placeholders
        self._request: ChatRequest | None = None
        self._offering: ChatRequest | None = None
        self._steady: Envelope | None = None
        self._steady_request: ChatRequest | None = None

    def envelope_at(self, egress: Egress) -> Envelope:
        """What a runtime of this class is sent: a local one is spared what would spoil its prompt cache."""
        if egress is not Egress.LOCAL:
            return self.envelope
        if self._steady is None:
            self._steady = steady(self.envelope, self.codec.peek)
        return self._steady

    def request_of(self, envelope: Envelope) -> ChatRequest:
        """One of the envelopes that `envelope_at` gives, in the neutral middle, read once."""
        if envelope is self.envelope:
            return self.request()
        if self._steady_request is None:
            self._steady_request = self.codec.read_request(envelope)
        return self._steady_request

    def request(self) -> ChatRequest:
        """The request in the neutral middle, read once and only when something needs it."""
        if self._request is None:
            self._request = self.codec.read_request(self.envelope)
        return self._request

    def offering(self) -> ChatRequest:
        """The request's tools and options, in the neutral middle; its conversation may be left out."""
        if self._request is not None:
            return self._request
        if self._offering is None:
            self._offering = self.codec.read_request(without_conversation(self.envelope))
        return self._offering
