"""The final row of a request, gathered while it runs and written exactly once, whatever happens to it."""

from freehold.dispatch.answer_cache import Kept
from freehold.dispatch.answers import Answer, StreamAnswer
from freehold.dispatch.attempt import Attempt
from freehold.dispatch.chat_attempt import warning_of
from freehold.dispatch.flight import ChatFlight, Flight
from freehold.fault import Fault, Kind, Source, faulty
from freehold.features import Caller, Features, Label
from freehold.identity.callers import NOBODY
from freehold.limits.rates import Admission
from freehold.record import AttemptRecord, CostBasis, Outcome, RequestRecord
from freehold.runtime import Egress
from freehold.server.context import Context
from freehold.server.idempotency.desk import Ending, GivenAgain, Held
from freehold.wire.statuses import status_of

CLOSE_S = 0.1
"""A deadline ends what it holds for a little early or late."""
_NOBODY = Caller(key=NOBODY, user=NOBODY)
"""Until somebody was identified: a request that is denied before belongs to no caller."""


class RequestRow:
    """What the final row will say."""

    __slots__ = (
        "_context",
        "_operation",
        "_wire_format",
        "admission",
        "agent",
        "answer",
        "at_ms",
        "caller",
        "chat",
        "fault",
        "features",
        "flight",
        "given_again",
        "held",
        "outcome",
        "replayed_from",
        "request_id",
        "started_s",
        "status",
    )

    def __init__(self, context: Context, operation: str, wire_format: str | None) -> None:
        self._context = context
        self._operation = operation
        self._wire_format = wire_format
        self.request_id = context.intake.new_request_id()
        self.at_ms = context.wall_ms()
        self.started_s = context.now()
        self.caller = _NOBODY
        self.agent: str | None = None
        """The client program, looked for where a request fails."""
        self.features: Features | None = None
        """What was known of a request that no decision was made for."""
        self.flight: Flight | None = None
        self.chat: ChatFlight | None = None
        """The flight once more, where it is a chat's."""
        self.answer: Answer | None = None
        self.admission: Admission | None = None
        """What it took of rates."""
        self.replayed_from: str | None = None
        """The request whose kept answer was given again."""
        self.held: Held | None = None
        """Its `Idempotency-Key`, where it has one and is served under it."""
        self.given_again: GivenAgain | None = None
        """What it was answered, where its key had an answer."""
        self.outcome: Outcome = "failed"
        self.status = 200
        self.fault: Fault | None = None

    def replayed(self, kept: Kept) -> None:
        """A kept answer went out; nobody was called."""
        self.replayed_from = kept.request_id
        self.outcome = "served"

    def repeated(self, given: GivenAgain) -> None:
        """The answer of an earlier request with the same `Idempotency-Key` went out; nobody was called."""
        self.given_again, self.replayed_from = given, given.request_id
        self.outcome, self.status = given.answer.outcome, given.answer.status
        if given.answer.fault is not None:
            self.fault = Fault(kind=given.answer.fault, message=_given_again(given))

    def ending(self) -> Ending:
        """How it ended, for who keeps what a repeat is answered."""
        attempts = self.flight.attempts if self.flight is not None else []
        was_paid = any(map(_may_be_billed, attempts))
        due_s = None if self.flight is None else self.flight.deadline_s
        was_late = due_s is not None and self._context.now() >= due_s - CLOSE_S
        # Where nothing was decided there was no plan to hold it, and it holds no more than a fault.
        ceiling = Egress.VENDOR if self.flight is None else self.flight.plan.ceiling
        return Ending(self.outcome, self.fault, was_paid=was_paid, was_late=was_late, ceiling=ceiling)

    def served(self) -> None:
        """The answer went out whole."""
        self.outcome = "served"

    def failed(self, fault: Fault) -> None:
        """The request ended in a fault before any content went out."""
        self.fault = fault
        self.status = status_of(fault, self._wire_format, self.agent)
        if fault.kind is Kind.CLIENT_GONE:
            self.outcome = "cancelled"
        else:
            self.outcome = "refused" if fault.meaning.source is Source.POLICY else "failed"

    def cut(self, fault: Fault) -> None:
        """The answer broke after its first content; the client was told by an error event."""
        self.fault = fault
        self.outcome = "cut"
        self.status = 200

    def told_late(self) -> None:
        """The head had gone out while the stream waited: the client saw 200, and the fault as an event."""
        self.status = 200

    def left(self) -> None:
        """The client left; the upstream is cancelled. It may have read all there was, and then nothing is missing."""
        if self.answer is not None and self.answer.cancel():
            self.served()
        else:
            self.failed(Fault(kind=Kind.CLIENT_GONE, message="the client closed the connection; the upstream was cancelled"))

    def stopped(self) -> Fault:
        """The server stops and the request did not end in time."""
        fault = Fault(kind=Kind.SHUTTING_DOWN, message="this server is stopping and the answer was not complete; ask again")
        self._give_up(fault)
        return fault

    def defect(self, error: Exception) -> Fault:
        """A defect of ours: log where it happened (never what was being said) and make it a fault."""
        self._context.log.defect("request.defect", error, request_id=self.request_id)
        fault = faulty(Kind.INTERNAL, f"a defect of Freehold; the log has it under {self.request_id}").fault
        self._give_up(fault)
        return fault

    def _give_up(self, fault: Fault) -> None:
        if self.answer is not None:
            self.answer.cancel(fault)
        if isinstance(self.answer, StreamAnswer):
            self.cut(fault)
        else:
            self.failed(fault)

    def write(self) -> None:
        """Hand the row to the ledger, and back to the rates what was not used."""
        if self.admission is not None:
            self.admission.end(self._tokens_used())
        self._context.ledger.finished(self._record())

    def _tokens_used(self) -> int | None:
        """By all attempts, in and out; None: one that was served did not tell, and nobody counts such tokens."""
        attempts = self.flight.attempts if self.flight is not None else []
        if any(attempt.usage is None and attempt.end in {"served", "cut"} for attempt in attempts):
            return None
        used = [attempt.usage for attempt in attempts if attempt.usage is not None]
        return sum(usage.input_tokens + usage.output_tokens for usage in used)

    def _record(self) -> RequestRecord:
        flight, answer, caller, fault = self.flight, self.answer, self.caller, self.fault
        duration_s = self._context.now() - self.started_s
        step = answer.attempt.step if answer is not None else None
        features = flight.features if flight is not None else self.features
        attempts = flight.attempts if flight is not None else []
        cost_nano_usd, cost_basis = _sum_costs(attempts) if self.replayed_from is None else (0, "free")
        return RequestRecord(
            request_id=self.request_id,
            at_ms=self.at_ms,
            operation=self._operation,
            wire_format=self._wire_format,
            caller_key=caller.key,
            caller_user=caller.user,
            caller_team=caller.team,
            session=features.session if features else None,
            agent=features.agent if features else None,
            asked_model=features.asked_model if features else "",
            task=features.task.value if features else "",
            label=(features.label if features else caller.label or Label.INTERNAL).value,
            stream=features.stream if features else False,
            policy_version=flight.policy_version if flight else self._context.intake.policy.version,
            outcome=self.outcome,
            status=self.status,
            fault=fault.kind.value if fault else None,
            fault_message=fault.recorded if fault else None,
            deployment=step.placed.id if step else None,
            runtime=step.placed.runtime.name if step else None,
            egress=step.placed.egress.value if step else None,
            reason=_told(answer.attempt) if answer is not None else self._reason_without_step(),
            attempts=len(attempts),
            prompt_tokens_counted=features.prompt_tokens if features else 0,
            usage=answer.attempt.usage if answer is not None else None,
            cost_nano_usd=cost_nano_usd,
            cost_basis=cost_basis,
            first_content_ms=(flight.first_content_s - self.started_s) * 1000 if flight and flight.first_content_s else None,
            duration_ms=duration_s * 1000,
            overhead_ms=(duration_s - flight.waited_s) * 1000 if flight else duration_s * 1000,
        )

    def _reason_without_step(self) -> str:
        if self.given_again is not None:
            return _given_again(self.given_again)
        if self.fault is not None:
            return self.fault.recorded
        if self.replayed_from is None or self.flight is None:
            return ""
        return f"rule '{self.flight.plan.rule}': from the response cache, as answered to {self.replayed_from}"


def _told(attempt: Attempt) -> str:
    """Why it was served there, and what its reader should know of the answer."""
    warning = warning_of(attempt)
    return f"{attempt.step.reason}; {warning}" if warning else attempt.step.reason


def _may_be_billed(attempt: AttemptRecord) -> bool:
    """No bill comes of hardware of one's own; one may come of what no price is known of."""
    return attempt.cost_nano_usd != 0 and attempt.cost_basis != "amortised" and attempt.egress != Egress.LOCAL


def _given_again(given: GivenAgain) -> str:
    return f"given again under its idempotency key, as answered to {given.request_id}"


def _sum_costs(attempts: list[AttemptRecord]) -> tuple[int | None, CostBasis]:
    """All attempts are paid for, the given-up ones too. One unknown cost makes the sum unknown, one estimate an estimate."""
    if len(attempts) == 1:
        return attempts[0].cost_nano_usd, attempts[0].cost_basis
    total = 0
    basis: CostBasis = "free"  # what nobody was asked for costs nothing
    for attempt in attempts:
        if attempt.cost_nano_usd is None:
            return None, "unknown"
        total += attempt.cost_nano_usd
        if attempt.cost_basis != "free" and basis != "estimated":
            basis = attempt.cost_basis
    return total, basis
