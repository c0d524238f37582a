"""`/v1/batches`: requests to be made later, behind everybody who waits. Found by their own caller only."""

from collections.abc import Mapping

from freehold.fault import FaultError
from freehold.server.batches.desk import told_batch
from freehold.server.delivery import Conversation
from freehold.server.endpoints.files import Kept, read_page, write_page

MOST_BODY_BYTES = 64 * 1024


class BatchesEndpoint(Kept):
    """The collection; called with an id, one of it."""

    methods = ("GET", "POST")
    """Of one batch; POST is for `cancel` only."""
    right = "batches"

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """One batch, or its end."""
        await (self._cancel if conversation.method == "POST" else self._one)(conversation, headers, tail)

    async def add(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`POST /v1/batches`."""
        try:
            caller = self._caller(headers)
            self._context.admit()
            body = await conversation.read_body(MOST_BODY_BYTES, headers.get("content-length"))
            await self._send(conversation, await self._desk.add_batch(body, headers, caller))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def listed(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`GET /v1/batches`."""
        try:
            caller, page = self._caller(headers), read_page(conversation.query)
            rows = await self._desk.batches(caller, after=page.after, limit=page.limit)
            await self._send(conversation, write_page(rows, page.limit))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _one(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`GET /v1/batches/{id}`."""
        try:
            await self._send(conversation, told_batch(await self._desk.batch(tail, self._caller(headers))))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _cancel(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`POST /v1/batches/{id}/cancel`."""
        try:
            caller = self._caller(headers)
            batch_id, _, what = tail.partition("/")
            if what != "cancel":
                raise self._missing()
            await self._send(conversation, await self._desk.cancel(batch_id, caller))
        except FaultError as error:
            await self._refuse(conversation, error.fault)
