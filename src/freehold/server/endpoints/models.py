"""The models list, in the form the client's headers ask for."""

from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import parse_qsl

from freehold.fault import Fault, FaultError, Kind, faulty
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
            try:
                body = list_models([*extra, *policy.listed()], anthropic=speaks_anthropic, **_page(conversation.query))
            except FaultError as error:
                await send_fault(conversation, codec, error.fault, request_id)
                return
        await conversation.send_whole(200, [JSON_HEADER, (b"x-freehold-request-id", request_id.encode())], body)

    def _fault(self, headers: Mapping[str, str], wanted: str | None) -> Fault | None:
        try:
            self._context.intake.identify(headers)
        except FaultError as error:
            return error.fault
        if wanted is None or self._context.intake.policy.knows(wanted):
            return None
        return Fault(kind=Kind.UNKNOWN_MODEL, message=f"there is no model {wanted[:100]!r}; GET /v1/models lists them")


class _Page(TypedDict, total=False):
    limit: int
    after_id: str
    before_id: str


def _page(query: str) -> _Page:
    """The page that is asked for (Anthropic's `limit`, `after_id`, `before_id`). Raises FaultError(INVALID_REQUEST)."""
    page = _Page()
    asked = dict(parse_qsl(query))
    if "limit" in asked:
        if not (asked["limit"].isascii() and asked["limit"].isdecimal()) or len(asked["limit"]) > 9:
            raise faulty(Kind.INVALID_REQUEST, "limit: must be a whole number", param="limit")
        page["limit"] = int(asked["limit"])
    if "after_id" in asked:
        page["after_id"] = asked["after_id"]
    if "before_id" in asked:
        page["before_id"] = asked["before_id"]
    return page
