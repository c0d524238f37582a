"""Lets one request of each `Idempotency-Key` be served; whoever repeats it waits, and is given the same answer.

Promised: of all requests with one key, over all processes that share the store, one at a time is served, and none any more once
one was answered, or failed when that may have been paid. What became of a request that a killed process was serving nobody
knows: its key is not served again. Where nothing can have been paid, and nothing was answered, the key is free again. Where
the client itself left (its upstream is cancelled then), or the server stopped, the next repeat is served anew, and told so.

Deliberately not done: finishing upstream what nobody waits for any more.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Literal

import msgspec
from blake3 import blake3

from freehold.config.settings import IdempotencySettings
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.record import Outcome
from freehold.runtime import Egress
from freehold.server.idempotency.asked import Asked
from freehold.server.idempotency.copying import CopyingLine
from freehold.server.idempotency.sealing import SALT_BYTES, KeptAnswer, seal, unseal
from freehold.storage.idempotency import Claim, IdempotencyStore, Standing
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log

MIB = 1024 * 1024
FIRST_LOOK_S, LONGEST_LOOK_S = 0.05, 1.0
"""Between two looks at a request that another process serves."""
RETRY_AFTER_S = 1.0
WRITE_TRIES, WRITES_AGAIN_S = 4, 0.5
RENEWS_EACH_S, PRUNES_EACH = 20.0, 3
"""Leases are renewed so often, and with every third time what has ended is forgotten."""
IN_THREAD_BYTES = 128 * 1024
"""A longer answer is sealed and opened off the loop."""
MOST_UNSURE = 10_000
PARTED = frozenset({Kind.CLIENT_GONE, Kind.SHUTTING_DOWN})
"""Nobody was there to be answered, or we were not: no fault of the request's, so it may come again."""
LATE = frozenset({Kind.FIRST_CONTENT_TIMEOUT, Kind.CHUNK_TIMEOUT, Kind.TOTAL_TIMEOUT})
"""The same, where it is the client that would wait no longer."""


class Held:
    """A request that is served under its key."""

    __slots__ = ("after", "asked", "claim", "copy", "done")

    def __init__(self, asked: Asked, request_id: str) -> None:
        self.asked = asked
        self.claim = Claim(asked.digest, asked.fingerprint, request_id)
        self.after: str | None = None
        """The request that had the key before, was not answered, and may have been paid."""
        self.copy: CopyingLine | None = None
        """What its client is answered."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Its end is written down."""


class GivenAgain(msgspec.Struct, frozen=True):
    """The answer that the key's request got."""

    request_id: str
    answer: KeptAnswer


class Ending(msgspec.Struct, frozen=True):
    """How a request ended."""

    outcome: Outcome
    fault: Fault | None
    was_paid: bool
    """Somebody else may charge for it."""
    was_late: bool = False
    """It took longer than its client gave it."""
    ceiling: Egress = Egress.VENDOR
    """How far anything of it may go."""


