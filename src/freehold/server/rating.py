"""How `[[rates]]` hold for requests that ask no model: each is one request to them, and takes no tokens and no place.

Promised: every route that takes work counts, before any of it is done; what does not count stands in `UNRATED` with the reason
(tests/flow/test_rates_on_every_route.py holds the table of routes to it). Not done: routes that ask a model; these are held to
rates with all that is known of their requests (`endpoints.recorded`).
"""

from collections.abc import Awaitable, Mapping, Sequence

from freehold.features import Caller, Features, Label, Right, Task
from freehold.limits.rates import Admission, RateExceededError, Standing
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders
from freehold.wire.rate_headers import anthropic_headers, openai_headers

_HEALTH = "who watches the server must see it, however busy its callers are"
_DISCOVERY = "a list that is at hand; clients read it before they can ask anything"
_REFUSES = "it does no work: every request is refused, with what to do instead"
UNRATED: Mapping[str, str] = {
    **dict.fromkeys(("/", "/healthz", "/readyz", "/api/hello", "/openapi.json", "/api/version"), _HEALTH),
    **dict.fromkeys(("/v1/models", "/v1/models/", "/api/tags", "/api/ps", "/api/show"), _DISCOVERY),
    **dict.fromkeys(("/v1/responses/", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"), _REFUSES),
}
"""Paths that no rate holds for, and why. Where only some methods of a path refuse (`GET /v1/responses`), the others are rated."""


async def hold_to_requests(context: Context, conversation: Conversation, caller: Caller, right: Right) -> None:
    """Count one request of this caller. Raises RateExceededError; the answer says how rates stand, whichever it is."""
    rates = context.intake.snapshot.rates
    if rates is None or not rates.of_requests:
        return
    await count_request(context, conversation, _plain(caller, right), is_anthropic=False)


async def count_request(context: Context, conversation: Conversation, features: Features, *, is_anthropic: bool) -> None:
    """As `hold_to_requests`, where more is known of the request."""
    rates = context.intake.snapshot.rates
    if rates is None:
        return
    asked = context.rates.admit(rates.of_requests, features, "", is_background=False, only_requests=True)
    await show_admission(context, conversation, asked, is_anthropic=is_anthropic)


async def show_admission(
    context: Context, conversation: Conversation, asked: Awaitable[Admission | None], *, is_anthropic: bool
) -> Admission | None:
    """What `Rates.admit` gives; the answer says how rates stand, admitted or not. Raises RateExceededError."""
    try:
        admission = await asked
    except RateExceededError as error:
        _show(context, conversation, error.standings, is_anthropic=is_anthropic)
        raise
    if admission is not None:
        _show(context, conversation, admission.standings, is_anthropic=is_anthropic)
    return admission


def _show(context: Context, conversation: Conversation, standings: Sequence[Standing], *, is_anthropic: bool) -> None:
    """Say in the answer's headers how rates stand, by the names that the client knows."""
    headers: RawHeaders = []
    for one in standings:
        facts = {"limit": one.limit, "remaining": one.remaining}
        if is_anthropic:
            headers += anthropic_headers(one.unit, **facts, reset_s=one.reset_s, now_ms=context.wall_ms())
        else:
            headers += openai_headers(one.unit, **facts, reset_s=one.reset_s)
    conversation.extra_headers = [*conversation.extra_headers, *headers]


def _plain(caller: Caller, right: Right) -> Features:
    """All there is to match: who asks, and for what."""
    return Features(
        operation=right,
        wire_format=None,
        asked_model="",
        caller=caller,
        prompt_tokens=0,
        prompt_tokens_exact=True,
        max_tokens=None,
        messages=0,
        stream=False,
        tools=0,
        images=0,
        schema=False,
        logprobs=False,
        choices=1,
        task=Task.CHAT,
        task_reason="",
        label=Label.PUBLIC if caller.label is None else caller.label,
        session=None,
    )
