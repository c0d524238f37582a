"""A line of a batch as a vendor's own Batch API is to be sent it, and what its answer there comes to.

Promised: the body is what a relay of this very line would send, with the same named edits; all that it can cost at the batch
price is reserved before anybody may send it, until long after the vendor must have ended; a line that could not go as a relay, or
that asks for what only a call of its own can give, is none of these. What comes back is read as a relay reads it. Not done:
sending, waiting, keeping (`server.batches`).
"""

from abc import abstractmethod
from collections.abc import Mapping

import msgspec

from freehold.chat import Usage
from freehold.costs.batch_price import at_batch_price
from freehold.costs.price import price
from freehold.dispatch.attempt import Attempt, Means
from freehold.dispatch.chat_attempt import ChatAttempt
from freehold.dispatch.flight import ChatFlight, Flight
from freehold.dispatch.paying import must_reserve, reserve_for_chat, reserve_for_single
from freehold.dispatch.reported import believed, shown
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.limits.budgets import Held
from freehold.record import AttemptEnd, AttemptRecord
from freehold.routing.plan import Step
from freehold.runtime import Placed, Vendor
from freehold.wire import embeddings
from freehold.wire.codec import Asked, Codec, EditName, Tap
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.openai_faults import read_fault

NOT_SENT = "not_sent"
"""How a vendor's batch ended that was never made there."""
_NULLS = frozenset({b"null", b"false"})


class Written(msgspec.Struct, frozen=True):
    """A line that may be handed on."""

    body: bytes
    placed: Placed
    """Where, at the price of batches there."""
    reason: str
    attempt: AttemptRecord
    """As it stands before it was sent."""
    held: Held | None
    """What is reserved for it; None: nothing had to be."""


class _Unsent(Attempt):
    """Writes and reserves; it is never sent by itself, and leaves no record."""

    @abstractmethod
    async def written(self, lease_s: float) -> tuple[bytes, tuple[EditName, ...]]:
        """The body, reserved for. Raises FaultError."""

    def let_go(self) -> None:
        """What an attempt takes of its runtime while it is under way."""
        self.means.shares.end(self.step.placed.runtime, self._share_mark, self.means.now())


class _Chat(_Unsent, ChatAttempt):
    async def written(self, lease_s: float) -> tuple[bytes, tuple[EditName, ...]]:
        body, edits = self._body(None)
        if self.flight.budgets and must_reserve(self):
            longest = await reserve_for_chat(self, body, self._answer_ceiling(), lease_s=lease_s, may_shorten=False)
            if longest is not None:
                body, edits = self._body(longest)
                self.tap.edits.add("max_tokens_for_budget")
        return body, edits


class _Embeddings(_Unsent):
    def __init__(self, means: Means, flight: Flight, step: Step, envelope: EmbeddingsEnvelope) -> None:
        super().__init__(means, flight, step, is_relay=True, streams=False)
        self._envelope = envelope

    async def written(self, lease_s: float) -> tuple[bytes, tuple[EditName, ...]]:
        body, edits = embeddings.relay_request(self._envelope, self.step.placed.deployment.served_as)
        if self.flight.budgets and must_reserve(self):
            await reserve_for_single(self, body, len(body), lease_s=lease_s)
        return body, edits


def batch_step(flight: Flight, at_ms: int) -> Step | None:
    """The plan's first step, at the price of batches, where the line may be handed on there; None: it is asked by itself."""
    plan, features = flight.plan, flight.features
    if plan.refusal is not None or not plan.steps or plan.cache is not None:
        return None
    step = plan.steps[0]
    if plan.escalate is not None and any(other.placed is not step.placed for other in plan.escalate.steps):
        return None  # its answer is to be judged, and may move on
    runtime = step.placed.runtime
    spoken = flight.codec.FORMAT if isinstance(flight, ChatFlight) else "openai_chat"
    if not isinstance(runtime, Vendor) or not runtime.batch_api or spoken not in runtime.formats:
        return None
    if features.dearer or flight.deadline_s is not None:
        return None
    if isinstance(flight, ChatFlight) and (flight.placeholders is not None or _goes_on(flight)):
        return None
    if flight.rates is not None and _is_rated(flight, step.placed):
        return None
    placed = at_batch_price(step.placed, at_ms)
    return None if placed is None else msgspec.structs.replace(step, placed=placed)


def _goes_on(flight: ChatFlight) -> bool:
    """It asks a vendor to go on in the background, which a line of a batch does anyway."""
    said: Mapping[str, msgspec.Raw] = flight.envelope.top
    return "background" in said and bytes(said["background"]).strip() not in _NULLS


