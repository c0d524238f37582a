"""`GET /openapi.json`: what is served, for programs that generate clients and tests."""

from collections.abc import Callable, Mapping

from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER


class OpenApiEndpoint:
    """Answers with the document, which is made when it is first asked for."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._document = b""

    async def __call__(self, conversation: Conversation, _headers: Mapping[str, str]) -> None:
        """200, always; nothing secret is in it."""
        self._document = self._document or self._make()
        await conversation.send_whole(200, [JSON_HEADER], self._document)
