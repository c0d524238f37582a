"""From headers and body to a decision: caller, envelope, features, situation, plan. No call is made here.

`freehold explain --request` runs exactly this, so that a dry run shows what a real request would do.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from freehold.dispatch.flight import ChatFlight, Flight
from freehold.fault import FaultError
from freehold.features import Caller, Features, Right
from freehold.fit.tokens import EXACT
from freehold.identity.callers import Register
from freehold.identity.tags import tag
from freehold.ledger import Ledger
from freehold.ledger.ids import RANDOM_BYTES, new_id
from freehold.limits.breaker import Breakers
from freehold.limits.budgets import Budgets
from freehold.policy.budgets import BudgetLine
from freehold.policy.snapshot import Policy
from freehold.record import DecisionRecord, PlannedStep
from freehold.routing.detectors.scanner import Detectors, Spot
from freehold.routing.features import gather, gather_embeddings
from freehold.routing.labels import Labelled, as_findings, label_request
from freehold.routing.plan import Plan, make_plan
from freehold.routing.single_features import gather_single
from freehold.routing.situation import OverBudget, Situation
from freehold.server.counting import Counting, Tokens, is_close
from freehold.server.deadline import timeout_of
from freehold.server.redacting import Left, PlaceholderKey, leave_out
from freehold.server.snapshot import Snapshot
from freehold.sessions.sticky import Sticky, lane_of
from freehold.wire.blocks import strictly, with_place
from freehold.wire.codec import Asked, Codec, Envelope
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.singles.shape import JsonBody, SingleEnvelope, SingleOperation

_encode = msgspec.json.Encoder().encode


class Intake:
    """Everything a decision looks at, and the decision."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        register: Register,
        counting: Counting,
        breakers: Breakers,
        sticky: Sticky,
        ledger: Ledger,
        now: Callable[[], float],
        wall_ms: Callable[[], int],
        hour_of: Callable[[int], int],
        random_bytes: Callable[[int], bytes],
        windows: dict[str, int],
        budgets: Budgets,
        placeholder_key: PlaceholderKey,
    ) -> None:
        self.snapshot = snapshot
        """What the next request is decided by. Replaced as a whole; read once per request."""
        self.register = register
        """Virtual keys."""
        self._counting = counting
        self._breakers = breakers
        self._sticky = sticky
        self._ledger = ledger
        self._now = now
        self._wall_ms = wall_ms
        self._hour_of = hour_of
        self._random_bytes = random_bytes
        self._windows = windows
        self._budgets = budgets
        self._placeholder_key = placeholder_key

    @property
    def policy(self) -> Policy:
        """The policy the next request is decided by."""
        return self.snapshot.policy

    @property
    def max_body_bytes(self) -> int:
        """The longest body that is taken."""
        return self.snapshot.max_body_bytes

    def new_request_id(self) -> str:
        """A fresh id, sortable by time."""
        return new_id("req_", self._wall_ms(), self._random_bytes(RANDOM_BYTES))

    def identify(self, headers: Mapping[str, str], right: Right | None) -> Caller:
        """The caller, with what its request is tagged with. `right` is what the endpoint takes; None: any key will do.

        Raises FaultError: UNAUTHENTICATED, FORBIDDEN, INVALID_REQUEST for a tag that is none.
        """
        snapshot = self.snapshot
        caller = self.register.identify(headers, right, snapshot.keys, self._wall_ms())
        return tag(caller, headers, snapshot.policy.ceilings)

    async def decide(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> ChatFlight:
        """The flight of a chat request, decided and written to the ledger."""
        snapshot, due_s = self.snapshot, self._due(headers, streams=envelope.stream)
        features = await self.features(codec, envelope, headers, caller, snapshot=snapshot)
        plan, situation, budgets = self._planned(features, snapshot)
        sent, placeholders = envelope, None
        if plan.refusal is not None and snapshot.policy.redacts:
            left = await self._leave_out(codec, envelope, headers, caller, features, snapshot)
            if left is not None:
                kept = self._planned(left.features, snapshot)
                if kept[0].refusal is None:
                    sent, features, placeholders = left.envelope, left.features, left.placeholders
                    plan, situation, budgets = kept
        self._ledger.decided(decision_record(request_id, snapshot.policy, features, situation, plan))
        flight = self._chat_flight(request_id, codec, sent, headers, features, plan, situation.now_ms, snapshot)
        flight.placeholders = placeholders
        flight.deadline_s, flight.rates, flight.budgets = due_s, snapshot.rates, budgets
        return flight

    def decide_count(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], features: Features, request_id: str
    ) -> ChatFlight:
        """What would be decided of a prompt that is only to be counted, were it asked. Nothing is written down."""
        snapshot = self.snapshot
        asked = msgspec.structs.replace(features, operation="chat")
        plan, situation = self.plan(asked, snapshot, {})
        return self._chat_flight(request_id, codec, envelope, headers, asked, plan, situation.now_ms, snapshot)

    def _chat_flight(
        self,
        request_id: str,
        codec: Codec,
        envelope: Envelope,
        headers: Mapping[str, str],
        features: Features,
        plan: Plan,
        now_ms: int,
        snapshot: Snapshot,
    ) -> ChatFlight:
        return ChatFlight(
            request_id=request_id,
            headers=headers,
            features=features,
            plan=plan,
            policy_version=snapshot.policy.version,
            reaches=snapshot.reaches,
            codec=codec,
            envelope=envelope,
            asked=Asked(
                model=envelope.model,
                stream_usage=envelope.stream_usage,
                reply_id=request_id,
                now_s=now_ms // 1000,
                prompt_tokens=features.prompt_tokens,
                top=envelope.top,
                spent_ns=self._stopwatch() if envelope.format == "ollama" else None,
            ),
        )

    def _stopwatch(self) -> Callable[[], int]:
        """Nanoseconds from now on."""
        now, since_s = self._now, self._now()
        return lambda: int((now() - since_s) * 1_000_000_000)

    async def decide_embeddings(
        self, envelope: EmbeddingsEnvelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> Flight:
        """The flight of an embeddings request, decided and written to the ledger."""
        snapshot, due_s = self.snapshot, self._due(headers, streams=False)
        tokenizer = tokenizer_of(snapshot.policy, envelope.model)
        tokens = self._counting.at_hand(tokenizer, len(envelope.body)) or await self._counting.load(tokenizer)
        features = gather_embeddings(
            envelope.model,
            envelope.texts,
            caller,
            headers,
            tokens.count,
            self._labelled(snapshot, caller, headers, snapshot.detectors.read_json(envelope.body, envelope.texts)),
            exact=tokenizer is not None,
            ceiling=snapshot.policy.server_ceiling,
            token_inputs=max(map(len, envelope.token_arrays), default=0),
            top=envelope.top,
        )
        flight = self._single_flight(request_id, features, headers, snapshot, due_s)
        flight.is_bulk = envelope.inputs > 1
        return flight

    async def decide_single(
        self, operation: SingleOperation, envelope: SingleEnvelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> Flight:
        """The flight of another single-shot request, decided and written to the ledger."""
        snapshot, due_s = self.snapshot, self._due(headers, streams=envelope.stream)
        tokenizer = tokenizer_of(snapshot.policy, envelope.model)
        tokens = self._counting.at_hand(tokenizer, sum(map(len, envelope.texts))) or await self._counting.load(tokenizer)
        features = gather_single(
            operation,
            envelope,
            caller,
            headers,
            tokens.count,
            self._labelled(snapshot, caller, headers, look_through(snapshot.detectors, envelope)),
            exact=tokenizer is not None,
            ceiling=snapshot.policy.server_ceiling,
        )
        return self._single_flight(request_id, features, headers, snapshot, due_s)

    def _single_flight(
        self, request_id: str, features: Features, headers: Mapping[str, str], snapshot: Snapshot, due_s: float | None
    ) -> Flight:
        """Decided, and written to the ledger."""
        plan, _, budgets = self._decided(request_id, features, snapshot)
        flight = Flight(
            request_id=request_id,
            headers=headers,
            features=features,
            plan=plan,
            policy_version=snapshot.policy.version,
            reaches=snapshot.reaches,
        )
        flight.deadline_s, flight.rates, flight.budgets = due_s, snapshot.rates, budgets
        return flight

    def _labelled(self, snapshot: Snapshot, caller: Caller, headers: Mapping[str, str], spots: tuple[Spot, ...]) -> Labelled:
        """The label of a request whose body is one piece."""
        return label_request(snapshot.detectors, caller, headers, as_findings(spots, 0))

    def _due(self, headers: Mapping[str, str], *, streams: bool) -> float | None:
        """When the client wants the whole answer, on the monotonic clock; None: it does not say."""
        timeout_s = timeout_of(headers, streams=streams)
        return None if timeout_s is None else self._now() + timeout_s

    def _decided(self, request_id: str, features: Features, snapshot: Snapshot) -> tuple[Plan, int, Sequence[BudgetLine]]:
        """The plan, when it was made, and the budgets that the request is held to."""
        plan, situation, budgets = self._planned(features, snapshot)
        self._ledger.decided(decision_record(request_id, snapshot.policy, features, situation, plan))
        return plan, situation.now_ms, budgets

    def _planned(self, features: Features, snapshot: Snapshot) -> tuple[Plan, Situation, Sequence[BudgetLine]]:
        table = snapshot.budgets
        budgets = () if table is None else table.matching(features)
        over = self._budgets.over(table, budgets, features) if table is not None and budgets else {}
        return (*self.plan(features, snapshot, over), budgets)

    async def _leave_out(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], caller: Caller, features: Features, snapshot: Snapshot
    ) -> Left | None:
        """What redaction leaves of a refused request; None: it would be refused just so."""
        tokenizer = tokenizer_of(snapshot.policy, envelope.model)
        tokens = self._counting.at_hand(tokenizer, 0) or await self._counting.load(tokenizer)
        return leave_out(
            codec,
            envelope,
            features,
            snapshot.detectors,
            self._placeholder_key.get(),
            lambda left: self._gather(codec, left, headers, caller, tokens, snapshot, None),
        )

    async def features(
        self,
        codec: Codec,
        envelope: Envelope,
        headers: Mapping[str, str],
        caller: Caller,
        operation: str | None = None,
        *,
        snapshot: Snapshot | None = None,
        best_count: bool = False,
    ) -> Features:
        """What is known of the request. The first one that needs a vocabulary waits for it; `best_count` always does."""
        snapshot = snapshot or self.snapshot
        tokenizer = tokenizer_of(snapshot.policy, envelope.model)
        at_hand = self._counting.at_hand(tokenizer, math.inf if best_count else 0)
        tokens = at_hand or await self._counting.load(tokenizer)
        features = self._gather(codec, envelope, headers, caller, tokens, snapshot, operation)
        if self._counting.is_rough(tokens) and is_close(
            features.prompt_tokens, features.max_tokens or 0, chain(snapshot.windows, self._windows.values())
        ):
            tokens = await self._counting.load(tokenizer)
            features = self._gather(codec, envelope, headers, caller, tokens, snapshot, operation)
        return features

    def _gather(
        self,
        codec: Codec,
        envelope: Envelope,
        headers: Mapping[str, str],
        caller: Caller,
        tokens: Tokens,
        snapshot: Snapshot,
        operation: str | None,
    ) -> Features:
        describe = strictly(codec.describe)
        try:
            return gather(
                envelope,
                describe,
                caller,
                headers,
                tokens.cache,
                tokens.count,
                snapshot.detectors,
                ceiling=snapshot.policy.server_ceiling,
                exact=tokenizer_of(snapshot.policy, envelope.model) is not None,
                operation=operation,
            )
        except FaultError as error:
            raise with_place(error, envelope, describe) from None

    def plan(self, features: Features, snapshot: Snapshot, over: dict[str, OverBudget]) -> tuple[Plan, Situation]:
        """The decision, and the situation it was made in."""
        now_ms = self._wall_ms()
        situation = Situation(
            now_ms=now_ms,
            hour=self._hour_of(now_ms),
            seed=int.from_bytes(self._random_bytes(4), "big"),
            health=self._breakers.health(),
            down=dict(snapshot.reaches.down) if snapshot.reaches.down else {},
            windows=self._windows,
            sticky=None if features.session is None else self._sticky.get(features.caller, features.session, lane_of(features)),
            budgets=over,
        )
        return make_plan(features, snapshot.policy, situation), situation


def look_through(detectors: Detectors, envelope: SingleEnvelope) -> tuple[Spot, ...]:
    """What detectors find in a single-shot request: in all of its JSON, or in every text field of a form; no file is read."""
    if isinstance(envelope.sent, JsonBody):
        return detectors.read_json(envelope.sent.body, envelope.texts)
    return detectors.read_texts(envelope.sent.texts())


def tokenizer_of(policy: Policy, asked_model: str) -> str | None:
    """The vocabulary of the model this most likely means, where it is public; None: counts are estimates."""
    meant = policy.resolve(asked_model)
    tokenizer = meant[0].model.tokenizer if meant else None
    return tokenizer if tokenizer in EXACT else None


def decision_record(request_id: str, policy: Policy, features: Features, situation: Situation, plan: Plan) -> DecisionRecord:
    """The decision as it is written down."""
    return DecisionRecord(
        request_id=request_id,
        at_ms=situation.now_ms,
        policy_version=policy.version,
        features=features,
        situation=msgspec.Raw(_encode(situation)),
        rule=plan.rule,
        steps=tuple(PlannedStep(step.placed.id, step.reason, step.redacted) for step in plan.steps),
        rejected=plan.rejected,
    )
