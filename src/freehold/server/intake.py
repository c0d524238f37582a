"""From headers and body to a decision: caller, envelope, features, situation, plan. No call is made here.

`freehold explain --request` runs exactly this, so that a dry run shows what a real request would do.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

from freehold.dispatch.flight import ChatFlight, Flight
from freehold.dispatch.reach import Reaches
from freehold.features import Caller, Features
from freehold.fit.tokens import EXACT
from freehold.identity.callers import KeyTable, identify
from freehold.ledger import Ledger
from freehold.ledger.ids import RANDOM_BYTES, new_id
from freehold.limits.breaker import Breakers
from freehold.policy.snapshot import Policy
from freehold.record import DecisionRecord, PlannedStep
from freehold.routing.features import gather, gather_embeddings
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Situation
from freehold.server.counting import Counting
from freehold.sessions.sticky import Sticky
from freehold.wire.codec import Asked, Codec, Envelope
from freehold.wire.embeddings import EmbeddingsEnvelope

_encode = msgspec.json.Encoder().encode


class Intake:
    """Everything a decision looks at, and the decision."""

    def __init__(
        self,
        *,
        policy: Policy,
        keys: KeyTable | None,
        counting: Counting,
        breakers: Breakers,
        reaches: Reaches,
        sticky: Sticky,
        ledger: Ledger,
        now: Callable[[], float],
        wall_ms: Callable[[], int],
        hour_of: Callable[[int], int],
        random_bytes: Callable[[int], bytes],
        windows: dict[str, int],
    ) -> None:
        self.policy = policy
        self._keys = keys
        self._counting = counting
        self._breakers = breakers
        self._reaches = reaches
        self._sticky = sticky
        self._ledger = ledger
        self._now = now
        self._wall_ms = wall_ms
        self._hour_of = hour_of
        self._random_bytes = random_bytes
        self._windows = windows

    def new_request_id(self) -> str:
        """A fresh id, sortable by time."""
        return new_id("req_", self._wall_ms(), self._random_bytes(RANDOM_BYTES))

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """The caller. Raises FaultError(UNAUTHENTICATED)."""
        return identify(headers, self._keys)

    async def decide(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> ChatFlight:
        """The flight of a chat request, decided and written to the ledger."""
        features = await self.features(codec, envelope, headers, caller)
        plan, at_ms = self._decided(request_id, features)
        return ChatFlight(
            request_id=request_id,
            headers=headers,
            features=features,
            plan=plan,
            codec=codec,
            envelope=envelope,
            asked=Asked(
                model=envelope.model,
                stream_usage=envelope.stream_usage,
                reply_id=request_id,
                now_s=at_ms // 1000,
                prompt_tokens=features.prompt_tokens,
            ),
        )

    async def decide_embeddings(
        self, envelope: EmbeddingsEnvelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> Flight:
        """The flight of an embeddings request, decided and written to the ledger."""
        tokenizer = tokenizer_of(self.policy, envelope.model)
        tokens = self._counting.at_hand(tokenizer, len(envelope.body)) or await self._counting.load(tokenizer)
        features = gather_embeddings(
            envelope.model,
            envelope.texts,
            caller,
            headers,
            tokens.count,
            exact=tokenizer is not None,
            ceiling=self.policy.server_ceiling,
            token_inputs=max(map(len, envelope.token_arrays), default=0),
        )
        plan, _ = self._decided(request_id, features)
        return Flight(request_id=request_id, headers=headers, features=features, plan=plan)

    def _decided(self, request_id: str, features: Features) -> tuple[Plan, int]:
        plan, situation = self.plan(features)
        self._ledger.decided(decision_record(request_id, self.policy, features, situation, plan))
        return plan, situation.now_ms

    async def features(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], caller: Caller, operation: str = "chat"
    ) -> Features:
        """What is known of the request. The first one that needs a vocabulary waits for it."""
        tokenizer = tokenizer_of(self.policy, envelope.model)
        # Who asks for a count alone gets the best there is; a client's context bar hangs on it.
        size_bytes = math.inf if operation == "count_tokens" else len(envelope.body)
        tokens = self._counting.at_hand(tokenizer, size_bytes) or await self._counting.load(tokenizer)
        return gather(
            envelope,
            codec.describe,
            caller,
            headers,
            tokens.cache,
            tokens.count,
            ceiling=self.policy.server_ceiling,
            exact=tokenizer is not None,
            operation=operation,
        )

    def plan(self, features: Features) -> tuple[Plan, Situation]:
        """The decision, and the situation it was made in."""
        now_ms = self._wall_ms()
        situation = Situation(
            now_ms=now_ms,
            hour=self._hour_of(now_ms),
            seed=int.from_bytes(self._random_bytes(4), "big"),
            health=self._breakers.health(),
            down=dict(self._reaches.down) if self._reaches.down else {},
            windows=self._windows,
            sticky=self._sticky.get(features.caller, features.session),
        )
        return make_plan(features, self.policy, situation), situation


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
        steps=tuple(PlannedStep(step.placed.id, step.reason) for step in plan.steps),
        rejected=plan.rejected,
    )
