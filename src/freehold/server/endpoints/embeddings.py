"""`POST /v1/embeddings`."""

import asyncio
from collections.abc import Mapping

from freehold.dispatch.singles import Singles
from freehold.fault import Fault, FaultError, Kind
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.endpoints.chat import decision_headers
from freehold.server.faults import JSON_HEADER, send_fault
from freehold.server.rows import RequestRow
from freehold.wire import embeddings
from freehold.wire.formats import CODECS


class EmbeddingsEndpoint:
    """Answers embeddings requests; the final row is written whatever happens."""

    def __init__(self, context: Context, singles: Singles) -> None:
        self._context = context
        self._singles = singles

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Answer one request."""
        row = RequestRow(self._context, "embeddings", None)
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
        envelope = embeddings.peek(body)
        row.flight = flight = await context.intake.decide_embeddings(envelope, headers, caller, row.request_id)
        conversation.watch(None)
        row.answer = answer = await self._singles.embed(flight, envelope)
        answer.take()
        await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], answer.body)
        row.served()

    async def _tell(self, conversation: Conversation, row: RequestRow, fault: Fault) -> None:
        if not conversation.client_is_gone and fault.kind is not Kind.CLIENT_GONE and not conversation.head_is_sent:
            conversation.answer_is_decided()
            await send_fault(conversation, CODECS["openai_chat"], fault, row.request_id)
