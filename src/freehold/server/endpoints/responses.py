"""What stands beside `POST /v1/responses`: nothing is stored here, and there is no WebSocket. Both are said at once.

A client of the Responses format may open a WebSocket first; only status 426 sends it to HTTP without trying again.
"""

from collections.abc import Mapping

from freehold.fault import Fault, FaultError, Kind
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER, id_headers, send_fault
from freehold.wire.formats import CODECS

UPGRADE_REQUIRED = 426
NOT_DONE = {
    "input_tokens": "tokens of a Responses body are not counted here; POST /v1/messages/count_tokens counts those of a Messages body",
    "compact": "conversations are not compacted here; ask a model for a summary, and go on with that as `input`",
}
"""What stands where ids stand, and is none."""


class StoredResponsesEndpoint:
    """`/v1/responses/{id}` and what is below it, with every method its clients use."""

    methods = ("DELETE", "GET", "POST")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._codec = CODECS["openai_responses"]

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """Say that there is no such response."""
        intake = self._context.intake
        if conversation.method == "POST" and tail in NOT_DONE:
            fault = Fault(kind=Kind.NOT_FOUND, message=NOT_DONE[tail])
        else:
            response_id = tail.partition("/")[0][:100]
            fault = Fault(
                kind=Kind.NOT_FOUND,
                message=f"there is no response {response_id!r}: nothing is stored here; send whole conversations in `input`, and "
                "ask the vendor itself for what it has stored",
                param="response_id",
            )
        try:
            intake.identify(headers, "chat")
        except FaultError as error:
            fault = error.fault
        await send_fault(conversation, self._codec, fault, intake.new_request_id())


class NoWebSocketEndpoint:
    """`GET /v1/responses`: only a WebSocket begins so."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._codec = CODECS["openai_responses"]

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Send the client to `POST`."""
        request_id = self._context.intake.new_request_id()
        try:
            self._context.intake.identify(headers, "chat")
        except FaultError as error:
            await send_fault(conversation, self._codec, error.fault, request_id)
            return
        fault = Fault(
            kind=Kind.METHOD_NOT_ALLOWED, message="there is no WebSocket here; send the request by POST, streamed or not"
        )
        if "upgrade" not in headers:
            await send_fault(conversation, self._codec, fault, request_id, (b"allow", b"POST"))
            return
        _, _, body = self._codec.write_fault(fault, request_id)
        told = [JSON_HEADER, (b"upgrade", b"HTTP/1.1"), *id_headers(request_id)]
        await conversation.send_whole(UPGRADE_REQUIRED, told, body)
