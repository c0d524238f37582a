"""However repeats of a request fall between one another, on whichever process, its key is served once at a time, and answered once."""

import asyncio
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.config.settings import IdempotencySettings
from freehold.fault import Fault, FaultError, Kind
from freehold.features import Caller
from freehold.server.delivery import Conversation, RawHeaders
from freehold.server.idempotency.asked import Asked, read_asked
from freehold.server.idempotency.copying import CopyingLine
from freehold.server.idempotency.desk import Ending, GivenAgain, Held, IdempotencyDesk
from freehold.storage.idempotency import IdempotencyStore
from freehold.storage.store import prepare, sqlite_url
from freehold.telemetry.log import open_log
from support.budget_servers import wall_ms

ENDS = ("answered", "paid failure", "free failure", "left", "cancelled while waiting")
DESKS = 2


class Wire:
    """A connection that takes everything."""

    keep_alive_s = 3600.0

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def hold(self) -> None: ...

    def resume(self) -> None: ...

    def room(self) -> None: ...

    def write_head(self, conversation: Conversation, status: int, headers: RawHeaders) -> None: ...

    def write_body(self, conversation: Conversation, body: bytes, *, more: bool) -> None: ...

    def write_whole(self, conversation: Conversation, status: int, headers: RawHeaders, body: bytes) -> None: ...


class Visit:
    """One repeat: when it comes, where, how long it is served, and how that ends."""

    def __init__(self, desk: int, comes: int, lasts: int, ends: str) -> None:
        self.desk, self.comes, self.lasts, self.ends = desk, comes, lasts, ends

    def __repr__(self) -> str:
        return f"Visit({self.desk}, {self.comes}, {self.lasts}, {self.ends!r})"


visits = st.lists(
    st.builds(Visit, st.integers(0, DESKS - 1), st.integers(0, 12), st.integers(0, 8), st.sampled_from(ENDS)),
    min_size=1,
    max_size=7,
)


class Trial:
    """All visits to one key, and what was seen of them."""

    def __init__(self, desks: list[IdempotencyDesk], key: str) -> None:
        self.desks = desks
        self.asked: Asked = read_asked("/v1/messages", {"idempotency-key": key}, Caller(key="k", user="u"), b"body")
        self.under_way = 0
        self.served: list[str] = []
        """How each one that was served ended, in order."""
        self.left: str | None = None
        """The last one whose client left."""
        self.given: set[tuple[str, bytes]] = set()
        self.faults: list[Kind] = []

    async def visit(self, visit: Visit, number: int) -> None:
        await turns(visit.comes)
        desk = self.desks[visit.desk]
        admitting = asyncio.ensure_future(desk.admit(self.asked, f"req_{number}", 30.0))
        if visit.ends == "cancelled while waiting":
            await turns(visit.lasts)
            admitting.cancel()
        try:
            found = await admitting
        except asyncio.CancelledError:
            return
        except FaultError as error:
            self.faults.append(error.fault.kind)
            return
        if isinstance(found, GivenAgain):
            self.given.add((found.request_id, found.answer.body))
        else:
            await self._serve(desk, found, visit, number)

    async def _serve(self, desk: IdempotencyDesk, held: Held, visit: Visit, number: int) -> None:
        self.under_way += 1
        assert self.under_way == 1, "two are served at once"
        assert not {"answered", "paid failure"} & set(self.served), "served after it was answered"
        assert held.after == self.left, "who comes after one that may have been paid is told which"
        wire = Wire()
        held.copy = CopyingLine(wire, 1000)
        await turns(visit.lasts)
        ends = "answered" if visit.ends == "cancelled while waiting" else visit.ends
        conversation = Conversation(held.copy)
        broken = Fault(kind=Kind.BROKEN_STREAM, message="broken")
        gone = Fault(kind=Kind.CLIENT_GONE, message="gone")
        if ends != "left":
            held.copy.write_whole(conversation, 200 if ends == "answered" else 502, [], b"by %d" % number)
        ending = {
            "answered": Ending("served", None, was_paid=True),
            "paid failure": Ending("failed", broken, was_paid=True),
            "free failure": Ending("failed", broken, was_paid=False),
            "left": Ending("cancelled", gone, was_paid=True),
        }[ends]
        self.under_way -= 1
        self.served.append(ends)
        if ends == "left":
            self.left = held.claim.request_id
        desk.end(held, ending)


async def turns(count: int) -> None:
    """Let the others go on for a while, some of which are threads."""
    for _ in range(count):
        await asyncio.sleep(0.0005)


async def run(folder: Path, found: list[Visit], key: str) -> Trial:
    log = open_log(now_ms=wall_ms, level="error")
    url = sqlite_url(folder / "keys.db")
    desks = [
        IdempotencyDesk(
            lambda owner=f"elsewhere:{number}:1": IdempotencyStore(url, now_ms=wall_ms, owner=owner),  # type: ignore[misc] - bound for this number
            IdempotencySettings,
            now=time.monotonic,
            log=log,
        )
        for number in range(DESKS)
    ]
    trial = Trial(desks, key)
    try:
        await asyncio.gather(*(trial.visit(visit, number) for number, visit in enumerate(found)))
        for desk in desks:
            while desk._work:
                await asyncio.wait(desk._work)
        last = await desks[0].admit(trial.asked, "req_last", 5.0)
        if isinstance(last, GivenAgain):
            trial.given.add((last.request_id, last.answer.body))
        else:
            desks[0].end(last, Ending("failed", None, was_paid=False))
        assert isinstance(last, GivenAgain) == bool({"answered", "paid failure"} & set(trial.served))
    finally:
        for desk in desks:
            await desk.close()
    return trial


numbers = iter(range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=visits)
def test_no_two_are_served_at_once_and_none_after_an_answer(tmp_path: Path, found: list[Visit]) -> None:
    prepare(sqlite_url(tmp_path / "keys.db"))
    trial = asyncio.run(run(tmp_path, found, f"key-{next(numbers)}"))
    assert len(trial.given) <= 1, "every repeat is given the same"
    assert not trial.faults, "nobody is turned away who can wait"
    assert trial.served.count("answered") + trial.served.count("paid failure") <= 1
    assert not trial.given or trial.served[-1] in {"answered", "paid failure"}
