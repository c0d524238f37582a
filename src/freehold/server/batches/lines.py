"""One line of a batch, served by the endpoint it names: the same decision, ceilings, limits and rows as any request.

The caller is the batch's, known since it was made; nothing a line says can change it. Results are collected instead of
sent to a client.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from freehold.dispatch.flight import ChatFlight, Flight
from freehold.dispatch.runner import Dispatch
from freehold.dispatch.singles import Singles
from freehold.features import Caller, Right
from freehold.identity.tags import tag
from freehold.server.context import Context
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.endpoints.chat import ChatEndpoint
from freehold.server.endpoints.embeddings import EmbeddingsEndpoint
from freehold.server.endpoints.recorded import RecordedEndpoint
from freehold.server.endpoints.singles import SingleEndpoint
from freehold.server.intake import Intake
from freehold.storage.batch_rows import BatchRow
from freehold.wire.codec import Codec, Envelope
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.formats import CODECS
from freehold.wire.singles.moderations import MODERATIONS
from freehold.wire.singles.shape import SingleEnvelope, SingleOperation

CHATS: Mapping[str, tuple[Codec, str]] = {
    "/v1/chat/completions": (CODECS["openai_chat"], "chat"),
    "/v1/responses": (CODECS["openai_responses"], "chat"),
    "/v1/completions": (CODECS["openai_completions"], "completion"),
}
"""Endpoints of batches that are chats: their wire format, and the operation."""


def line_headers(row: BatchRow) -> dict[str, str]:
    """What a batch's lines are decided by, beside their bodies."""
    return {**row.headers, "x-freehold-session": row.batch_id, "x-freehold-hint-batch": row.batch_id}


class Result(msgspec.Struct, frozen=True):
    """What a line's endpoint answered."""

    status: int
    request_id: str
    body: bytes


class _Collected:
    """A connection without a client: keeps what is written. See `delivery.Line`."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.keep_alive_s = 3600.0
        self.status = 0
        self.headers: RawHeaders = []
        self.pieces: list[bytes] = []

    def hold(self) -> None:
        """The body is there already."""

    def resume(self) -> None:
        """The same."""

    def room(self) -> None:
        """There is always room: an answer is bounded where it is read."""
        return

    def write_head(self, conversation: Conversation, status: int, headers: RawHeaders) -> None:
        """Keep the head."""
        conversation.head_is_sent = True
        self.status, self.headers = status, headers

    def write_body(self, conversation: Conversation, body: bytes, *, more: bool) -> None:
        """Keep a piece."""
        self.pieces.append(body)
        conversation.is_over = not more

    def write_whole(self, conversation: Conversation, status: int, headers: RawHeaders, body: bytes) -> None:
        """Keep all of it."""
        self.write_head(conversation, status, headers)
        self.write_body(conversation, body, more=False)


class BatchIntake(Intake):
    """Decides as the server's own intake, for a caller who was identified when the batch was made."""

    def __init__(self, intake: Intake, caller: Caller) -> None:  # the other's parts as they are now, policy included
        self.__dict__.update(intake.__dict__)
        self._caller = caller

    def identify(self, headers: Mapping[str, str], right: Right | None) -> Caller:
        """The batch's caller as its key stands now: no header of a line says who asks. Raises FaultError as `Intake.identify`."""
        snapshot = self.snapshot
        caller = self.register.standing(self._caller, right, snapshot.keys, self._wall_ms())
        return tag(caller, headers, snapshot.policy.ceilings)

    async def decide(
        self, codec: Codec, envelope: Envelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> ChatFlight:
        """As `Intake.decide`; nobody waits for it."""
        flight = await super().decide(codec, envelope, headers, caller, request_id)
        flight.yields = True
        return flight

    async def decide_embeddings(
        self, envelope: EmbeddingsEnvelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> Flight:
        """As `Intake.decide_embeddings`; nobody waits for it."""
        flight = await super().decide_embeddings(envelope, headers, caller, request_id)
        flight.yields = True
        return flight

    async def decide_single(
        self, operation: SingleOperation, envelope: SingleEnvelope, headers: Mapping[str, str], caller: Caller, request_id: str
    ) -> Flight:
        """As `Intake.decide_single`; nobody waits for it."""
        flight = await super().decide_single(operation, envelope, headers, caller, request_id)
        flight.yields = True
        return flight


class LineServer:
    """Serves lines."""

    def __init__(self, context: Context, dispatch: Dispatch, singles: Singles) -> None:
        self._context = context
        self._dispatch = dispatch
        self._singles = singles

    async def serve(self, path: str, body: bytes, caller: Caller, headers: Mapping[str, str]) -> Result:
        """The answer of the endpoint at `path`, whatever it is. Never raises for a fault of the line."""
        context = msgspec.structs.replace(self._context, intake=BatchIntake(self._context.intake, caller))
        line = _Collected()
        conversation = Conversation(line)
        conversation.method, conversation.path = "POST", path
        conversation.headers = {**headers, "content-type": "application/json", "content-length": str(len(body))}
        conversation.limit_bytes = max(conversation.limit_bytes, len(body))
        conversation.take(body)
        conversation.body_ends()
        await self._endpoint(path, context)(conversation, conversation.headers)
        said = {name: value.decode("latin-1") for name, value in line.headers}
        return Result(line.status, said.get(b"x-freehold-request-id", ""), b"".join(line.pieces))

    def _endpoint(self, path: str, context: Context) -> RecordedEndpoint:
        if path in CHATS:
            return ChatEndpoint(context, self._dispatch, *CHATS[path])
        match path:
            case "/v1/embeddings":
                return EmbeddingsEndpoint(context, self._singles)
            case "/v1/moderations":
                return SingleEndpoint(context, self._singles, MODERATIONS)
            case _:
                raise ValueError(f"{path} is no endpoint of batches")
