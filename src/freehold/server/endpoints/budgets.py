"""`GET /admin/budgets`: how every account of the present windows stands, as `freehold budget list` shows it.

Promised: never without a key that may administer, also where none is asked for elsewhere; it is answered from the store that
reservations are made in, whichever that is, and changes nothing there. Faults are in OpenAI's spelling.
"""

from collections.abc import Mapping

from freehold.fault import FaultError
from freehold.server.delivery import Conversation
from freehold.server.endpoints.files import Kept


class BudgetsEndpoint(Kept):
    """The accounts."""

    right = "admin"

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """All of them."""
        try:
            await self._caller(conversation, headers)
            data = await self._context.accounts()
        except FaultError as error:
            await self._refuse(conversation, error.fault)
            return
        await self._send(conversation, {"object": "list", "data": data})
