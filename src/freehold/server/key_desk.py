"""Where keys are made, rotated and revoked for whoever administers a running server: what one key may do to another.

Promised: the server's own key may do everything; another key makes none that may do more than itself, revokes none that
may, and is given a new secret only for itself and for keys that it made: a secret opens files. Nothing here blocks the loop. A change
holds in this process when its call returns. Not done here: HTTP (`endpoints.keys`).
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.features import Caller
from freehold.identity.callers import SERVER
from freehold.identity.issuing import LONGEST_OVERLAP_S, KeyWanted, draw, issue, state_of, told_key, why_beyond
from freehold.secret import Secret
from freehold.server.key_watch import KeyWatch
from freehold.storage.key_rows import KeyRow, NameTakenError, NoKeyError
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log

if TYPE_CHECKING:  # SQLAlchemy loads with the first change, not with the server
    from freehold.storage.keys import KeyStore

_T = TypeVar("_T")


class KeyDesk:
    """One per process."""

    def __init__(self, store_url: str, watch: KeyWatch, *, now_ms: Callable[[], int], log: Log) -> None:
        self._store_url, self._watch, self._now_ms, self._log = store_url, watch, now_ms, log

    async def all(self) -> list[dict[str, Any]]:
        """Every key as it is shown, by name."""
        now_ms = self._now_ms()
        return [told_key(row, now_ms) for row in await self._ask(lambda store: store.all())]

    async def one(self, name: str) -> dict[str, Any]:
        """One of them. Raises FaultError(NOT_FOUND)."""
        return told_key(await self._find(name), self._now_ms())

    async def make(self, wanted: KeyWanted, maker: Caller) -> dict[str, Any]:
        """A new key, with its secret as `key`. Raises FaultError: INVALID_REQUEST, FORBIDDEN."""
        now_ms = self._now_ms()
        try:
            row, secret = issue(wanted, by=maker.key, now_ms=now_ms)
        except ValueError as error:
            raise faulty(Kind.INVALID_REQUEST, str(error), param=str(error).partition(":")[0]) from None
        self._require_within(row, maker, "make")
        try:
            await self._ask(lambda store: store.add(row))
        except NameTakenError as error:
            raise faulty(Kind.INVALID_REQUEST, f"name: {error}", param="name") from None
        await self._watch.look()
        self._log.event("key.made", key=row.name, by=maker.key)
        return {"key": secret.reveal(), **told_key(row, now_ms)}

    async def revoke(self, name: str, maker: Caller) -> dict[str, Any]:
        """End a key now and for good. Raises FaultError: NOT_FOUND, FORBIDDEN."""
        self._require_within(await self._find(name), maker, "revoke")
        await self._ask(lambda store: store.revoke(name=name))
        await self._watch.look()
        self._log.event("key.revoked", key=name, by=maker.key)
        return await self.one(name)

    async def rotate(self, name: str, overlap_s: float, maker: Caller) -> dict[str, Any]:
        """A new secret, as `key`; the present one still opens for so long. Raises FaultError: NOT_FOUND, FORBIDDEN, INVALID_REQUEST."""
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            raise faulty(Kind.INVALID_REQUEST, f"overlap_s: 0 to {LONGEST_OVERLAP_S}", param="overlap_s")
        row, now_ms = await self._find(name), self._now_ms()
        if maker.key not in {SERVER, row.name, row.created_by}:
            message = f"a new secret opens what is kept under {name!r}; the key {maker.key!r} did not make it"
            raise faulty(Kind.FORBIDDEN, message)
        self._require_within(row, maker, "rotate")
        if (state := state_of(row, now_ms)) != "active":
            raise faulty(Kind.INVALID_REQUEST, f"the key {name!r} is {state}; make a new one")
        secret = await self._rotated(name, overlap_s, now_ms)
        await self._watch.look()
        self._log.event("key.rotated", key=name, by=maker.key)
        return {"key": secret.reveal(), **await self.one(name)}

    async def _rotated(self, name: str, overlap_s: float, now_ms: int) -> Secret:
        secret, kept = draw(now_ms)
        await self._ask(lambda store: store.rotate(name, kept, former_ends_ms=now_ms + round(overlap_s * 1000)))
        return secret

    async def _find(self, name: str) -> KeyRow:
        return await self._ask(lambda store: store.find(name))

    def _require_within(self, row: KeyRow, maker: Caller, verb: str) -> None:
        beyond = None if maker.key == SERVER else why_beyond(row, maker)
        if beyond is not None:
            raise faulty(Kind.FORBIDDEN, f"the key {maker.key!r} may not {verb} one with {beyond}")

    async def _ask(self, work: "Callable[[KeyStore], _T]") -> _T:
        try:
            return await asyncio.to_thread(self._work, work)
        except NoKeyError as error:
            raise faulty(Kind.NOT_FOUND, str(error.args[0])) from None
        except StoreError as error:
            fault = Fault(kind=Kind.LEDGER_BEHIND, message=f"keys cannot be reached now: {error}", retry_after_s=1.0)
            raise FaultError(fault) from error

    def _work(self, work: "Callable[[KeyStore], _T]") -> _T:
        from freehold.storage.keys import KeyStore  # noqa: PLC0415 - SQLAlchemy loads here, in a thread, when it is needed

        store = KeyStore(self._store_url, now_ms=self._now_ms)
        try:
            return work(store)
        finally:
            store.close()