def _is_rated(flight: Flight, placed: Placed) -> bool:
    """Whether a rate holds for it: its calls are counted one by one."""
    assert flight.rates is not None
    lines = (*flight.rates.of_requests, *flight.rates.of_attempts(placed.id))
    return any(line.holds_for(flight.features, is_background=True) for line in lines)


async def write_for_batch(
    means: Means, flight: Flight, step: Step, lease_s: float, envelope: EmbeddingsEnvelope | None = None
) -> Written | None:
    """The line as it is handed on, and all it can cost reserved for so long; None: it could not go as a relay.

    `envelope`: of a flight that is no chat. Raises FaultError where it cannot be written, or no budget pays for it now: nothing
    is waited for.
    """
    attempt: _Unsent
    if isinstance(flight, ChatFlight):
        attempt = _Chat(means, flight, step, "none")
    else:
        assert envelope is not None
        attempt = _Embeddings(means, flight, step, envelope)
    try:
        if not attempt.is_relay or attempt.streams:
            return None
        flight.step_ends_s = means.now()
        body, edits = await attempt.written(lease_s)
    finally:
        attempt.let_go()
    placed = step.placed
    record = AttemptRecord(
        attempt_id=f"{flight.request_id}.{attempt.number}",
        request_id=flight.request_id,
        number=attempt.number,
        deployment=placed.id,
        runtime=placed.runtime.name,
        egress=placed.egress.value,
        sent_model=placed.deployment.served_as,
        answered_model=None,
        mode="relay",
        edits=tuple(sorted({*attempt.tap.edits, *edits})),
        started_ms=attempt.started_ms,
        first_content_ms=None,
        duration_ms=0.0,
        end="fault",
        price_version=placed.price_version,
        sent_bytes=len(body),
    )
    return Written(body, placed, step.reason, record, attempt.held)


def read_answer(codec: Codec | None, status: int, body: bytes, asked: Asked, vectors: int) -> tuple[bytes, Tap]:
    """What the client is given, and what that reports. `codec`: None for embeddings, of which so many are due.

    Raises FaultError where it is an error, or no answer.
    """
    if status != 200:
        raise FaultError(read_fault(status, {}, body))
    if codec is not None:
        return codec.relay_whole(body, asked)
    out, shown_of = embeddings.relay_reply(body, asked.model)
    if shown_of.vectors != vectors:
        raise faulty(Kind.INVALID_REPLY, f"the vendor gave {shown_of.vectors} vectors for {vectors} inputs")
    tap = Tap()
    tap.edits.update(shown_of.edits)
    tap.answered_model = shown_of.answered_model
    if shown_of.prompt_tokens is not None:
        tap.usage = Usage(input_tokens=shown_of.prompt_tokens, output_tokens=0, basis="reported")
    return out, tap


def ended(
    begun: AttemptRecord, placed: Placed, now_ms: int, *, status: int | None, tap: Tap | None = None, fault: Fault | None = None
) -> AttemptRecord:
    """The attempt's record, once it is known how it ended. `placed` has the price of batches."""
    how: AttemptEnd = "served" if fault is None else "fault"
    usage: Usage | None = believed(tap.usage) if tap is not None else None
    duration_ms = float(max(now_ms - begun.started_ms, 0))
    cost_nano_usd, basis = price(usage, placed, duration_ms / 1000, begun.started_ms)
    return msgspec.structs.replace(
        begun,
        answered_model=shown(tap.answered_model) if tap is not None else None,
        fingerprint=shown(tap.fingerprint) if tap is not None else None,
        edits=begun.edits if tap is None else tuple(sorted({*begun.edits, *tap.edits})),
        duration_ms=duration_ms,
        end=how,
        status=status,
        fault=None if fault is None else fault.kind.value,
        fault_message=None if fault is None else fault.recorded,
        usage=usage,
        cost_nano_usd=cost_nano_usd,
        cost_basis=basis,
    )


def free_of_charge(record: AttemptRecord) -> AttemptRecord:
    """It was not asked, or turned down: vendors charge for neither."""
    return msgspec.structs.replace(record, cost_nano_usd=0, cost_basis="metered", usage=None)


def never_sent(record: AttemptRecord) -> AttemptRecord:
    """Nothing of it left this machine."""
    return msgspec.structs.replace(free_of_charge(record), sent_bytes=None)


def not_answered(status: str | None) -> FaultError:
    """The vendor's batch ended without an answer to a line. `status`: how; None: nobody can say."""
    if status == NOT_SENT:
        said = "was not made"
    else:
        said = "was lost there" if status is None else f"ended there ({status}) without an answer to this line"
    return FaultError(Fault(kind=Kind.UPSTREAM_ERROR, message=f"the vendor's batch {said}"))
