"""Hands lines of a batch on to a vendor's own Batch API: gathers them once, and has what was gathered followed to its end.

Promised: a batch is gathered once, whatever is killed meanwhile: what was half gathered was not sent, and is let go first. Not
done: a vendor's webhook; one vendor's batch for several of ours; gathering again what a vendor left undone.
"""

import asyncio
from collections.abc import Callable

import msgspec

from freehold.dispatch.attempt import Means
from freehold.fault import Fault, FaultError, Kind
from freehold.routing.features import effective_ceiling
from freehold.runtime import Egress
from freehold.server.batches.desk import Desk
from freehold.server.batches.following import Follower, Kit
from freehold.server.batches.gathering import Gatherer
from freehold.server.batches.lines import BatchIntake
from freehold.server.batches.relay_files import RelayFiles, left_behind
from freehold.server.batches.settling import Settler
from freehold.server.batches.work import Work
from freehold.server.context import Context
from freehold.storage.batch_rows import BatchRow
from freehold.wire.batches import VendorBatch

FLUSHES_WITHIN_S = 60.0


class Relaying:
    """One per process. `flush` waits (it blocks) until all rows are durable; `chance` gives 0 to 1."""

    def __init__(
        self, desk: Desk, context: Context, means: Means, *, flush: Callable[[float], bool], chance: Callable[[], float]
    ) -> None:
        self._desk, self._context, self._flush = desk, context, flush
        self._gatherer = Gatherer(desk, context, means)
        self._settler = Settler(means, context.ledger, lambda: context.intake.snapshot.budgets is not None)
        self._kit = Kit(desk, context, means, self._settler, self.ceiling, self._flushed, chance)

    async def take_up(self, work: Work) -> tuple[VendorBatch, ...]:
        """The vendor's batches of this batch that are not over: gathered now, or taken up where an earlier process left them.

        Raises FaultError, OSError.
        """
        if not work.state.is_gathered and self._gatherer.may_relay(work.row) and await work.goes_on():
            await self._clear(work)
            gathered = await self._gatherer.gather(work)
            await work.change(lambda state: msgspec.structs.replace(state, is_gathered=True, vendor_batches=gathered))
        elif not work.state.is_gathered:
            await self._clear(work)
            return ()
        under_way = tuple(one for one in work.state.vendor_batches if one.stage != "over")
        for one in under_way:
            if one.stage != "settled":
                files = RelayFiles(self._desk.shelf, one.id)
                work.away |= await asyncio.to_thread(_custom_ids, files)
        await work.rewind()
        return under_way

    async def _clear(self, work: Work) -> None:
        """Let go of what a crash left half gathered: none of it was sent."""
        for own_id in sorted(await asyncio.to_thread(left_behind, self._desk.shelf, work.row.batch_id)):
            await self._let_go(work, RelayFiles(self._desk.shelf, own_id))

    async def _let_go(self, work: Work, files: RelayFiles) -> None:
        await self._settler.let_go(work, files)
        await self._flushed()
        await asyncio.to_thread(files.remove)

    async def _flushed(self) -> None:
        """All rows are durable: what they were made from may go. Raises FaultError."""
        if not await asyncio.to_thread(self._flush, FLUSHES_WITHIN_S):
            raise FaultError(Fault(kind=Kind.LEDGER_BEHIND, message="the store does not take rows"))

    async def follow(self, work: Work, begun: VendorBatch) -> None:
        """See one vendor's batch through to its end. Raises OSError, FaultError from our own store."""
        await Follower(self._kit, work, begun).run()

    def ceiling(self, row: BatchRow) -> Egress:
        """The ceiling of its lines as it stands now; its caller's as it was, where that key is gone."""
        intake = self._context.intake
        try:
            caller = BatchIntake(intake, row.caller).identify(row.headers, "batches")
        except FaultError:
            caller = row.caller
        return effective_ceiling(intake.policy.server_ceiling, caller, row.headers)


def _custom_ids(files: RelayFiles) -> set[str]:
    return {line.custom_id for line in files.lines()}
