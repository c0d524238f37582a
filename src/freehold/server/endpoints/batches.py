"""`/v1/batches`: requests to be made later, behind everybody who waits. Found by their own caller only."""

from collections.abc import Mapping

from freehold.fault import FaultError
from freehold.server.batches.desk import told_batch
from freehold.server.delivery import Conversation
from freehold.server.endpoints.files import Kept, read_page, write_page
from freehold.server.idempotency.asked import HEADER as IDEMPOTENCY_KEY
from freehold.server.idempotency.desk import Ending, GivenAgain
from freehold.server.idempotency.serving import give_again, take_key

MOST_BODY_BYTES = 64 * 1024


class BatchesEndpoint(Kept):
    """The collection; called with an id, one of it."""

    methods = ("GET", "POST")
    """Of one batch; POST is for `cancel` only."""
    right = "batches"
    can_cost = True

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """One batch, or its end."""
        await (self._cancel if conversation.method == "POST" else self._one)(conversation, headers, tail)

    async def add(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`POST /v1/batches`."""
        held, is_made = None, False
        try:
            caller = await self._caller(conversation, headers)
            self._context.admit()
            request_id = self._context.intake.new_request_id()
            if IDEMPOTENCY_KEY in headers:
                found = await take_key(self._context, conversation, headers, caller, request_id)
                if isinstance(found, GivenAgain):
                    await give_again(conversation, found, request_id)
                    return
                held = found
                conversation.stop_watching()  # it is made in one step, whoever still listens
            body = await conversation.read_body(MOST_BODY_BYTES, headers.get("content-length"))
            made = await self._desk.add_batch(body, headers, caller)
            is_made = True
            await self._send(conversation, made, request_id)
        except FaultError as error:
            await self._refuse(conversation, error.fault)
        finally:
            if held is not None:
                self._context.idempotency.end(held, Ending("served" if is_made else "failed", None, was_paid=is_made))

    async def listed(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`GET /v1/batches`."""
        try:
            caller, page = await self._caller(conversation, headers), read_page(conversation.query)
            rows = await self._desk.batches(caller, after=page.after, limit=page.limit)
            await self._send(conversation, write_page(rows, page.limit))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _one(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`GET /v1/batches/{id}`."""
        try:
            await self._send(conversation, told_batch(await self._desk.batch(tail, await self._caller(conversation, headers))))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _cancel(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`POST /v1/batches/{id}/cancel`."""
        try:
            caller = await self._caller(conversation, headers)
            batch_id, _, what = tail.partition("/")
            if what != "cancel":
                raise self._missing()
            await self._send(conversation, await self._desk.cancel(batch_id, caller))
        except FaultError as error:
            await self._refuse(conversation, error.fault)
