"""What becomes of each line that was handed on: its answer as the client is given it, its money, its rows.

Promised: a line is settled by what its own answer reports, at the price of batches; one that was never asked, or turned down,
costs nothing; one of which nobody can say is taken to have cost what was reserved. Money is settled before the answer counts as
the line's result, and all of it may be repeated: whatever is killed in between, it is done once. A line that any other deployment
could answer better is left to be asked by itself, as a fallback would.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from freehold.dispatch.attempt import Means
from freehold.dispatch.batched import NOT_SENT, ended, free_of_charge, never_sent, not_answered, read_answer
from freehold.fault import FaultError
from freehold.ledger import Ledger
from freehold.limits.kept_holds import restore_hold
from freehold.record import AttemptRecord
from freehold.runtime import Placed
from freehold.server.batches.lines import CHATS, Result
from freehold.server.batches.relay_files import RelayFiles, SentLine
from freehold.server.batches.work import Work
from freehold.wire.batch_client import Answered, read_answered
from freehold.wire.batches import BatchLine
from freehold.wire.codec import Asked, Codec
from freehold.wire.formats import CODECS
from freehold.wire.statuses import status_of

LONGEST_RESULT_BYTES = 64 * 1024 * 1024
NEVER_ASKED = frozenset({"failed", "expired", "cancelled", NOT_SENT})
"""Where a vendor's batch ends so, a line without an answer was not done, and is not charged."""


class Settler:
    """Settles lines. Used by one task at a time per vendor's batch."""

    def __init__(self, means: Means, ledger: Ledger, has_budgets: Callable[[], bool]) -> None:
        self._means, self._ledger, self._has_budgets = means, ledger, has_budgets

    async def settle(self, work: Work, files: RelayFiles, status: str | None) -> None:
        """Every line of it; what was fetched is beside it. `status`: how the vendor's batch ended; None: nobody can say.

        Raises OSError, and then all of it may be done again.
        """
        placed = await asyncio.to_thread(files.place)
        if placed is None:
            return
        lines = await asyncio.to_thread(lambda: {line.request_id: line for line in files.lines()})
        answers: Iterator[bytes] = files.results(LONGEST_RESULT_BYTES)
        while (data := await asyncio.to_thread(next, answers, None)) is not None:
            answered = read_answered(data) if data.strip() else None
            line = None if answered is None else lines.pop(answered.custom_id, None)  # the first word of a line counts
            if answered is not None and line is not None:
                await self._settle_one(work, placed, line, answered, status)
        for line in lines.values():
            await self._without_answer(work, placed, line, status)

    async def let_go(self, work: Work, files: RelayFiles) -> None:
        """Nothing of it was sent: nothing is charged, and every line is left."""
        if self._has_budgets():
            known = await asyncio.to_thread(lambda: {line.request_id for line in files.lines()})
            for claim in await asyncio.to_thread(lambda: list(files.claims())):
                if claim.request_id not in known:
                    await self._means.budgets.forget(claim.attempt_id)
        await self.settle(work, files, NOT_SENT)

    async def _settle_one(self, work: Work, placed: Placed, line: SentLine, answered: Answered, status: str | None) -> None:
        if answered.status is None:
            await self._without_answer(work, placed, line, status if status in NEVER_ASKED else "expired")
            return
        codec = CHATS[work.row.endpoint][0] if work.row.endpoint in CHATS else None
        now_ms = self._means.wall_ms()
        try:
            body, tap = read_answer(codec, answered.status, answered.body, _asked(line, now_ms), line.inputs)
        except FaultError as error:
            await self._refused(work, codec, placed, line, answered.status, error)
            return
        record = ended(line.attempt, placed, now_ms, status=200, tap=tap)
        await self._write(line, await self._pay(line, record, is_charged=True), 200, None)
        await self._give(work, line, Result(200, line.request_id, body))

    async def _refused(
        self, work: Work, codec: Codec | None, placed: Placed, line: SentLine, status: int, error: FaultError
    ) -> None:
        """The vendor answered with an error, or with what is no answer: under 200 it is charged for all the same."""
        fault = error.fault
        record = ended(line.attempt, placed, self._means.wall_ms(), status=status, fault=fault)
        told = status_of(fault, line.row.wire_format, line.row.agent)
        is_charged = status < 400
        record = await self._pay(line, record if is_charged else free_of_charge(record), is_charged=is_charged)
        await self._write(line, record, told, error)
        if fault.meaning.falls_back:
            work.away.discard(line.custom_id)
        else:
            _, _, body = (codec or CODECS["openai_chat"]).write_fault(fault, line.request_id)
            await self._give(work, line, Result(told, line.request_id, body))

    async def _without_answer(self, work: Work, placed: Placed, line: SentLine, status: str | None) -> None:
        error = not_answered(status)
        record = ended(line.attempt, placed, self._means.wall_ms(), status=None, fault=error.fault)
        is_charged = status not in NEVER_ASKED
        if not is_charged:
            record = never_sent(record) if status == NOT_SENT else free_of_charge(record)
        record = await self._pay(line, record, is_charged=is_charged)
        await self._write(line, record, status_of(error.fault, line.row.wire_format, line.row.agent), error)
        work.away.discard(line.custom_id)

    async def _pay(self, line: SentLine, record: AttemptRecord, *, is_charged: bool) -> AttemptRecord:
        """Settle, durably. Its request's row says what was charged, its rates and the client what was used."""
        if line.hold is None:
            self._ledger.attempted(record)
            return record
        return await self._means.budgets.conclude(restore_hold(line.hold), record, is_charged=is_charged)

    async def _write(self, line: SentLine, record: AttemptRecord, status: int, error: FaultError | None) -> None:
        fault = None if error is None else error.fault
        is_served = fault is None
        row = msgspec.structs.replace(
            line.row,
            outcome="served" if is_served else "failed",
            status=status,
            fault=None if fault is None else fault.kind.value,
            fault_message=None if fault is None else fault.recorded,
            deployment=line.row.deployment if is_served else None,
            runtime=line.row.runtime if is_served else None,
            egress=line.row.egress if is_served else None,
            reason=line.row.reason if fault is None else fault.recorded,
            usage=record.usage if is_served else None,
            cost_nano_usd=record.cost_nano_usd,
            cost_basis=record.cost_basis,
            duration_ms=record.duration_ms,
        )
        self._ledger.finished(row)

    async def _give(self, work: Work, line: SentLine, result: Result) -> None:
        if not work.has_result(line.custom_id):
            await work.add(BatchLine(line.custom_id, b""), result)


def _asked(line: SentLine, now_ms: int) -> Asked:
    return Asked(
        model=line.row.asked_model,
        stream_usage=False,
        reply_id=line.request_id,
        now_s=now_ms // 1000,
        prompt_tokens=line.row.prompt_tokens_counted,
    )
