"""Single-shot endpoints beside embeddings: images, audio, moderations, rerank. One handler for all of them."""

from collections.abc import Mapping

from freehold.dispatch.single_attempt import SingleStream
from freehold.dispatch.singles import Singles
from freehold.server.access import right_of
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.endpoints.recorded import RecordedEndpoint, decision_headers
from freehold.server.rows import RequestRow
from freehold.wire.formats import CODECS
from freehold.wire.singles import SingleShot

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
"""What a model made is what its content type says, never a page."""


class SingleEndpoint(RecordedEndpoint):
    """Serves one operation at one path; the final row is written whatever happens."""

    def __init__(self, context: Context, singles: Singles, shot: SingleShot) -> None:
        super().__init__(context, shot.operation, None, CODECS["openai_chat"])
        self._singles = singles
        self._shot = shot

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context, shot = self._context, self._shot
        context.admit()
        row.caller = caller = context.intake.identify(headers, right_of(shot.operation))
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = shot.peek(body, headers.get("content-type", ""))
        row.flight = flight = await context.intake.decide_single(shot.operation, envelope, headers, caller, row.request_id)
        if flight.rates is not None:
            await self._hold_to_rates(conversation, flight, row)
        conversation.watch(None)
        row.answer = answer = await self._singles.relay(flight, shot, envelope)
        answer.take()
        said: RawHeaders = [(b"content-type", answer.content_type.encode()), _NO_SNIFFING, *decision_headers(flight, answer)]
        if isinstance(answer, SingleStream):
            await self._stream(conversation, said, answer, row)
        else:
            await conversation.send_whole(200, said, answer.body)
            row.served()

    async def _stream(self, conversation: Conversation, said: RawHeaders, answer: SingleStream, row: RequestRow) -> None:
        await conversation.send_head(200, [*said, (b"cache-control", b"no-cache")])
        await conversation.send_body(answer.body, more=True)
        while data := await answer.more():
            await conversation.send_body(data, more=True)
        if answer.fault is None:
            row.served()
        else:
            row.cut(answer.fault)
            if not answer.tells_breaks:
                return  # the response stays without its end, so that nobody takes half an answer for a whole one
        await conversation.send_body(b"")
