"""One batch being worked on: its lines, its results, its state. What blocks runs in threads."""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from freehold.fault import FaultError, Kind
from freehold.server.batches.desk import Desk
from freehold.server.batches.journal import ResultFile
from freehold.server.batches.lines import Result
from freehold.storage.batch_rows import BatchRow, FileRow
from freehold.wire.batches import (
    LONGEST_LINE_BYTES,
    BatchLine,
    BatchState,
    Checker,
    LineError,
    Status,
    write_expired,
    write_result,
)

MOST_LINES = 50_000
MOST_RESULT_BYTES = 4 * 1024**3
"""Of one batch; one that says more is ended."""
TOLD_EACH_S = 1.0
"""How often counts are written down while lines are done."""

_state = msgspec.json.Decoder(BatchState).decode


class Work:
    """A batch under way."""

    def __init__(self, desk: Desk, row: BatchRow) -> None:
        self._desk = desk
        self.row = row
        self.state = _state(row.state)
        self._output = ResultFile(desk.shelf.path(row.batch_id))
        self._errors = self._output
        self._lines: Iterator[BatchLine] = iter(())
        self._reading, self._writing = asyncio.Lock(), asyncio.Lock()
        self._told_s = 0.0
        self.away: set[str] = set()
        """The `custom_id` of each line that a vendor's Batch API has, or may have."""
        self.problem: LineError | None = None
        """Why it ends as failed, where that is not the input's fault."""

    @property
    def is_late(self) -> bool:
        """Its time is over."""
        return self._desk.now_ms() >= self.row.expires_ms

    @property
    def is_over_limit(self) -> bool:
        """Its results take more room than one batch may have."""
        return self._output.size_bytes + self._errors.size_bytes > MOST_RESULT_BYTES

    async def validate(self) -> bool:
        """Check the whole input file; whether there is something to do. Its errors end the batch as failed."""
        if self.state.status != "validating":
            return self.state.output_file_id is not None
        checker = Checker(self.row.endpoint, MOST_LINES)
        try:
            await asyncio.to_thread(self._check, checker)
        except OSError:
            checker.errors.append(LineError("missing_file", "the input file is gone"))
        if not checker.errors and not checker.total:
            checker.errors.append(LineError("empty_file", "the input file holds no request"))
        now_ms, desk = self._desk.now_ms(), self._desk

        def turn(state: BatchState) -> BatchState:
            if state.status != "validating":
                return state
            if checker.errors:
                return msgspec.structs.replace(state, status="failed", failed_ms=now_ms, errors=tuple(checker.errors))
            return msgspec.structs.replace(
                state,
                status="in_progress",
                in_progress_ms=now_ms,
                total=checker.total,
                output_file_id=desk.new_id("file-"),
                error_file_id=desk.new_id("file-"),
            )

        return (await self.change(turn)).status == "in_progress"

    async def open(self) -> None:
        """Take up the results there are, and begin behind them. Raises OSError."""
        assert self.state.output_file_id is not None
        assert self.state.error_file_id is not None
        self._output = ResultFile(self._desk.shelf.path(self.state.output_file_id))
        self._errors = ResultFile(self._desk.shelf.path(self.state.error_file_id))
        await asyncio.to_thread(self._output.open)
        await asyncio.to_thread(self._errors.open)
        self._lines = self._read_lines()

    async def rewind(self) -> None:
        """Begin anew with the lines that have no result by now."""
        async with self._reading:
            self._lines = self._read_lines()

    def has_result(self, custom_id: str) -> bool:
        """Whether that line has one."""
        return custom_id in self._output.done or custom_id in self._errors.done

    async def next_line(self) -> BatchLine | None:
        """The next line without a result; None: there is none left. Raises OSError."""
        async with self._reading:
            return await asyncio.to_thread(next, self._lines, None)

    async def add(self, line: BatchLine, result: Result) -> None:
        """Write a line's result down. Raises OSError."""
        file = self._output if result.status == 200 else self._errors
        line_id = self._desk.new_id("batch_req_")
        data = write_result(line_id, line.custom_id, result.status, result.request_id, result.body)
        async with self._writing:
            await asyncio.to_thread(file.append, line.custom_id, data)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TOLD_EACH_S:
            self._told_s = now_s
            await self.change(self._counted)

    async def goes_on(self) -> bool:
        """Whether further lines may begin: nobody cancelled it, its time is not over, its results are not too many."""
        self.state = _state((await self._desk.batch(self.row.batch_id, self.row.caller)).state)
        return self.state.status == "in_progress" and not self.is_late and not self.is_over_limit

    async def has_lines(self) -> bool:
        """Whether a line is left without a result."""
        self._lines = self._read_lines()
        return await self.next_line() is not None

    async def end(self, status: Status) -> None:
        """No more lines: keep what was written as the caller's files, and say how it ended."""
        if self.state.output_file_id is None:
            await self.change(lambda state: _ended(state, status, self._desk.now_ms()))
            return
        if status == "expired":
            await self.change(lambda state: msgspec.structs.replace(state, expired_ms=self._desk.now_ms()))
            await self._write_expired()
        await self.change(self._finalizing)
        for file, name in ((self._output, "output"), (self._errors, "error")):
            await self._hand_over(file, name)
        has_output, has_errors = bool(self._output.done), bool(self._errors.done)

        def turn(state: BatchState) -> BatchState:
            state = _ended(self._counted(state), status, self._desk.now_ms())
            return msgspec.structs.replace(
                state,
                errors=state.errors if self.problem is None else (*state.errors, self.problem),
                output_file_id=state.output_file_id if has_output else None,
                error_file_id=state.error_file_id if has_errors else None,
            )

        await self.change(turn)

    def close(self) -> None:
        """Let go of the files."""
        self._output.close()
        self._errors.close()

    def _check(self, checker: Checker) -> None:
        for data in self._desk.shelf.lines(self.row.input_file_id, LONGEST_LINE_BYTES):
            checker.read(data)

    def _read_lines(self) -> Iterator[BatchLine]:
        checker = Checker(self.row.endpoint, MOST_LINES)
        for data in self._desk.shelf.lines(self.row.input_file_id, LONGEST_LINE_BYTES):
            line = checker.read(data)
            if line is not None and line.custom_id not in self.away and not self.has_result(line.custom_id):
                yield line

    async def _write_expired(self) -> None:
        self._lines = self._read_lines()
        while (line := await self.next_line()) is not None:
            data = write_expired(self._desk.new_id("batch_req_"), line.custom_id)
            async with self._writing:
                await asyncio.to_thread(self._errors.append, line.custom_id, data)

    async def _hand_over(self, file: ResultFile, name: str) -> None:
        """Give the caller a file of results; an empty one is removed. Repeated after a crash, it changes nothing."""
        file_id, caller = file.path.name, self.row.caller
        file.close()
        if not file.done:
            await asyncio.to_thread(self._desk.shelf.drop, file_id)
            return
        row = FileRow(
            file_id=file_id,
            caller_key=caller.key,
            caller_user=caller.user,
            purpose="batch_output",
            filename=f"{self.row.batch_id}_{name}.jsonl",
            size_bytes=file.size_bytes,
            created_ms=self._desk.now_ms(),
        )
        try:
            await self._desk.file(file_id, caller)
        except FaultError as error:
            if error.fault.kind is not Kind.NOT_FOUND:
                raise
            await self._desk.ask(lambda store: store.add_file(row))

    def _counted(self, state: BatchState) -> BatchState:
        return msgspec.structs.replace(state, completed=len(self._output.done), failed=len(self._errors.done))

    def _finalizing(self, state: BatchState) -> BatchState:
        status: Status = "finalizing" if state.status == "in_progress" else state.status
        return msgspec.structs.replace(self._counted(state), status=status, finalizing_ms=self._desk.now_ms())

    async def change(self, turn: Callable[[BatchState], BatchState]) -> BatchState:
        """Change its state, durably. Gives it."""
        self.state = await self._desk.change(self.row.batch_id, turn)
        return self.state


def _ended(state: BatchState, status: Status, now_ms: int) -> BatchState:
    times = {"completed": "completed_ms", "expired": "expired_ms", "cancelled": "cancelled_ms", "failed": "failed_ms"}
    return msgspec.structs.replace(state, status=status, **{times[status]: now_ms})
