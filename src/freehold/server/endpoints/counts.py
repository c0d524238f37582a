"""`POST /v1/messages/count_tokens`: answered on this machine. Clients ask this dozens of times in a burst."""

from collections.abc import Mapping

import msgspec

from freehold.dispatch.runner import Dispatch
from freehold.fault import Kind, faulty
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.endpoints.recorded import RecordedEndpoint
from freehold.server.faults import JSON_HEADER, id_headers
from freehold.server.rating import count_request
from freehold.server.rows import RequestRow
from freehold.wire import token_counts
from freehold.wire.formats import CODECS


class CountTokensEndpoint(RecordedEndpoint):
    """Counts the prompt of a Messages body: with the tokenizer of the engine that would serve it, where that is an engine here
    that tells; else with our own, an estimate for models whose vocabulary is not public.
    """

    can_cost = False

    def __init__(self, context: Context, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._codec = CODECS["anthropic_messages"]
        super().__init__(context, "count_tokens", self._codec.FORMAT, self._codec)

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        intake = self._context.intake
        self._context.admit()
        row.caller = caller = intake.identify(headers, "chat")
        body = await conversation.read_body(intake.max_body_bytes, headers.get("content-length"))
        envelope = token_counts.peek(body)
        if not intake.policy.knows(envelope.model):
            raise faulty(
                Kind.UNKNOWN_MODEL, f"there is no model {envelope.model[:100]!r}; GET /v1/models lists them", param="model"
            )
        self._codec.read_request(envelope)  # what could not be sent is not counted either
        asked = (self._codec, envelope, headers, caller, "count_tokens")
        rates_may_look = intake.snapshot.rates is not None
        row.features = features = await intake.features(*asked, best_count=rates_may_look)
        await count_request(self._context, conversation, features, is_anthropic=True)
        if not features.prompt_tokens_exact:
            flight = intake.decide_count(self._codec, envelope, headers, features, row.request_id)
            counted = await self._dispatch.count(flight)
            if counted is not None:
                features = msgspec.structs.replace(features, prompt_tokens=counted, prompt_tokens_exact=True)
            elif not rates_may_look:  # the best there is: a client's context bar hangs on it
                features = await intake.features(*asked, best_count=True)
            row.features = features
        basis = b"measured" if features.prompt_tokens_exact else b"estimated"
        told = [JSON_HEADER, *id_headers(row.request_id), (b"x-freehold-usage-basis", basis)]
        await conversation.send_whole(200, told, token_counts.write_count(features.prompt_tokens))
        row.served()
