"""Follows one batch at a vendor: its file is left there, it is made, looked at, brought back, and removed.

Promised: every step is written down before it is taken where it cannot be taken twice, so that a server that is killed at any
moment goes on with the same file and the same batch there: before it makes a second one it looks for the first. What egress
allows is asked before every call; while nothing may leave, it waits. A batch of ours that is cancelled, late or too large is
cancelled there, too. Files there are removed once all results are durable here. Waits grow to a minute; there is no busy loop.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from freehold.dispatch.attempt import NEVER_ARRIVED, Means
from freehold.fault import Fault, FaultError, Kind
from freehold.runtime import Egress, lower
from freehold.server.batches.desk import Desk
from freehold.server.batches.relay_files import RelayFiles
from freehold.server.batches.settling import Settler
from freehold.server.batches.vendor_calls import VendorCalls, is_missing, is_refusal
from freehold.server.batches.work import MOST_RESULT_BYTES, Work
from freehold.server.context import Context
from freehold.storage.batch_rows import BatchRow
from freehold.wire.batch_client import State
from freehold.wire.batches import BatchState, Stage, VendorBatch

FIRST_WAIT_S, LONGEST_WAIT_S, GROWTH = 0.5, 60.0, 1.6
LOOKS_EACH_S = 2.0
"""While it waits: whether the batch was cancelled."""
PATIENCE_MS = 3600 * 1000
"""How long a vendor has to end what was cancelled, or is late, before nobody can say any more what became of it."""
MOST_CLEANINGS = 8
"""How often it is tried to remove files that nobody needs any more."""
NOT_NOW = frozenset({Kind.EGRESS_REFUSED, Kind.NO_DEPLOYMENT})
"""It may not be called, or is not there any more: nothing has left."""


class Kit(msgspec.Struct, frozen=True):
    """What every follower works with."""

    desk: Desk
    context: Context
    means: Means
    settler: Settler
    ceiling: Callable[[BatchRow], Egress]
    """Of a batch's lines, as it stands now."""
    flushed: Callable[[], Awaitable[None]]
    """All rows are durable. Raises FaultError."""
    chance: Callable[[], float]
    """0 to 1."""


