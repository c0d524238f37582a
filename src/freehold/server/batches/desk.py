"""Where clients leave files and batches and ask for them: what endpoints and the runner share.

Promised: everything is found by its own caller only; for anybody else it is not there. What a caller may keep is
bounded. Nothing here blocks the loop: files and rows are touched in threads. The store is opened when the first file
comes, or at a start that finds some.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.features import Caller
from freehold.identity.tags import PROJECT_HEADER
from freehold.ledger.ids import RANDOM_BYTES, is_id, new_id
from freehold.routing.features import CEILING_HEADER, HINT_PREFIX, effective_ceiling
from freehold.routing.labels import DATASET_HEADER, LABEL_HEADER, label_said
from freehold.server.batches.shelf import Shelf
from freehold.storage.batch_rows import BatchRow, FileRow
from freehold.storage.store import StoreError
from freehold.wire.batches import FINAL, WINDOW_MS, BatchState, read_batch_request, write_batch, write_file
from freehold.wire.multipart import Form

if TYPE_CHECKING:  # SQLAlchemy loads with the first file, not with the server
    from freehold.storage.batches import BatchStore

MOST_FILES = 500
"""Of one caller."""
MOST_CALLER_BYTES = 2 * 1024**3
MOST_BYTES = 16 * 1024**3
"""Of all callers together."""
MOST_OPEN_BATCHES = 50
"""Of one caller, not over yet."""
SWEPT_AFTER_MS = 3600 * 1000
"""A file without a row may be about to get one."""

_FILE, _BATCH = "file-", "batch_"
_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode
_state = msgspec.json.Decoder(BatchState).decode


class Desk:
    """One per process."""

    def __init__(
        self,
        store_url: str,
        shelf: Shelf,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.shelf = shelf
        self.now_ms = now_ms
        self.work_came = asyncio.Event()
        """Set when there may be something for the runner to do."""
        self._store_url = store_url
        self._random_bytes = random_bytes
        self._store: BatchStore | None = None
        self._opening = asyncio.Lock()

    def new_id(self, prefix: str) -> str:
        """A fresh id, sortable by time."""
        return new_id(prefix, self.now_ms(), self._random_bytes(RANDOM_BYTES))

    async def ask(self, work: "Callable[[BatchStore], _T]") -> _T:
        """Ask the store, in a thread. Raises FaultError(LEDGER_BEHIND) while it is away."""
        try:
            async with self._opening:
                if self._store is None:
                    self._store = await asyncio.to_thread(self._open)
            return await asyncio.to_thread(work, self._store)
        except StoreError as error:
            fault = Fault(kind=Kind.LEDGER_BEHIND, message=f"files and batches cannot be reached now: {error}", retry_after_s=1.0)
            raise FaultError(fault) from error

    def _open(self) -> "BatchStore":
        from freehold.storage.batches import BatchStore  # noqa: PLC0415 - SQLAlchemy loads here, in a thread, when it is needed

        return BatchStore(self._store_url, now_ms=self.now_ms)

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    async def add_file(self, form: Form, caller: Caller) -> dict[str, object]:
        """Keep an uploaded file. Raises FaultError: INVALID_REQUEST, TOO_LARGE."""
        part = form.find("file")
        if part is None or not part.is_file or part.end == part.start:
            raise faulty(Kind.INVALID_REQUEST, "file: send one that is not empty, as a file of the form", param="file")
        if form.text("purpose") != "batch":
            raise faulty(Kind.INVALID_REQUEST, "purpose: files are kept for `batch` only", param="purpose")
        if any(part.name.startswith("expires_after") for part in form.parts):
            message = "expires_after: files are kept until they are deleted"
            raise faulty(Kind.UNSUPPORTED, message, param="expires_after")
        data = memoryview(form.body)[part.start : part.end]
        await self._require_room(caller, len(data))
        name = (part.filename or "").rpartition("/")[2][:200] or "batch.jsonl"
        file_id = self.new_id(_FILE)
        await asyncio.to_thread(self.shelf.put, file_id, data)  # the bytes first, so that no row is without them
        row = FileRow(
            file_id=file_id,
            caller_key=caller.key,
            caller_user=caller.user,
            purpose="batch",
            filename=name,
            size_bytes=len(data),
            created_ms=self.now_ms(),
        )
        await self.ask(lambda store: store.add_file(row))
        return told_file(row)

    async def sweep(self) -> int:
        """Remove what a crash left on disk without a row; how many files that were."""
        rows = await self.ask(lambda store: store.unfinished())
        states = [_state(row.state) for row in rows]
        under_way = {name for state in states for name in (state.output_file_id, state.error_file_id)}
        known = await self.ask(lambda store: store.file_ids())
        young_ms = self.now_ms() - SWEPT_AFTER_MS
        return await asyncio.to_thread(self.shelf.sweep, lambda name: name in known or name in under_way, young_ms / 1000)

    async def _require_room(self, caller: Caller, more_bytes: int) -> None:
        if not self.shelf.is_used:
            return
        count, own_bytes = await self.ask(lambda store: store.kept(caller))
        _, all_bytes = await self.ask(lambda store: store.kept())
        if count >= MOST_FILES or own_bytes + more_bytes > MOST_CALLER_BYTES:
            message = (
                f"you keep {count} files of {own_bytes} bytes, and {MOST_FILES} of {MOST_CALLER_BYTES} are allowed; delete some"
            )
            raise faulty(Kind.TOO_LARGE, message, limit_bytes=MOST_CALLER_BYTES)
        if all_bytes + more_bytes > MOST_BYTES:
            raise faulty(Kind.TOO_LARGE, f"all files together may have {MOST_BYTES} bytes; some must be deleted first")

    async def file(self, file_id: str, caller: Caller) -> FileRow:
        """The caller's file. Raises FaultError(NOT_FOUND)."""
        found = await self.ask(lambda store: store.file(file_id, caller)) if self.shelf.is_used else None
        if found is None:
            raise faulty(Kind.NOT_FOUND, "you have no file of this id; GET /v1/files lists those you have")
        return found

    async def files(self, caller: Caller, *, after: str | None, limit: int, purpose: str | None) -> list[dict[str, object]]:
        """The caller's files, newest first; one more than `limit` where there are more.

        `after`: an id that a file has or had: clients delete the files of a page before they ask for the next one.
        Raises FaultError(INVALID_REQUEST).
        """
        if after is not None and not is_id(_FILE, after):
            raise faulty(Kind.INVALID_REQUEST, "after: there is no file of this id", param="after")
        if not self.shelf.is_used:
            return []
        rows = await self.ask(lambda store: store.list_files(caller, after=after, limit=limit + 1, purpose=purpose))
        return [told_file(row) for row in rows]

    async def drop_file(self, file_id: str, caller: Caller) -> None:
        """Delete the caller's file. Raises FaultError: NOT_FOUND, INVALID_REQUEST while a batch reads it."""
        await self.file(file_id, caller)
        try:
            await self.ask(lambda store: store.drop_file(file_id, caller))
        except ValueError as error:
            raise faulty(Kind.INVALID_REQUEST, str(error)) from None
        await asyncio.to_thread(self.shelf.drop, file_id)

    async def add_batch(self, body: bytes, headers: Mapping[str, str], caller: Caller) -> dict[str, object]:
        """Take on a batch. Raises FaultError."""
        asked = read_batch_request(body)
        kept = {
            name: value
            for name, value in headers.items()
            if name in {LABEL_HEADER, DATASET_HEADER, PROJECT_HEADER, CEILING_HEADER} or name.startswith(HINT_PREFIX)
        }
        label_said(kept)  # a header that no line could be decided with is told now
        effective_ceiling(caller.ceiling, caller, kept)
        file = await self.file(asked.input_file_id, caller)
        if file.purpose != "batch":
            raise faulty(Kind.INVALID_REQUEST, "input_file_id: is not a file for a batch", param="input_file_id")
        listed = await self.ask(lambda store: store.unfinished())
        if sum((row.caller.key, row.caller.user) == (caller.key, caller.user) for row in listed) >= MOST_OPEN_BATCHES:
            raise faulty(
                Kind.INVALID_REQUEST, f"you have {MOST_OPEN_BATCHES} batches that are not over; wait for one, or cancel it"
            )
        now_ms = self.now_ms()
        row = BatchRow(
            batch_id=self.new_id(_BATCH),
            caller=caller,
            headers=kept,
            endpoint=asked.endpoint,
            input_file_id=asked.input_file_id,
            metadata=asked.metadata or {},
            created_ms=now_ms,
            expires_ms=now_ms + WINDOW_MS,
            is_over=False,
            state=msgspec.Raw(_encode(BatchState())),
        )
        await self.ask(lambda store: store.add_batch(row))
        self.work_came.set()
        return told_batch(row)

    async def batch(self, batch_id: str, caller: Caller) -> BatchRow:
        """The caller's batch. Raises FaultError(NOT_FOUND)."""
        found = await self.ask(lambda store: store.batch(batch_id, caller)) if self.shelf.is_used else None
        if found is None:
            raise faulty(Kind.NOT_FOUND, "you have no batch of this id; GET /v1/batches lists those you have")
        return found

    async def batches(self, caller: Caller, *, after: str | None, limit: int) -> list[dict[str, object]]:
        """The caller's batches, newest first; one more than `limit` where there are more.

        `after`: a batch of the caller's. Raises FaultError(INVALID_REQUEST).
        """
        if after is not None and (not self.shelf.is_used or await self.ask(lambda store: store.batch(after, caller)) is None):
            raise faulty(Kind.INVALID_REQUEST, "after: you have no batch of this id", param="after")
        if not self.shelf.is_used:
            return []
        rows = await self.ask(lambda store: store.list_batches(caller, after=after, limit=limit + 1))
        return [told_batch(row) for row in rows]

    async def cancel(self, batch_id: str, caller: Caller) -> dict[str, object]:
        """Ask a batch to end. Raises FaultError: NOT_FOUND, INVALID_REQUEST where it is over already."""
        row = await self.batch(batch_id, caller)
        if row.is_over:
            raise faulty(Kind.INVALID_REQUEST, f"the batch is {_state(row.state).status} already")

        def turn(state: BatchState) -> BatchState:
            if state.status not in {"validating", "in_progress"}:
                return state
            return msgspec.structs.replace(state, status="cancelling", cancelling_ms=self.now_ms())

        await self.change(batch_id, turn)
        self.work_came.set()
        return told_batch(await self.batch(batch_id, caller))

    async def change(self, batch_id: str, turn: Callable[[BatchState], BatchState]) -> BatchState:
        """Change a batch's state in one transaction; returns the new one."""

        def write(raw: msgspec.Raw) -> tuple[bytes, bool]:
            state = turn(_state(raw))
            return _encode(state), state.status in FINAL

        return _state(await self.ask(lambda store: store.change(batch_id, write)))


def told_batch(row: BatchRow) -> dict[str, object]:
    """A batch as clients see it."""
    return write_batch(
        row.batch_id,
        endpoint=row.endpoint,
        input_file_id=row.input_file_id,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        metadata=row.metadata,
        state=_state(row.state),
    )


def told_file(row: FileRow) -> dict[str, object]:
    """A file as clients see it."""
    return write_file(
        row.file_id, size_bytes=row.size_bytes, created_ms=row.created_ms, filename=row.filename, purpose=row.purpose
    )
