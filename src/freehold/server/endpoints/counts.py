"""`POST /v1/messages/count_tokens`: answered here, without a call. Clients ask this dozens of times in a burst."""

from collections.abc import Mapping

from freehold.fault import FaultError, Kind, faulty
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER, send_fault
from freehold.wire import token_counts
from freehold.wire.formats import CODECS


class CountTokensEndpoint:
    """Counts the prompt of a Messages body with our own tokenizer; an estimate for models whose vocabulary is not public."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Answer one request."""
        context, codec = self._context, CODECS["anthropic_messages"]
        request_id = context.intake.new_request_id()
        try:
            caller = context.intake.identify(headers)
            body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
            envelope = token_counts.peek(body)
            if not context.intake.policy.knows(envelope.model):
                raise faulty(
                    Kind.UNKNOWN_MODEL, f"there is no model {envelope.model[:100]!r}; GET /v1/models lists them", param="model"
                )
            features = await context.intake.features(codec, envelope, headers, caller, "count_tokens")
        except FaultError as error:
            if error.fault.kind is not Kind.CLIENT_GONE:
                await send_fault(conversation, codec, error.fault, request_id)
            return
        headers_out = [JSON_HEADER, (b"request-id", request_id.encode()), (b"x-freehold-request-id", request_id.encode())]
        await conversation.send_whole(200, headers_out, token_counts.write_count(features.prompt_tokens))
