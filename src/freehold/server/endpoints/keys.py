"""`/admin/keys`: virtual keys made, listed, rotated and revoked by whoever holds a key that may do so.

Promised: never without a key, also where none is asked for elsewhere; a key's secret is in one answer, which is not to be
stored by anybody on the way. Faults are in OpenAI's spelling. Not done here: who may do what to which key (`server.key_desk`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.features import Caller
from freehold.identity.issuing import KeyWanted
from freehold.server.delivery import Conversation
from freehold.server.endpoints.files import Kept
from freehold.server.faults import JSON_HEADER, id_headers
from freehold.server.key_desk import KeyDesk

MOST_BODY_BYTES = 64 * 1024
_NOT_KEPT = (b"cache-control", b"no-store")
_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


class RotationWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key's secret is replaced."""

    overlap_s: float = 86400.0
    """How long the present secret still opens the key, so that whoever uses it can be given the new one."""


_read_wanted = msgspec.json.Decoder(KeyWanted)
_read_rotation = msgspec.json.Decoder(RotationWanted)


class KeysEndpoint(Kept):
    """The collection; called with a name, one of it."""

    right = "admin"
    methods = ("DELETE", "GET", "POST")
    """Of one key; POST is for `rotate` only."""

    @property
    def _keys(self) -> KeyDesk:
        return self._context.keys

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """One key, its end, or its next secret."""

        async def work(caller: Caller) -> object:
            if conversation.method == "DELETE":
                return await self._keys.revoke(tail, caller)
            if conversation.method != "POST":
                return await self._keys.one(tail)
            name, _, what = tail.partition("/")
            if what != "rotate":
                raise faulty(Kind.NOT_FOUND, "there is nothing at this path; see docs/keys.md for what is served")
            wanted = await self._body(conversation, headers, _read_rotation)
            return await self._keys.rotate(name, wanted.overlap_s, caller)

        await self._answer(conversation, headers, work)

    async def add(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`POST /admin/keys`."""

        async def work(caller: Caller) -> object:
            return await self._keys.make(await self._body(conversation, headers, _read_wanted), caller)

        await self._answer(conversation, headers, work)

    async def listed(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`GET /admin/keys`: every key, revoked ones too."""

        async def work(_caller: Caller) -> object:
            return {"object": "list", "data": await self._keys.all()}

        await self._answer(conversation, headers, work)

    async def _answer(
        self, conversation: Conversation, headers: Mapping[str, str], work: Callable[[Caller], Awaitable[object]]
    ) -> None:
        try:
            answer = await work(await self._caller(conversation, headers))
        except FaultError as error:
            await self._refuse(conversation, error.fault)
            return
        said = [JSON_HEADER, _NOT_KEPT, *id_headers(self._context.intake.new_request_id())]
        await conversation.send_whole(200, said, _encode(answer))

    async def _body(self, conversation: Conversation, headers: Mapping[str, str], decoder: msgspec.json.Decoder[_T]) -> _T:
        body = await conversation.read_body(MOST_BODY_BYTES, headers.get("content-length"))
        try:
            return decoder.decode(body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the text names the field and what is wrong, not the value
            raise faulty(Kind.INVALID_REQUEST, f"the body is not what this takes: {error}") from None
