"""The models list, in the form the client's headers ask for."""

from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import parse_qsl

from freehold.fault import FaultError, Kind, faulty
from freehold.routing.permitted import is_limited, usable
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER, id_headers, send_fault
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
        speaks_anthropic = "anthropic-version" in headers
        codec = CODECS["anthropic_messages" if speaks_anthropic else "openai_chat"]
        request_id = self._context.intake.new_request_id()
        try:
            body = self._told(conversation, headers, wanted, anthropic=speaks_anthropic)
        except FaultError as error:
            await send_fault(conversation, codec, error.fault, request_id)
            return
        await conversation.send_whole(200, [JSON_HEADER, *id_headers(request_id)], body)

    def _told(self, conversation: Conversation, headers: Mapping[str, str], wanted: str | None, *, anthropic: bool) -> bytes:
        policy, caller = self._context.intake.policy, self._context.intake.identify(headers, None)
        if wanted is None:
            extra = [name for name in ANTHROPIC_NAMES if anthropic and policy.knows(name)]
            names = [name for name in (*extra, *policy.listed()) if not is_limited(caller) or usable(policy, name, caller)]
            return list_models(names, anthropic=anthropic, **_page(conversation.query))
        if not policy.knows(wanted) or (is_limited(caller) and not usable(policy, wanted, caller)):
            raise faulty(Kind.UNKNOWN_MODEL, f"there is no model {wanted[:100]!r}; GET /v1/models lists them")
        return one_model(wanted, anthropic=anthropic)


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
