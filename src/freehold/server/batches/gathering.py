"""Finds the lines of a batch that a vendor's own Batch API may do, and writes them down, paid for.

Promised: each line passes the very decision of any request (key, labels, detectors, gates, ceilings, rules, prices, budgets); the
plan's first step says where it goes, and it is handed on only where it would be relayed there as it is. A line that is not, or
that no budget pays for now, is left to be asked by itself, and has no row of this. What a crash left half gathered is let go
first: nothing of it was sent.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from freehold.dispatch.attempt import Means
from freehold.dispatch.batched import Written, batch_step, write_for_batch
from freehold.dispatch.flight import Flight
from freehold.fault import FaultError, Kind
from freehold.ledger import Ledger
from freehold.limits.kept_holds import keep_hold
from freehold.record import DecisionRecord, RequestRecord
from freehold.runtime import Vendor
from freehold.server.batches.desk import Desk
from freehold.server.batches.lines import CHATS, BatchIntake, line_headers
from freehold.server.batches.relay_files import PREFIX, RelayFiles, SentLine
from freehold.server.batches.work import Work
from freehold.server.context import Context
from freehold.storage.batch_rows import BatchRow
from freehold.wire import embeddings
from freehold.wire.batch_client import write_line
from freehold.wire.batches import BatchLine, VendorBatch
from freehold.wire.embeddings import EmbeddingsEnvelope

MOST_SENT_BYTES = 32 * 1024 * 1024
"""In one vendor's batch; more lines make a further one. OpenAI takes 200 MB, others 100 MB; we hold it in memory while it is sent."""
MOST_SENT_LINES = 10_000
"""In one vendor's batch: what is known of each is held in memory while they are settled."""
MOST_SENT_INPUTS = 40_000
"""Texts to be embedded in one vendor's batch, and those of one line more: OpenAI takes 50,000."""
LEASE_BEYOND_MS = 3 * 3600 * 1000
"""How long after a batch's end its reservations stand by themselves: by then they are settled, whatever the vendor does."""
EMBEDDINGS = "/v1/embeddings"
LEDGER_LOOKS_EACH_S = 0.2
LOOKS_EACH_LINES = 64
"""How often it is asked whether the batch goes on."""


class _Key(NamedTuple):
    """What all lines of one vendor's batch have in common."""

    runtime: str
    deployment: str
    price_version: str | None


class _Noted(Ledger):
    """Takes decisions and keeps the last one: most lines are decided again, when they are asked by themselves."""

    def __init__(self) -> None:
        self.last: DecisionRecord | None = None

    def decided(self, record: DecisionRecord) -> None:
        """Keep it."""
        self.last = record


class _TrialIntake(BatchIntake):
    """Decides, and writes nothing down."""

    def __init__(self, context: Context, row: BatchRow) -> None:
        super().__init__(context.intake, row.caller)
        self._ledger = self.noted = _Noted()


