"""The models list, in the form the client's headers ask for."""

from collections.abc import Mapping

from freehold.fault import Fault, FaultError, Kind
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER, send_fault
from freehold.wire.formats import CODECS
from freehold.wire.models_list import list_models, one_model

ANTHROPIC_NAMES = ("claude-auto",)
"""Clients of that kind show only ids with `claude` or `anthropic` in them; this one resolves like any `claude-*`."""


class ModelsEndpoint:
    """`GET /v1/models` and `GET /v1/models/{id}`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def listed(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """All names a client may ask for."""
        await self._answer(conversation, headers, None)

    async def one(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """One of them; ids may hold slashes."""
        await self._answer(conversation, headers, tail)

    async def _answer(self, conversation: Conversation, headers: Mapping[str, str], wanted: str | None) -> None:
        policy = self._context.intake.policy
        speaks_anthropic = "anthropic-version" in headers
        codec = CODECS["anthropic_messages" if speaks_anthropic else "openai_chat"]
        request_id = self._context.intake.new_request_id()
        fault = self._fault(headers, wanted)
        if fault is not None:
            await send_fault(conversation, codec, fault, request_id)
            return
        if wanted is not None:
            body = one_model(wanted, anthropic=speaks_anthropic)
        else:
            extra = [name for name in ANTHROPIC_NAMES if speaks_anthropic and policy.knows(name)]
            body = list_models([*extra, *policy.listed()], anthropic=speaks_anthropic)
        await conversation.send_whole(200, [JSON_HEADER, (b"x-freehold-request-id", request_id.encode())], body)

    def _fault(self, headers: Mapping[str, str], wanted: str | None) -> Fault | None:
        try:
            self._context.intake.identify(headers)
        except FaultError as error:
            return error.fault
        if wanted is None or self._context.intake.policy.knows(wanted):
            return None
        return Fault(kind=Kind.UNKNOWN_MODEL, message=f"there is no model {wanted[:100]!r}; GET /v1/models lists them")
