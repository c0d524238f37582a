"""What an endpoint does with an `Idempotency-Key`: take the key, or give the answer again that it had.

Which routes must do so is read off the table of routes: a server with a route that can cost something and does not say how it
keeps keys does not start.
"""

import math
from collections.abc import Mapping

from freehold.features import Caller
from freehold.server.access import ACCESS, PAID
from freehold.server.context import Context
from freehold.server.deadline import timeout_of
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.faults import ID_NAMES
from freehold.server.idempotency.asked import read_asked
from freehold.server.idempotency.copying import CopyingLine
from freehold.server.idempotency.desk import MIB, GivenAgain, Held

REQUEST_IDS = frozenset(ID_NAMES)
FIRST_ERROR = 400


async def take_key(
    context: Context, conversation: Conversation, headers: Mapping[str, str], caller: Caller, request_id: str
) -> Held | GivenAgain:
    """The key is this request's, and what is sent from now on is taken down; or what its key was answered.

    The body can be read again afterwards. A client that leaves from now on cancels the current task. Raises FaultError.
    """
    body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
    conversation.give_back(body)
    asked = read_asked(conversation.path, headers, caller, body)
    desk, timeout_s = context.idempotency, timeout_of(headers, streams=False)
    conversation.watch(None)
    found = await desk.admit(asked, request_id, math.inf if timeout_s is None else timeout_s)
    if isinstance(found, GivenAgain):
        return found
    found.copy = CopyingLine(conversation.line, desk.settings().max_answer_mib * MIB)
    conversation.send_through(found.copy)
    if found.after is not None:
        told: RawHeaders = [(b"idempotent-replayed", b"false"), (b"x-freehold-first-request-id", found.after.encode())]
        conversation.extra_headers = [*conversation.extra_headers, *told]
        context.log.event("idempotency.asked_again", request_id=request_id, first_request_id=found.after)
    return found


async def give_again(conversation: Conversation, given: GivenAgain, request_id: str) -> None:
    """Send a kept answer as it was sent, streamed or whole, up to where its stream broke off, if it did."""
    conversation.content_begins()
    answer, own_id = given.answer, request_id.encode()
    headers = [(name, own_id if name in REQUEST_IDS else value) for name, value in answer.headers]
    headers += [(b"idempotent-replayed", b"true"), (b"x-freehold-first-request-id", given.request_id.encode())]
    if answer.status >= FIRST_ERROR and all(name != b"x-should-retry" for name, _ in headers):
        headers.append((b"x-should-retry", b"false"))  # it will be the same again
    if answer.streams:
        await conversation.send_head(answer.status, headers)
        await conversation.send_body(answer.body, more=not answer.is_whole)
    else:
        await conversation.send_whole(answer.status, headers, answer.body)


def require_keys_kept(routes: Mapping[tuple[str, str], object]) -> None:
    """Raise ValueError for routes that may cost something and do not say, by `can_cost`, whether a key counts there."""
    missing = sorted(
        path
        for (method, path), endpoint in routes.items()
        if method == "POST" and ACCESS[path] in PAID and not hasattr(getattr(endpoint, "__self__", endpoint), "can_cost")
    )
    if missing:
        raise ValueError(f"an Idempotency-Key would be passed over at {', '.join(missing)}")