class Gatherer:
    """Gathers lines."""

    def __init__(self, desk: Desk, context: Context, means: Means) -> None:
        self._desk, self._context, self._means = desk, context, means

    def may_relay(self, row: BatchRow) -> bool:
        """Whether any runtime there is could take lines of it. Most servers have none, and look at no line twice."""
        return (row.endpoint in CHATS or row.endpoint == EMBEDDINGS) and any(
            isinstance(one.runtime, Vendor) and one.runtime.batch_api for one in self._context.intake.policy.placed.values()
        )

    async def gather(self, work: Work) -> tuple[VendorBatch, ...]:
        """Write down all lines that may be handed on. Raises FaultError, OSError; cancelled, it leaves its files behind."""
        open_files: dict[_Key, RelayFiles] = {}
        sealed: list[tuple[RelayFiles, _Key]] = []
        seen = 0
        try:
            while (line := await work.next_line()) is not None:
                seen += 1
                if seen % LOOKS_EACH_LINES == 0 and not await work.goes_on():
                    break
                key = await self._take(work, line, open_files, len(sealed))
                if key is not None and _is_full(open_files[key]):
                    sealed.append((open_files.pop(key), key))
            sealed += [(files, key) for key, files in open_files.items()]
            for files, _ in sealed:
                await asyncio.to_thread(files.seal)
        finally:
            for files in open_files.values():
                files.close()
        for files, _ in sealed:
            if not files.count:
                await asyncio.to_thread(files.remove)
        return tuple(VendorBatch(id=files.own_id, runtime=key.runtime) for files, key in sealed if files.count)

    async def _take(self, work: Work, line: BatchLine, open_files: dict[_Key, RelayFiles], number: int) -> _Key | None:
        """Write the line down where it may be handed on; the key of its files, None where it may not."""
        while self._context.ledger_is_behind():  # noqa: ASYNC110 - the writer's thread has no event of ours
            await asyncio.sleep(LEDGER_LOOKS_EACH_S)
        intake = _TrialIntake(self._context, work.row)
        request_id, at_ms = intake.new_request_id(), self._context.wall_ms()
        headers = line_headers(work.row)
        try:
            flight, envelope = await _decided(intake, work.row.endpoint, line.body, headers, request_id)
            step = batch_step(flight, at_ms)
            if step is None:
                return None
            key = _Key(step.placed.runtime.name, step.placed.id, step.placed.price_version)
            files = open_files.get(key)
            if files is None:
                files = RelayFiles(self._desk.shelf, f"{PREFIX}{work.row.batch_id}-{number + len(open_files)}")
                await asyncio.to_thread(files.begin, step.placed)
                open_files[key] = files
            await asyncio.to_thread(files.claim, request_id, f"{request_id}.1")
            left_s = (work.row.expires_ms + LEASE_BEYOND_MS - at_ms) / 1000
            written = await write_for_batch(self._means, flight, step, left_s, envelope)
        except FaultError as error:
            if error.fault.kind is Kind.BUDGETS_AWAY:
                raise  # it comes back, and asked by itself the line would cost more
            return None  # asked by itself, it is told what is wrong
        if written is None:
            return None
        sent = _sent_line(line, flight, written, at_ms, 0 if envelope is None else envelope.inputs)
        await asyncio.to_thread(files.add, sent, write_line(request_id, work.row.endpoint, written.body))
        assert intake.noted.last is not None
        self._context.ledger.decided(intake.noted.last)
        return key


def _is_full(files: RelayFiles) -> bool:
    """Whether further lines go into another batch."""
    return files.size_bytes > MOST_SENT_BYTES or files.count >= MOST_SENT_LINES or files.inputs > MOST_SENT_INPUTS


async def _decided(
    intake: BatchIntake, endpoint: str, body: bytes, headers: Mapping[str, str], request_id: str
) -> tuple[Flight, EmbeddingsEnvelope | None]:
    """As the endpoint itself decides. Raises FaultError."""
    if endpoint == EMBEDDINGS:
        envelope = embeddings.peek(body)
        caller = intake.identify(headers, "embeddings")
        return await intake.decide_embeddings(envelope, headers, caller, request_id), envelope
    codec, _ = CHATS[endpoint]
    caller = intake.identify(headers, "chat")
    return await intake.decide(codec, codec.peek(body), headers, caller, request_id), None


def _sent_line(line: BatchLine, flight: Flight, written: Written, at_ms: int, inputs: int) -> SentLine:
    features, placed = flight.features, written.placed
    row = RequestRecord(
        request_id=flight.request_id,
        at_ms=at_ms,
        operation=features.operation,
        wire_format=features.wire_format,
        caller_key=features.caller.key,
        caller_user=features.caller.user,
        caller_team=features.caller.team,
        session=features.session,
        agent=features.agent,
        asked_model=features.asked_model,
        task=features.task.value,
        label=features.label.value,
        stream=False,
        policy_version=flight.policy_version,
        outcome="failed",
        status=502,
        fault=None,
        fault_message=None,
        deployment=placed.id,
        runtime=placed.runtime.name,
        egress=placed.egress.value,
        reason=f"{written.reason}; by the vendor's Batch API",
        attempts=1,
        prompt_tokens_counted=features.prompt_tokens,
        usage=None,
        cost_nano_usd=None,
        cost_basis="unknown",
        first_content_ms=None,
        duration_ms=0.0,
        overhead_ms=None,
    )
    hold = None if written.held is None else keep_hold(written.held)
    return SentLine(flight.request_id, line.custom_id, row, written.attempt, hold, inputs)
