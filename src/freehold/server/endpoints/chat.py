"""Chat endpoints: one handler for every chat wire format. Parse, decide, do, record."""

import asyncio
from collections.abc import Mapping

from freehold.dispatch.answers import Answer, StreamAnswer
from freehold.dispatch.flight import ChatFlight, Flight
from freehold.dispatch.runner import Dispatch
from freehold.fault import Fault, FaultError, Kind
from freehold.server.context import Context
from freehold.server.delivery import STREAM_HEADERS, Conversation, RawHeaders
from freehold.server.faults import JSON_HEADER, send_fault
from freehold.server.rows import RequestRow
from freehold.wire.codec import Codec


class ChatEndpoint:
    """Serves one wire format."""

    def __init__(self, context: Context, dispatch: Dispatch, codec: Codec) -> None:
        self._context = context
        self._dispatch = dispatch
        self._codec = codec

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Answer one request; its final row is written whatever happens."""
        row = RequestRow(self._context, "chat", self._codec.FORMAT)
        try:
            await self._serve(conversation, headers, row)
        except FaultError as error:
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

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers)
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = self._codec.peek(body)
        row.flight = row.chat = flight = await context.intake.decide(self._codec, envelope, headers, caller, row.request_id)
        conversation.watch([(b"x-freehold-request-id", row.request_id.encode())] if envelope.stream else None)
        row.answer = answer = await self._dispatch.run(flight)
        conversation.content_begins()
        if isinstance(answer, StreamAnswer):
            await self._stream(conversation, flight, answer, row)
        else:
            await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], answer.body)
            row.served()

    async def _stream(self, conversation: Conversation, flight: ChatFlight, answer: StreamAnswer, row: RequestRow) -> None:
        if not conversation.head_is_sent:
            await conversation.send_head(200, [*STREAM_HEADERS, *decision_headers(flight, answer)])
        await conversation.send_body(answer.body, more=True)
        while data := await answer.more():
            await conversation.send_body(data, more=True)
        if answer.fault is None:
            row.served()
        else:
            row.cut(answer.fault)
        await conversation.send_body(b"")

    async def _tell(self, conversation: Conversation, row: RequestRow, fault: Fault) -> None:
        if conversation.client_is_gone or fault.kind is Kind.CLIENT_GONE:
            return
        conversation.answer_is_decided()
        if not conversation.head_is_sent:
            await send_fault(conversation, self._codec, fault, row.request_id)
        elif row.chat is not None:
            # The head went out while the stream waited, so the fault becomes an event in it.
            row.told_late()
            await conversation.send_body(self._codec.writer(row.chat.asked).fault(fault))


def decision_headers(flight: Flight, answer: Answer) -> RawHeaders:
    """What was decided, for whoever reads headers."""
    step = answer.attempt.step
    request_id = flight.request_id.encode()
    return [
        (b"x-freehold-request-id", request_id),
        (b"request-id", request_id),
        (b"x-freehold-runtime", header_value(step.placed.runtime.name)),
        (b"x-freehold-deployment", header_value(step.placed.id)),
        (b"x-freehold-egress", step.placed.egress.value.encode()),
        (b"x-freehold-reason", header_value(step.reason)),
    ]


def header_value(text: str) -> bytes:
    """Text as a header may hold it: what is not printable ASCII becomes `?`."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text).encode()
