"""`POST /v1/embeddings`."""

from collections.abc import Mapping

from freehold.dispatch.singles import Singles
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.endpoints.recorded import RecordedEndpoint, decision_headers
from freehold.server.faults import JSON_HEADER
from freehold.server.rows import RequestRow
from freehold.wire import embeddings
from freehold.wire.formats import CODECS


class EmbeddingsEndpoint(RecordedEndpoint):
    """Answers embeddings requests; the final row is written whatever happens."""

    def __init__(self, context: Context, singles: Singles) -> None:
        super().__init__(context, "embeddings", None, CODECS["openai_chat"])
        self._singles = singles

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers, "embeddings")
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = embeddings.peek(body)
        row.flight = flight = await context.intake.decide_embeddings(envelope, headers, caller, row.request_id)
        if flight.rates is not None:
            await self._hold_to_rates(conversation, flight, row)
        conversation.watch(None)
        row.answer = answer = await self._singles.embed(flight, envelope)
        answer.take()
        await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], answer.body)
        row.served()
