"""Idempotency keys in the ledger's database: who serves a key, and what its request was answered.

Promised: of any number of claims to one key, by any number of processes, one is given, before it returns durable like a
reservation of money; a claim outlives the process that made it, so that what became of its request stays open until the key
is forgotten. Every step may be repeated. Not done here: what a digest is made of, encryption (`server.idempotency`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from freehold.storage.opened_budgets import sql_rows
from freehold.storage.owners import is_dead, own_name

if TYPE_CHECKING:
    from freehold.storage.budget_steps import Steps

LAPSES_AFTER_MS = 90_000
"""A request of a process that we cannot look at is taken for lost when it was not renewed for so long."""
MOST_PRUNED = 500
"""Keys forgotten in one step: others wait while it lasts."""
STORED = "idempotency_bytes"
"""The row of `meta` that says how large all kept answers are."""
State = Literal["claimed", "under_way", "answered", "unknown", "different"]


class Claim(msgspec.Struct, frozen=True):
    """A request that wants to be the one that is served under its key."""

    digest: str
    fingerprint: str
    request_id: str


class Standing(msgspec.Struct, frozen=True):
    """How a key stands, after a claim to it."""

    state: State
    """`unknown`: begun by a process that is gone; `different`: with another fingerprint."""
    request_id: str | None = None
    """The request that has, or last had, the key; None: nobody had it."""
    answer: bytes | None = None
    """As it was kept, where the state is `answered`. None: it was too large."""
    is_own: bool = False
    """It is this very process that serves it, or did."""


class IdempotencyStore:
    """One per process. Raises StoreError from every call while the database is away."""

    def __init__(self, url: str, *, now_ms: Callable[[], int], owner: str | None = None) -> None:
        """In the database at `url`, which `prepare` made usable. Nothing is opened yet. Raises StoreError.

        `owner` names whoever serves, as `storage.owners` does; None: this process.
        """
        self._rows, self._now_ms, self._owner = sql_rows(url, now_ms), now_ms, owner or own_name()

    async def claim(self, claim: Claim, keep_s: float) -> Standing:
        """Take the key, or say why not. `claimed` with a request id: that one's client left, and it may have been paid."""
        return await self._rows.ask(lambda steps: self._claim(steps, claim, round(keep_s * 1000)))

    async def renew(self, claims: Sequence[Claim]) -> None:
        """These requests are still under way."""
        await self._rows.ask(lambda steps: self._renew(steps, claims))

    async def answered(self, claim: Claim, answer: bytes | None, most_bytes: float) -> None:
        """The request was answered so. The answer is kept unless all of them would be larger than `most_bytes`."""
        await self._rows.ask(lambda steps: _answered(steps, claim, answer, most_bytes))

    async def left(self, claim: Claim) -> None:
        """Nobody was answered, though some of it may have been paid: the next claim is given, and told."""
        await self._rows.ask(lambda steps: _change(steps, "UPDATE idempotency_keys SET state = 'left'", claim))

    async def release(self, claim: Claim, after: str | None = None) -> None:
        """As if it never had been: nothing was paid, and nobody has to be told anything again.

        `after` is the request that the key was claimed after, which may have been paid: the key stands as that one left it.
        """
        await self._rows.ask(lambda steps: _release(steps, claim, after))

    async def prune(self) -> bool:
        """Forget what has ended. Gives whether keys are left that will end."""
        while await self._rows.ask(self._prune):
            pass
        return await self._rows.ask(lambda steps: steps.run("SELECT 1 FROM idempotency_keys LIMIT 1").fetchone() is not None)

    async def close(self) -> None:
        """Finish what was asked for, and let go of the connection."""
        await self._rows.close()

    # Steps.

    def _claim(self, steps: "Steps", claim: Claim, keep_ms: int) -> Standing:
        now_ms = self._now_ms()
        row = (claim.digest, claim.fingerprint, claim.request_id, self._owner, now_ms + LAPSES_AFTER_MS, now_ms + keep_ms)
        put = "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, 'under_way', ?, ?, 0, NULL) ON CONFLICT DO NOTHING"
        if steps.run(put, *row).rowcount:
            return Standing("claimed")
        wanted = "SELECT fingerprint, request_id, owner, state, lapses_ms, ends_ms, answer FROM idempotency_keys WHERE digest = ?"
        fingerprint, request_id, owner, state, lapses_ms, ends_ms, answer = steps.run(wanted, claim.digest).fetchone()
        if ends_ms <= now_ms:
            _forget(steps, claim.digest)
            steps.run(put, *row)
            return Standing("claimed")
        if fingerprint != claim.fingerprint:
            return Standing("different", request_id)
        if request_id == claim.request_id:
            return Standing("claimed")
        is_own = owner == self._owner
        if state == "answered":
            return Standing("answered", request_id, None if answer is None else bytes(answer), is_own)
        if state == "under_way":
            is_lost = lapses_ms <= now_ms or (not is_own and is_dead(owner))
            return Standing("unknown" if is_lost else "under_way", request_id, None, is_own)
        took = "UPDATE idempotency_keys SET state = 'under_way', request_id = ?, owner = ?, lapses_ms = ? WHERE digest = ?"
        steps.run(took, claim.request_id, self._owner, now_ms + LAPSES_AFTER_MS, claim.digest)
        return Standing("claimed", request_id)

    def _renew(self, steps: "Steps", claims: Sequence[Claim]) -> None:
        lapses_ms = self._now_ms() + LAPSES_AFTER_MS
        for claim in claims:
            renewed = "UPDATE idempotency_keys SET lapses_ms = ? WHERE digest = ? AND request_id = ?"
            steps.run(renewed, lapses_ms, claim.digest, claim.request_id)

    def _prune(self, steps: "Steps") -> bool:
        wanted = "SELECT digest FROM idempotency_keys WHERE ends_ms <= ? ORDER BY ends_ms LIMIT ?"
        ended = steps.run(wanted, self._now_ms(), MOST_PRUNED).fetchall()
        for (digest,) in ended:
            _forget(steps, digest)
        return len(ended) == MOST_PRUNED


def _release(steps: "Steps", claim: Claim, after: str | None) -> None:
    if after is None:
        _change(steps, "DELETE FROM idempotency_keys", claim)
    else:
        _change(steps, "UPDATE idempotency_keys SET state = 'left', request_id = ?", claim, after)


def _change(steps: "Steps", what: str, claim: Claim, *parameters: object) -> bool:
    """Only while the key is still this request's, and under way; whether it was."""
    whose = " WHERE digest = ? AND request_id = ? AND state = 'under_way'"
    return steps.run(what + whose, *parameters, claim.digest, claim.request_id).rowcount > 0


def _answered(steps: "Steps", claim: Claim, answer: bytes | None, most_bytes: float) -> None:
    stored = int(steps.fact(STORED, "0") or 0)
    if answer is not None and stored + len(answer) > most_bytes:
        answer = None
    size = 0 if answer is None else len(answer)
    kept = "UPDATE idempotency_keys SET state = 'answered', size_bytes = ?, answer = ?"
    if _change(steps, kept, claim, size, answer) and size:
        _count(steps, stored + size)


def _forget(steps: "Steps", digest: str) -> None:
    row = steps.run("DELETE FROM idempotency_keys WHERE digest = ? RETURNING size_bytes", digest).fetchone()
    if row is not None and row[0]:
        _count(steps, max(int(steps.fact(STORED, "0") or 0) - cast("int", row[0]), 0))


def _count(steps: "Steps", stored: int) -> None:
    steps.run("UPDATE meta SET value = ? WHERE name = ?", str(stored), STORED)
