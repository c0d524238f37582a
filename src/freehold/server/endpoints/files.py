"""`/v1/files`: what clients leave for batches, and what batches leave for them. Found by their own caller only."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.features import Caller, Right
from freehold.server.batches.desk import Desk, told_file
from freehold.server.context import Context
from freehold.server.delivery import Conversation
from freehold.server.faults import JSON_HEADER, id_headers, send_fault
from freehold.server.rating import hold_to_requests
from freehold.wire.formats import CODECS
from freehold.wire.multipart import is_multipart, read_form

DEFAULT_LISTED = 20
MOST_LISTED = 100
"""In one page. Clients may ask for more files, as OpenAI's API lets them, and are told that there are more."""
MOST_FILES_ASKED = 10_000
_encode = msgspec.json.Encoder().encode


class Kept:
    """What the endpoints of files and batches share: who asks, and faults in OpenAI's spelling."""

    right: Right = "files"
    """What these endpoints take of a key."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _desk(self) -> Desk:
        return self._context.desk

    async def _caller(self, conversation: Conversation, headers: Mapping[str, str]) -> Caller:
        """Who asks, once its rates of requests have taken this one. Raises FaultError."""
        caller = self._context.intake.identify(headers, self.right)
        await hold_to_requests(self._context, conversation, caller, self.right)
        return caller

    async def _send(self, conversation: Conversation, value: object, request_id: str | None = None) -> None:
        own_id = request_id or self._context.intake.new_request_id()
        await conversation.send_whole(200, [JSON_HEADER, *id_headers(own_id)], _encode(value))

    async def _refuse(self, conversation: Conversation, fault: Fault) -> None:
        if fault.kind is not Kind.CLIENT_GONE:
            await send_fault(conversation, CODECS["openai_chat"], fault, self._context.intake.new_request_id())

    def _missing(self) -> FaultError:
        return faulty(Kind.NOT_FOUND, "there is nothing at this path; see docs/batch.md for what is served")


class FilesEndpoint(Kept):
    """The collection; called with an id, one of it."""

    methods = ("GET", "DELETE")
    """Of one file."""

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """One file, its content, or its end."""
        await (self._drop if conversation.method == "DELETE" else self._one)(conversation, headers, tail)

    async def add(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`POST /v1/files`."""
        try:
            caller = await self._caller(conversation, headers)
            self._context.admit()
            body = await conversation.read_body(self._context.max_body_bytes, headers.get("content-length"))
            said = headers.get("content-type", "")
            if not is_multipart(said):
                raise faulty(Kind.INVALID_REQUEST, "content-type: files are sent as multipart/form-data", param="content-type")
            await self._send(conversation, await self._desk.add_file(read_form(body, said), caller))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def listed(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """`GET /v1/files`."""
        try:
            caller, page = await self._caller(conversation, headers), read_page(conversation.query, MOST_FILES_ASKED)
            rows = await self._desk.files(caller, after=page.after, limit=page.limit, purpose=page.purpose)
            await self._send(conversation, write_page(rows, page.limit))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _one(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`GET /v1/files/{id}` and `GET /v1/files/{id}/content`."""
        try:
            caller = await self._caller(conversation, headers)
            file_id, slash, what = tail.partition("/")
            if slash and what != "content":
                raise self._missing()
            row = await self._desk.file(file_id, caller)
            if slash:
                await self._content(conversation, row.file_id, row.size_bytes)
            else:
                await self._send(conversation, told_file(row))
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _drop(self, conversation: Conversation, headers: Mapping[str, str], tail: str) -> None:
        """`DELETE /v1/files/{id}`."""
        try:
            await self._desk.drop_file(tail, await self._caller(conversation, headers))
            await self._send(conversation, {"id": tail, "object": "file", "deleted": True})
        except FaultError as error:
            await self._refuse(conversation, error.fault)

    async def _content(self, conversation: Conversation, file_id: str, size_bytes: int) -> None:
        """The bytes, a piece at a time; what a model wrote is never sent as a page."""
        shelf, at = self._desk.shelf, 0
        try:
            piece = await asyncio.to_thread(shelf.read, file_id, 0)
        except OSError:
            raise faulty(Kind.NOT_FOUND, "the bytes of this file are gone from this server's disk") from None
        said = [
            (b"content-type", b"application/octet-stream"),
            (b"x-content-type-options", b"nosniff"),
            *id_headers(self._context.intake.new_request_id()),
        ]
        await conversation.send_head(200, [*said, (b"content-length", b"%d" % size_bytes)])
        while piece and at + len(piece) < size_bytes:
            await conversation.send_body(piece, more=True)
            at += len(piece)
            piece = await asyncio.to_thread(shelf.read, file_id, at)
        await conversation.send_body(piece[: size_bytes - at])


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is asked for."""

    limit: int = DEFAULT_LISTED
    after: str | None = None
    purpose: str | None = None


def read_page(query: str, most: int = MOST_LISTED) -> Page:
    """`limit` (1 to `most`), `after` and `purpose` of a query. Raises FaultError(INVALID_REQUEST)."""
    said: dict[str, Any] = {name: values[-1] for name, values in parse_qs(query, max_num_fields=20).items()}
    limit = str(said.get("limit", DEFAULT_LISTED))
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:6]) <= most):
        raise faulty(Kind.INVALID_REQUEST, f"limit: must be 1 to {most}", param="limit")
    if said.get("order", "desc") != "desc":
        raise faulty(Kind.UNSUPPORTED, "order: lists are newest first", param="order")
    return Page(min(int(limit), MOST_LISTED), said.get("after"), said.get("purpose"))


def write_page(rows: list[dict[str, object]], limit: int) -> dict[str, object]:
    """A list as OpenAI's clients page through it. `rows` may hold one more than `limit`."""
    shown = rows[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": "", "last_id": ""}
    return {"object": "list", "data": shown, **ends, "has_more": len(rows) > limit}
