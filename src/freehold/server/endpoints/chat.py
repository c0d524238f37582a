"""Chat endpoints: one handler for every chat wire format. Parse, decide, do, record."""

from collections.abc import Mapping

from freehold.dispatch.answers import StreamAnswer
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.runner import Dispatch
from freehold.fault import Fault
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders, stream_headers
from freehold.server.endpoints.recorded import RecordedEndpoint, decision_headers
from freehold.server.faults import JSON_HEADER
from freehold.server.rows import RequestRow
from freehold.wire.codec import Codec


class ChatEndpoint(RecordedEndpoint):
    """Serves one wire format."""

    def __init__(self, context: Context, dispatch: Dispatch, codec: Codec, operation: str = "chat") -> None:
        super().__init__(context, operation, codec.FORMAT, codec)
        self._dispatch = dispatch
        self._codec = codec

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers)
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = self._codec.peek(body)
        row.flight = row.chat = flight = await context.intake.decide(self._codec, envelope, headers, caller, row.request_id)
        conversation.watch(self._waiting_headers(row) if envelope.stream else None, self._codec.KEEP_ALIVE)
        row.answer = answer = await self._dispatch.run(flight)
        conversation.content_begins()
        if isinstance(answer, StreamAnswer):
            await self._stream(conversation, flight, answer, row)
        else:
            await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], answer.body)
            row.served()

    def _waiting_headers(self, row: RequestRow) -> RawHeaders:
        return [*stream_headers(self._codec.STREAM_TYPE), (b"x-freehold-request-id", row.request_id.encode())]

    async def _stream(self, conversation: Conversation, flight: ChatFlight, answer: StreamAnswer, row: RequestRow) -> None:
        if not conversation.head_is_sent:
            await conversation.send_head(200, [*stream_headers(self._codec.STREAM_TYPE), *decision_headers(flight, answer)])
        await conversation.send_body(answer.body, more=True)
        while data := await answer.more():
            await conversation.send_body(data, more=True)
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
