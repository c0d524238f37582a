"""Chat endpoints: one handler for every chat wire format. Parse, decide, do, record."""

from collections.abc import Mapping

from freehold.dispatch.answer_cache import Copy, replay
from freehold.dispatch.answers import Answer, StreamAnswer
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.runner import Dispatch
from freehold.fault import Fault, FaultError
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders, stream_headers
from freehold.server.endpoints.recorded import RecordedEndpoint, decision_headers
from freehold.server.faults import JSON_HEADER, id_headers
from freehold.server.rows import RequestRow
from freehold.wire.codec import Codec, Envelope


class ChatEndpoint(RecordedEndpoint):
    """Serves one wire format."""

    def __init__(self, context: Context, dispatch: Dispatch, codec: Codec, operation: str = "chat") -> None:
        super().__init__(context, operation, codec.FORMAT, codec)
        self._dispatch = dispatch
        self._codec = codec

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers, "chat")
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = self._codec.peek(body)
        if await self._answer_here(conversation, envelope, row):
            return
        row.flight = row.chat = flight = await context.intake.decide(self._codec, envelope, headers, caller, row.request_id)
        context.loops.admit(flight.features, envelope)
        if flight.rates is not None:
            await self._hold_to_rates(conversation, flight, row)
        place = context.answers.place(flight) if flight.plan.cache is not None else None
        if place is not None and (kept := context.answers.find(place, flight)) is not None:
            again = replay(kept, flight)
            if again is not None:
                await self._replay(conversation, flight, again)
                row.replayed(kept)
                return
        copy = Copy(context.answers, place, flight) if place is not None else None
        conversation.watch(self._waiting_headers(row) if envelope.stream else None, self._codec.KEEP_ALIVE)
        row.answer = answer = await self._run(flight)
        conversation.content_begins()
        if isinstance(answer, StreamAnswer):
            await self._stream(conversation, flight, answer, row, copy)
        else:
            await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], answer.body)
            row.served()
            if copy is not None:
                copy.take(answer.body)
        if copy is not None and row.outcome == "served":
            copy.keep(answer)

    async def _run(self, flight: ChatFlight) -> Answer:
        """The answer. An overflow too many is told as the end of a loop: clients shorten on the one and stop on the other."""
        overflows = self._context.loops.overflows
        try:
            answer = await self._dispatch.run(flight)
        except FaultError as error:
            told = overflows.tell(error.fault, flight.features, flight.headers)
            if told is error.fault:
                raise
            raise FaultError(told) from error
        overflows.fits(flight.features, flight.headers)
        return answer

    async def _replay(self, conversation: Conversation, flight: ChatFlight, body: bytes) -> None:
        """A kept answer, streamed or whole as it is asked for now; nobody is called."""
        said: RawHeaders = [*id_headers(flight.request_id), (b"x-freehold-cache", b"hit")]
        if flight.envelope.stream:
            await conversation.send_head(200, [*stream_headers(self._codec.STREAM_TYPE), *said])
            await conversation.send_body(body)
        else:
            await conversation.send_whole(200, [JSON_HEADER, *said], body)

    async def _answer_here(
        self,
        conversation: Conversation,  # noqa: ARG002 - for formats with requests that need no model
        envelope: Envelope,  # noqa: ARG002 - as above
        row: RequestRow,  # noqa: ARG002 - as above
    ) -> bool:
        """Whether the request needed no model and was answered."""
        return False

    def _waiting_headers(self, row: RequestRow) -> RawHeaders:
        return [*stream_headers(self._codec.STREAM_TYPE), *id_headers(row.request_id)]

    async def _stream(
        self, conversation: Conversation, flight: ChatFlight, answer: StreamAnswer, row: RequestRow, copy: Copy | None
    ) -> None:
        if not conversation.head_is_sent:
            await conversation.send_head(200, [*stream_headers(self._codec.STREAM_TYPE), *decision_headers(flight, answer)])
        await conversation.send_body(answer.body, more=True)
        if copy is not None:
            copy.take(answer.body)
        while data := await answer.more():
            if copy is not None:
                copy.take(data)
            room = conversation.write_piece(data)
            if room is not None:
                await room
        if answer.fault is None:
            row.served()
        else:
            row.cut(answer.fault)
        await conversation.send_body(b"")

    async def _tell_late(self, conversation: Conversation, row: RequestRow, fault: Fault) -> None:
        """The head went out while the stream waited, so the fault becomes an event in it."""
        if row.chat is not None:
            row.told_late()
            await conversation.send_body(self._codec.writer(row.chat.asked).fault(fault))
