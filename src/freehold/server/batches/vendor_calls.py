"""Calls to a vendor's own Batch API: its files and its batches, through the one connector.

Promised: a call goes to the runtime as it is configured now, with its key and in its egress class, under a ceiling that is asked
for anew each time; so what is forbidden while a batch waits is not called. No prompt, answer or key is in a fault or in the log.
"""

import asyncio
import os
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.gateways.http import Call, Exchange, Upstreams
from freehold.runtime import Egress, Runtime, Vendor
from freehold.server.batches.relay_files import RelayFiles
from freehold.server.snapshot import Snapshot
from freehold.storage.whole_write import write_whole
from freehold.wire import batch_client as words
from freehold.wire.openai_faults import read_fault

MOST_ANSWER_BYTES = 4 * 1024 * 1024
MOST_FAULT_BYTES = 256 * 1024
MOST_PAGES = 20
"""Looked through for what is there already; the newest come first."""
LISTED = 100
PIECE_S = 60.0
"""For the next piece of an answer."""
JSON = (("content-type", "application/json"),)


class VendorCalls:
    """The calls for one vendor's batch."""

    def __init__(
        self, upstreams: Upstreams, snapshot: Callable[[], Snapshot], runtime: str, ceiling: Callable[[], Egress]
    ) -> None:
        self._upstreams, self._snapshot, self._runtime, self._ceiling = upstreams, snapshot, runtime, ceiling

    async def upload(self, filename: str, data: bytes) -> str:
        """Leave a file; its id."""
        content_type, body = words.write_upload(filename, data)
        return words.read_file(await self._ask("POST", words.FILES_PATH, (("content-type", content_type),), body)).id

    async def find_file(self, filename: str) -> str | None:
        """The file of that name, where it is there."""
        found = await self._find(f"{words.FILES_PATH}?purpose=batch&", words.read_files, lambda one: one.filename == filename)
        return None if found is None else found.id

    async def make(self, file_id: str, endpoint: str, own_id: str) -> words.State:
        """Make a batch of a file."""
        return words.read_state(
            await self._ask("POST", words.BATCHES_PATH, JSON, words.write_batch_request(file_id, endpoint, own_id))
        )

    async def find_batch(self, file_id: str, own_id: str) -> words.State | None:
        """The batch that was made of that file, or that has our name, where there is one."""
        return await self._find(
            f"{words.BATCHES_PATH}?", words.read_states, lambda one: one.own_id == own_id or one.input_file_id == file_id
        )

    async def _find(
        self, path: str, read: Callable[[bytes], words.Listed[words.Kept]], is_meant: Callable[[words.Kept], bool]
    ) -> words.Kept | None:
        """The newest of a list that is meant. `path` ends where the query goes on."""
        after = ""
        for _ in range(MOST_PAGES):
            page = read(await self._ask("GET", f"{path}limit={LISTED}{after}"))
            found = next(filter(is_meant, page.data), None)
            if found is not None or not page.has_more or not page.data:
                return found
            after = f"&after={_part(page.data[-1].id)}"
        return None

    async def state(self, batch_id: str) -> words.State:
        """How the batch stands."""
        return words.read_state(await self._ask("GET", f"{words.BATCHES_PATH}/{_part(batch_id)}"))

    async def cancel(self, batch_id: str) -> None:
        """Ask it to end."""
        await self._ask("POST", f"{words.BATCHES_PATH}/{_part(batch_id)}/cancel", JSON, b"{}")

    async def drop(self, file_id: str) -> None:
        """Remove a file; nothing where it is gone."""
        try:
            await self._ask("DELETE", f"{words.FILES_PATH}/{_part(file_id)}")
        except FaultError as error:
            if not is_missing(error.fault):
                raise

    async def fetch(self, file_ids: tuple[str, ...], files: RelayFiles, most_bytes: int) -> None:
        """Get these files, one behind the other. Raises OSError too; FaultError(INVALID_REPLY) where they are larger."""
        descriptor = await asyncio.to_thread(files.begin_results)
        try:
            size = 0
            for file_id in file_ids:
                exchange = await self._open("GET", f"{words.FILES_PATH}/{_part(file_id)}/content", (), b"")
                while True:
                    exchange.arm(PIECE_S, Kind.CHUNK_TIMEOUT)
                    data = await exchange.chunk()
                    size += len(data)
                    if size > most_bytes:
                        exchange.abort()
                        raise faulty(Kind.INVALID_REPLY, f"the results of the vendor's batch are larger than {most_bytes} bytes")
                    await asyncio.to_thread(write_whole, descriptor, data or b"\n")  # a file's last line may lack its end
                    if not data:
                        break
        finally:
            os.close(descriptor)

    async def _ask(self, method: str, path: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> bytes:
        exchange = await self._open(method, path, headers, body)
        exchange.arm(PIECE_S, Kind.CHUNK_TIMEOUT)
        return await exchange.read(MOST_ANSWER_BYTES)

    async def _open(self, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Exchange:
        """Raises FaultError; a status of 300 and more is one."""
        snapshot = self._snapshot()
        runtime = self._vendor(snapshot)
        reach = snapshot.reaches.find(runtime.name)
        call = Call(
            address=reach.address,
            method=method,
            path=path,
            headers=(*headers, *reach.credentials("openai_chat")),
            body=body,
            egress=Egress.VENDOR,
            ceiling=self._ceiling(),
            connect_timeout_s=runtime.connect_timeout_s,
            head_timeout_s=runtime.first_content_timeout_s,
            max_connections=runtime.max_connections,
            is_background=True,
        )
        exchange = await self._upstreams.open(call)
        if exchange.status < 300:
            return exchange
        exchange.arm(PIECE_S, Kind.FIRST_CONTENT_TIMEOUT)
        try:
            said = await exchange.read(MOST_FAULT_BYTES) if exchange.status >= 400 else b""
        except FaultError:
            said = b""
        exchange.abort()
        fault = read_fault(exchange.status, exchange.headers, said)
        # Its own words may quote a line.
        message = f"the vendor's Batch API answered {method} {path.partition('?')[0]} with {exchange.status}"
        raise FaultError(msgspec.structs.replace(fault, message=message, status=exchange.status))

    def _vendor(self, snapshot: Snapshot) -> Runtime:
        """The runtime as it is now. Raises FaultError."""
        placed = next((one for one in snapshot.policy.placed.values() if one.runtime.name == self._runtime), None)
        if placed is None or not isinstance(placed.runtime, Vendor):
            message = f"runtime '{self._runtime}' is not configured any more, and a batch of ours is there"
            raise FaultError(Fault(kind=Kind.NO_DEPLOYMENT, message=message))
        return placed.runtime


def _part(vendor_id: str) -> str:
    """An id that a vendor gave, as one part of a path and nothing more."""
    return quote(vendor_id, safe="")


def is_missing(fault: Fault) -> bool:
    """The vendor knows of no such thing."""
    return fault.status == 404


def is_refusal(fault: Fault) -> bool:
    """The vendor will not take it, however often it is asked."""
    return fault.status is not None and 400 <= fault.status < 500 and fault.status not in {408, 409, 425, 429}
