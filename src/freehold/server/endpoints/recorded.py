"""What every endpoint that is recorded shares: however a request ends, its final row is written, exactly once.

And: a request with an `Idempotency-Key` is served once (`server.idempotency`), whichever of these endpoints serves it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from freehold.chat import WireFormat
from freehold.dispatch.answers import Answer
from freehold.dispatch.chat_attempt import warning_of
from freehold.dispatch.flight import Flight
from freehold.fault import Fault, FaultError, Kind
from freehold.routing.agents import agent_of
from freehold.server.access import right_at
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.faults import FaultWriter, id_headers, send_fault
from freehold.server.idempotency.asked import HEADER as IDEMPOTENCY_KEY
from freehold.server.idempotency.desk import GivenAgain
from freehold.server.idempotency.serving import give_again, take_key
from freehold.server.rating import show_admission
from freehold.server.rows import RequestRow
from freehold.wire.statuses import status_of


class RecordedEndpoint(ABC):
    """Answers requests of one operation; `_serve` does the work and raises FaultError."""

    can_cost = True
    """Somebody may have to be paid for an answer: an `Idempotency-Key` counts."""

    def __init__(self, context: Context, operation: str, wire_format: WireFormat | None, speller: FaultWriter) -> None:
        self._context = context
        self._operation = operation
        self._wire_format = wire_format
        self._speller = speller

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Answer one request."""
        row = RequestRow(self._context, self._operation, self._wire_format)
        try:
            if IDEMPOTENCY_KEY in headers and self.can_cost:
                await self._serve_once(conversation, headers, row)
            else:
                await self._serve(conversation, headers, row)
        except FaultError as error:
            row.agent = agent_of(headers)
            row.failed(error.fault)
            await self._tell(conversation, row, error.fault)
        except asyncio.CancelledError:
            if conversation.client_is_gone:
                row.left()
            else:
                await self._tell(conversation, row, row.stopped())
        except Exception as error:  # noqa: BLE001 - the last resort: a defect of ours ends this request only
            await self._tell(conversation, row, row.defect(error))
        finally:
            conversation.stop_watching()
            row.write()
            if row.held is not None:
                self._context.idempotency.end(row.held, row.ending())

    async def _serve_once(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        """Serve the first request with this key; give any other one the same answer."""
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers, right_at(conversation.path))
        found = await take_key(context, conversation, headers, caller, row.request_id)
        if isinstance(found, GivenAgain):
            row.repeated(found)
            await give_again(conversation, found, row.request_id)
        else:
            row.held = found
            await self._serve(conversation, headers, row)

    @abstractmethod
    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        """Parse, decide, do; what becomes known goes on the row."""

    async def _hold_to_rates(self, conversation: Conversation, flight: Flight, row: RequestRow) -> None:
        """Take what the rates of who asks ask for, and tell the client how they stand. Raises FaultError(RATE_EXCEEDED)."""
        assert flight.rates is not None
        asked = self._context.rates.admit(
            flight.rates.of_requests, flight.features, flight.request_id, is_background=flight.is_background
        )
        is_anthropic = self._wire_format == "anthropic_messages"
        row.admission = await show_admission(self._context, conversation, asked, is_anthropic=is_anthropic)

    async def _tell(self, conversation: Conversation, row: RequestRow, fault: Fault) -> None:
        if conversation.client_is_gone or fault.kind is Kind.CLIENT_GONE:
            return
        conversation.answer_is_decided()
        if conversation.head_is_sent:
            await self._tell_late(conversation, row, fault)
        else:
            status = status_of(fault, self._wire_format, row.agent)
            await send_fault(conversation, self._speller, fault, row.request_id, status=status)

    async def _tell_late(  # noqa: B027 - only streams can tell anything
        self, conversation: Conversation, row: RequestRow, fault: Fault
    ) -> None:
        """The head went out already; a whole answer has no place left for a fault."""


def decision_headers(flight: Flight, answer: Answer) -> RawHeaders:
    """What was decided, for whoever reads headers."""
    step = answer.attempt.step
    warning = warning_of(answer.attempt)
    return [
        *id_headers(flight.request_id),
        (b"x-freehold-runtime", header_value(step.placed.runtime.name)),
        (b"x-freehold-deployment", header_value(step.placed.id)),
        (b"x-freehold-egress", step.placed.egress.value.encode()),
        (b"x-freehold-reason", header_value(step.reason)),
        *([(b"x-freehold-warning", header_value(warning))] if warning else ()),
    ]


def header_value(text: str) -> bytes:
    """Text as a header may hold it: what is not printable ASCII becomes `?`."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text).encode()