class IdempotencyDesk:
    """One per process."""

    def __init__(
        self,
        open_store: Callable[[], IdempotencyStore],
        settings: Callable[[], IdempotencySettings],
        *,
        now: Callable[[], float],
        log: Log,
        secret: Callable[[], bytes] = bytes,
        store_egress: Egress = Egress.LOCAL,
    ) -> None:
        """`open_store` is called with the first key. `now`: monotonic seconds. `store_egress`: who runs the store; an answer
        that may not go there is not kept, sealed or not.

        `secret`: known to every process that shares the store, and not to the store; without it no kept answer can be read.
        """
        self._open_store, self.settings, self._now, self._log, self._secret = open_store, settings, now, log, secret
        self._store_egress = store_egress
        self._store: IdempotencyStore | None = None
        self._has_sealed = False
        """The first time loads the cipher, which takes too long for the loop."""
        self._held: dict[str, Held] = {}
        """Requests of this process, by digest; also those whose claim or end is being written."""
        self._unsure: set[str] = set()
        """Requests that were not served because their claim failed; it may stand all the same."""
        self._work: set[asyncio.Task[None]] = set()
        self._tending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Renew what is under way and forget what has ended, as long as there is any; also what was kept before we came."""
        if self._tending is None or self._tending.done():
            self._tending = asyncio.get_running_loop().create_task(self._tend(), name="idempotency")

    async def close(self) -> None:
        """Write down how requests ended, and let go of the store."""
        if self._tending is not None:
            self._tending.cancel()
        while self._work:
            await asyncio.wait(self._work)
        if self._store is not None:
            await self._store.close()

    async def admit(self, asked: Asked, request_id: str, wait_s: float) -> Held | GivenAgain:
        """The key is this request's now, until `end`; or what was answered to another one that had it.

        Waits for one that is under way, `wait_s` at most. Raises FaultError: IDEMPOTENCY_UNDER_WAY, IDEMPOTENCY_UNKNOWN,
        IDEMPOTENCY_MISMATCH, IDEMPOTENCY_AWAY.
        """
        ends_s, look_s = self._now() + min(wait_s, self.settings().wait_s), FIRST_LOOK_S
        while True:
            other = self._held.get(asked.digest)
            if other is not None:
                _require_same(asked, other)
                await self._wait(other.done, ends_s, other.claim.request_id)
                continue
            held = self._held[asked.digest] = Held(asked, request_id)
            standing = await self._claim(held)
            if standing.state == "claimed":
                held.after = standing.request_id
                self.start()
                return held
            if standing.state == "answered":
                return await self._given(standing, self._root(asked))
            if standing.state != "under_way":
                raise _refusal(standing)
            if not standing.is_own:
                await self._wait(None, ends_s, standing.request_id, look_s)
                look_s = min(look_s * 1.5, LONGEST_LOOK_S)
            elif not await self._was_never_served(asked, standing):
                raise _refusal(Standing("unknown", standing.request_id))

    def end(self, held: Held, ending: Ending) -> None:
        """It is over: keep what is to be said to a repeat. Nobody waits for that to be written but a repeat."""
        self._begin(self._end(held, ending))

    async def _claim(self, held: Held) -> Standing:
        """Ask for the key; who is not given it lets go. One who leaves meanwhile leaves nothing behind."""
        claiming = asyncio.ensure_future(self._opened().claim(held.claim, self.settings().keep_s))
        try:
            standing = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._begin(self._hand_back(held, claiming))
            raise
        except StoreError as error:
            if len(self._unsure) < MOST_UNSURE:
                self._unsure.add(held.claim.request_id)
            self._let_go(held)
            raise self._away(error) from error
        if standing.state != "claimed":
            self._let_go(held)
        return standing

    async def _hand_back(self, held: Held, claiming: "asyncio.Future[Standing]") -> None:
        """Whoever claimed it is gone before anything was sent."""
        try:
            standing = await claiming
            if standing.state == "claimed":
                await self._opened().release(held.claim, standing.request_id)
        except StoreError as error:
            self._unsure.add(held.claim.request_id)
            self._tell_unwritten(held, error)
        finally:
            self._let_go(held)

    async def _was_never_served(self, asked: Asked, standing: Standing) -> bool:
        """Whether it only seems that we serve it: its claim stands, though we were told that it failed."""
        if standing.request_id not in self._unsure:
            return False
        try:
            await self._opened().release(Claim(asked.digest, asked.fingerprint, standing.request_id))
        except StoreError as error:
            raise self._away(error) from error
        self._unsure.discard(standing.request_id)
        return True

    async def _wait(
        self, done: "asyncio.Future[None] | None", ends_s: float, request_id: str | None, look_s: float = float("inf")
    ) -> None:
        left_s = ends_s - self._now()
        if left_s <= 0:
            raise _under_way(request_id)
        wait_s = min(left_s, look_s)
        if done is None:
            await asyncio.sleep(wait_s)
        else:
            await asyncio.wait((done,), timeout=wait_s)

    async def _end(self, held: Held, ending: Ending) -> None:
        try:
            how = judge(ending, held.copy)
            sealed = await self._sealed(held, ending) if how == "answered" else None
            await self._write(held, how, sealed)
        except Exception as error:  # noqa: BLE001 - whoever waits must be let on, whatever happens here
            self._tell_unwritten(held, error)
        finally:
            self._let_go(held)

    async def _sealed(self, held: Held, ending: Ending) -> bytes | None:
        """None: it is too large to be kept, or may not go where it would be."""
        copy = held.copy
        if copy is None or copy.is_too_large or not self._store_egress.within(ending.ceiling):
            return None
        body = copy.body
        answer = KeptAnswer(
            status=copy.status or 0,
            headers=copy.headers,
            body=body,
            streams=copy.streams,
            is_whole=copy.is_whole,
            outcome=ending.outcome,
            fault=None if ending.fault is None else ending.fault.kind,
        )
        told = (answer, self._root(held.asked), held.claim.request_id, os.urandom(SALT_BYTES))
        return seal(*told) if self._is_quick(body) else await asyncio.to_thread(seal, *told)

    def _is_quick(self, data: bytes) -> bool:
        """Whether the loop may seal or open this itself."""
        has_sealed, self._has_sealed = self._has_sealed, True
        return has_sealed and len(data) < IN_THREAD_BYTES

    async def _given(self, standing: Standing, root: bytes) -> GivenAgain:
        """What was kept. Raises FaultError(IDEMPOTENCY_UNKNOWN)."""
        assert standing.request_id is not None
        sealed, request_id, answer = standing.answer, standing.request_id, None
        if sealed is not None:
            told = (sealed, root, request_id)
            answer = unseal(*told) if self._is_quick(sealed) else await asyncio.to_thread(unseal, *told)
        if answer is None:
            raise _not_kept(request_id, is_there=sealed is not None)
        return GivenAgain(request_id, answer)

    async def _write(self, held: Held, how: "How", sealed: bytes | None) -> None:
        store, tries = self._opened(), 0
        while True:
            try:
                if how == "answered":
                    await store.answered(held.claim, sealed, self.settings().max_mib * MIB)
                elif how == "left":
                    await store.left(held.claim)
                else:
                    await store.release(held.claim, held.after)
            except StoreError:
                tries += 1
                if tries == WRITE_TRIES:
                    raise
                await asyncio.sleep(WRITES_AGAIN_S)
            else:
                return

    async def _tend(self) -> None:
        is_needed, turn = True, 0
        while is_needed or self._held:
            await asyncio.sleep(RENEWS_EACH_S)
            turn += 1
            try:
                if self._held:
                    await self._opened().renew([held.claim for held in self._held.values()])
                if turn % PRUNES_EACH == 0:
                    is_needed = await self._opened().prune()
            except StoreError as error:
                self._log.event("idempotency.untended", level="warning", reason=str(error), says="it is tried again")
        store = self._store
        if store is not None and not self._held:
            self._store = None  # the next key opens it again
            await store.close()

    def _root(self, asked: Asked) -> bytes:
        """What answers to this key are sealed with."""
        return blake3(asked.root + self._secret()).digest()

    def _opened(self) -> IdempotencyStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _let_go(self, held: Held) -> None:
        if self._held.get(held.claim.digest) is held:
            del self._held[held.claim.digest]
        if not held.done.done():
            held.done.set_result(None)

    def _tell_unwritten(self, held: Held, error: Exception) -> None:
        self._log.event(
            "idempotency.unwritten",
            level="error",
            request_id=held.claim.request_id,
            reason=error,
            says="repeats of this request are told 409",
        )

    def _away(self, error: Exception) -> FaultError:
        self._log.event("idempotency.away", level="warning", reason=str(error))
        message = "the store of idempotency keys cannot be reached, so nothing was sent; ask again in a moment"
        return FaultError(Fault(kind=Kind.IDEMPOTENCY_AWAY, message=message, retry_after_s=RETRY_AFTER_S))


How = Literal["answered", "left", "release"]


def judge(ending: Ending, copy: CopyingLine | None) -> How:
    """What a repeat is to be told, by how the request ended and what its client was sent."""
    is_answered = copy is not None and copy.status is not None and copy.is_whole
    if is_answered and ending.outcome in {"served", "cancelled"}:
        return "answered"  # all of it was sent; whether it arrived is why clients ask again
    if not ending.was_paid:
        return "release"
    if ending.outcome == "served" or copy is None or copy.status is None:
        return "left"
    has_parted = ending.fault is not None and (ending.fault.kind in PARTED or (ending.was_late and ending.fault.kind in LATE))
    return "left" if has_parted else "answered"


def _not_kept(request_id: str, *, is_there: bool) -> FaultError:
    why = (
        "and what was kept of it cannot be read any more"
        if is_there
        else "and was too large, or may not go where answers are kept"
    )
    return faulty(
        Kind.IDEMPOTENCY_UNKNOWN,
        f"the answer to this Idempotency-Key went out as {request_id}, {why}; send a new key to ask anew",
        first_request_id=request_id,
    )


def _require_same(asked: Asked, other: Held) -> None:
    if asked.fingerprint != other.asked.fingerprint:
        raise _refusal(Standing("different", other.claim.request_id))


def _under_way(request_id: str | None) -> FaultError:
    message = f"the request with this Idempotency-Key is under way as {request_id}; ask again to get its answer"
    return FaultError(
        Fault(
            kind=Kind.IDEMPOTENCY_UNDER_WAY,
            message=message,
            retry_after_s=RETRY_AFTER_S,
            details={"first_request_id": request_id},
        )
    )


def _refusal(standing: Standing) -> FaultError:
    request_id = standing.request_id
    if standing.state == "different":
        return faulty(
            Kind.IDEMPOTENCY_MISMATCH,
            f"this Idempotency-Key was sent with another request, {request_id}; each request needs a key of its own",
            param="idempotency-key",
            first_request_id=request_id,
        )
    return faulty(
        Kind.IDEMPOTENCY_UNKNOWN,
        f"the request with this Idempotency-Key, {request_id}, was cut off with the server that served it: it may have been paid, "
        "and nobody knows its answer. Send a new key to ask, and pay, anew",
        first_request_id=request_id,
    )