class Follower:
    """One vendor's batch, as it is followed; one task each."""

    def __init__(self, kit: Kit, work: Work, begun: VendorBatch) -> None:
        self._kit, self._work, self._batch = kit, work, begun
        self._files = RelayFiles(kit.desk.shelf, begun.id)
        self._calls = VendorCalls(
            kit.means.upstreams,
            lambda: kit.context.intake.snapshot,
            begun.runtime,
            lambda: lower(kit.ceiling(work.row), Egress.VENDOR),
        )
        self._is_first = True
        """Nothing was tried at this stage yet, by this process or another."""
        self._was_cancelled = False
        self._cleanings = 0
        self._wait_s = FIRST_WAIT_S
        self._told = ""

    async def run(self) -> None:
        """Until it is over."""
        self._is_first = self._batch.stage in {"gathered", "uploaded"}
        while self._batch.stage != "over":
            before = self._batch
            try:
                await self._step(await self._work.goes_on())
            except FaultError as error:
                await self._trouble(error.fault)
                continue
            if self._batch is before:
                await self._wait(None)
            else:
                self._wait_s, self._told = FIRST_WAIT_S, ""

    async def _step(self, goes_on: bool) -> None:
        match self._batch.stage:
            case "gathered":
                may_leave = self._kit.ceiling(self._work.row) is Egress.VENDOR
                await (self._turn("sending") if goes_on and may_leave else self._let_go())
            case "sending":
                await self._send(goes_on=goes_on)
            case "uploaded":
                await (self._turn("making") if goes_on else self._let_go())
            case "making":
                await self._make(goes_on=goes_on)
            case "made":
                await self._look(goes_on=goes_on)
            case "ended":
                await self._bring_back()
            case "settled":
                await self._clean_up()

    async def _send(self, *, goes_on: bool) -> None:
        """Leave the file there; one that an earlier try has left is taken."""
        name = f"{self._batch.id}.jsonl"
        found = None if self._is_first else await self._unless_refused(self._calls.find_file(name))
        if found is None and not goes_on:
            await self._let_go()
            return
        data = b"" if found is not None else await asyncio.to_thread(self._files.input)
        await self._kit.flushed()
        await self._turn("uploaded", file_id=found or await self._calls.upload(name, data))

    async def _unless_refused(self, asked: Awaitable[str | None]) -> str | None:
        """None where the vendor does not tell: another file there harms nobody."""
        try:
            return await asked
        except FaultError as error:
            if is_refusal(error.fault):
                return None
            raise

    async def _make(self, *, goes_on: bool) -> None:
        """Make the batch there, unless an earlier try has."""
        file_id = self._batch.file_id or ""
        found: State | None = None
        if not self._is_first:
            try:
                found = await self._calls.find_batch(file_id, self._batch.id)
            except FaultError as error:
                if not is_refusal(error.fault):
                    raise
                await self._turn("ended", status=None)  # one may be there, and another would do its lines twice
                return
        if found is None and not goes_on:
            await self._let_go()
            return
        made = found or await self._calls.make(file_id, self._work.row.endpoint, self._batch.id)
        await self._turn("made", batch_id=made.id)
        self._kit.context.log.event(
            "batch.handed_on", batch=self._work.row.batch_id, runtime=self._batch.runtime, vendor_batch=made.id
        )

    async def _look(self, *, goes_on: bool) -> None:
        batch_id = self._batch.batch_id or ""
        state = await self._calls.state(batch_id)
        if state.is_over:
            await self._turn("ended", status=state.status, output_file_id=state.output_file_id, error_file_id=state.error_file_id)
        elif not goes_on and not self._was_cancelled:
            self._was_cancelled = True
            self._wait_s = FIRST_WAIT_S
            try:
                await self._calls.cancel(batch_id)
            except FaultError as error:
                if not is_refusal(error.fault):
                    self._was_cancelled = False
                    raise
        elif not goes_on and self._is_past_patience():
            await self._turn("ended", status=None)

    async def _bring_back(self) -> None:
        """Fetch the results, settle every line, and only then call it settled."""
        batch = self._batch
        file_ids = tuple(one for one in (batch.output_file_id, batch.error_file_id) if one)
        status = batch.status
        if file_ids:
            try:
                await self._calls.fetch(file_ids, self._files, MOST_RESULT_BYTES)
            except FaultError as error:
                if not is_refusal(error.fault) and not self._is_past_patience():
                    raise
                status = None  # its results are gone: nobody can say what was done
        await self._kit.settler.settle(self._work, self._files, status)
        await self._kit.flushed()
        await self._turn("settled")

    async def _clean_up(self) -> None:
        """Remove what lies at the vendor, and what lies here. The batch is not held up for it."""
        batch = self._batch
        file_ids = [one for one in (batch.file_id, batch.output_file_id, batch.error_file_id) if one]
        self._cleanings += 1
        try:
            for file_id in file_ids:
                await self._calls.drop(file_id)
        except FaultError as error:
            may_help = error.fault.kind not in NOT_NOW and not is_refusal(error.fault)
            if may_help and self._cleanings < MOST_CLEANINGS:
                raise
            self._kit.context.log.event(
                "batch.files_left",
                level="warning",
                batch=self._work.row.batch_id,
                runtime=batch.runtime,
                files=" ".join(file_ids),
                reason=error.fault.message,
                says="they could not be removed there",
            )
        await asyncio.to_thread(self._files.remove)
        await self._turn("over")

    async def _let_go(self) -> None:
        """No batch was made there: nothing was asked, and nothing is charged."""
        await self._kit.settler.let_go(self._work, self._files)
        await self._kit.flushed()
        await self._turn("settled")

    async def _trouble(self, fault: Fault) -> None:
        """What goes on without the vendor does; everything else is tried again."""
        self._note(str(fault.kind), fault.message)
        stage, is_refused = self._batch.stage, is_refusal(fault)
        if fault.kind not in NOT_NOW and fault.kind not in NEVER_ARRIVED:
            self._is_first = False
        if stage == "made" and (is_missing(fault) or self._is_past_patience()):
            await self._turn("ended", status=None)
        elif (stage in {"sending", "making"} and is_refused) or (stage == "sending" and self._is_first and fault.kind in NOT_NOW):
            await self._let_go()
        elif stage in {"sending", "making"} and self._is_past_patience():
            await self._give_up()
        else:
            await self._wait(fault.retry_after_s)

    async def _give_up(self) -> None:
        """Nobody can say whether a batch is there. Where its file never was known to be, none can be."""
        if self._batch.stage == "sending":
            await self._let_go()
        else:
            await self._turn("ended", status=None)

    async def _wait(self, retry_after_s: float | None) -> None:
        wait_s = self._wait_s * (0.8 + 0.4 * self._kit.chance())
        self._wait_s = min(self._wait_s * GROWTH, LONGEST_WAIT_S)
        left_s = max(wait_s, retry_after_s or 0.0)
        was_going_on = self._work.state.status == "in_progress" and not self._work.is_late
        while left_s > 0:
            piece_s = min(left_s, LOOKS_EACH_S)
            await asyncio.sleep(piece_s)
            left_s -= piece_s
            if left_s > 0 and not await self._work.goes_on() and was_going_on:
                return

    def _is_past_patience(self) -> bool:
        """Whether it ended so long ago that the vendor will not end it any more."""
        state, row = self._work.state, self._work.row
        until_ms = row.expires_ms if state.cancelling_ms is None else min(row.expires_ms, state.cancelling_ms)
        return self._kit.desk.now_ms() > until_ms + PATIENCE_MS

    def _note(self, what: str, message: str) -> None:
        """Tell the log, once for each kind of trouble in a row."""
        if self._told != what:
            self._told = what
            self._kit.context.log.event(
                "batch.vendor_waits",
                level="warning",
                batch=self._work.row.batch_id,
                runtime=self._batch.runtime,
                stage=self._batch.stage,
                reason=message,
            )

    async def _turn(self, stage: Stage, **facts: str | None) -> None:
        """Write down how far it is."""
        turned = msgspec.structs.replace(self._batch, stage=stage, **facts)

        def turn(state: BatchState) -> BatchState:
            kept = tuple(turned if one.id == turned.id else one for one in state.vendor_batches)
            return msgspec.structs.replace(state, vendor_batches=kept)

        await self._work.change(turn)
        self._batch = turned
        self._is_first = stage in {"gathered", "sending", "uploaded", "making"}
