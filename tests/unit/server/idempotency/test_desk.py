"""The desk when its store fails it, and how an ending is judged. (`tests/properties` has who is served when.)"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.config.settings import IdempotencySettings
from freehold.fault import Fault, FaultError, Kind
from freehold.features import Caller
from freehold.runtime import Egress
from freehold.server.delivery import Conversation
from freehold.server.idempotency import desk as desks
from freehold.server.idempotency.asked import Asked, read_asked
from freehold.server.idempotency.copying import CopyingLine
from freehold.server.idempotency.desk import Ending, GivenAgain, Held, IdempotencyDesk, judge
from freehold.storage.idempotency import Claim, IdempotencyStore, Standing
from freehold.storage.store import StoreUnavailableError, prepare, sqlite_url
from freehold.telemetry.log import open_log
from support.budget_servers import wall_ms

SERVED = Ending("served", None, was_paid=True)


def asked(key: str = "k") -> Asked:
    return read_asked("/v1/messages", {"idempotency-key": key}, Caller(key="k", user="u"), b"body")


class Torn(IdempotencyStore):
    """A real store whose answers are lost: what was asked is done, and whoever asked is told that it failed."""

    tears: int = 0

    async def claim(self, claim: Claim, keep_s: float) -> Standing:
        found = await super().claim(claim, keep_s)
        self._tear()
        return found

    async def answered(self, claim: Claim, answer: bytes | None, most_bytes: float) -> None:
        self._tear()
        await super().answered(claim, answer, most_bytes)

    def _tear(self) -> None:
        if self.tears:
            self.tears -= 1
            raise StoreUnavailableError("the test has cut the line")


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., tuple[IdempotencyDesk, Torn]]]:
    async with AsyncExitStack() as stack:

        def open_desk(name: str = "keys.db", *, store_egress: Egress = Egress.LOCAL, **said: Any) -> tuple[IdempotencyDesk, Torn]:
            store = Torn(sqlite_url(tmp_path / name), now_ms=wall_ms)
            made = IdempotencyDesk(
                lambda: store,
                lambda: IdempotencySettings(**said),
                now=time.monotonic,
                log=open_log(now_ms=wall_ms, level="error"),
                store_egress=store_egress,
            )
            stack.push_async_callback(made.close)
            return made, store

        prepare(sqlite_url(tmp_path / "keys.db"))
        yield open_desk


def answer(held: Held, body: bytes = b"the answer", most_bytes: float = 1000) -> None:
    """Send an answer to a client, as an endpoint would."""
    held.copy = CopyingLine(_Nowhere(), most_bytes)
    held.copy.write_whole(Conversation(held.copy), 200, [(b"content-type", b"text/plain")], body)


class _Nowhere:
    keep_alive_s = 1.0

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def hold(self) -> None: ...

    def resume(self) -> None: ...

    def room(self) -> None: ...

    def write_head(self, *_: Any) -> None: ...

    def write_body(self, *_: Any, more: bool) -> None: ...

    def write_whole(self, *_: Any) -> None: ...


async def refused(desk: IdempotencyDesk, wanted: Asked, wait_s: float = 5.0) -> Kind:
    with pytest.raises(FaultError) as caught:
        await desk.admit(wanted, "req_refused", wait_s)
    return caught.value.fault.kind


async def served(desk: IdempotencyDesk, wanted: Asked, request_id: str) -> Held:
    found = await desk.admit(wanted, request_id, 5.0)
    assert isinstance(found, Held)
    return found


async def test_without_its_store_nothing_is_sent_and_with_it_again_all_is_well(make: Any, tmp_path: Path) -> None:
    desk, _ = make("missing.db")
    assert await refused(desk, asked()) is Kind.IDEMPOTENCY_AWAY
    prepare(sqlite_url(tmp_path / "missing.db"))
    assert (await served(desk, asked(), "req_1")).after is None


async def test_a_claim_that_stands_though_it_seemed_to_fail_blocks_nobody(make: Any) -> None:
    desk, store = make()
    store.tears = 1
    assert await refused(desk, asked()) is Kind.IDEMPOTENCY_AWAY
    assert (await served(desk, asked(), "req_2")).after is None


@pytest.mark.parametrize(
    ("store_egress", "ceiling", "is_kept"),
    [
        (Egress.LOCAL, Egress.LOCAL, True),
        (Egress.SELF_HOSTED, Egress.SELF_HOSTED, True),
        (Egress.SELF_HOSTED, Egress.LOCAL, False),
        (Egress.VENDOR, Egress.SELF_HOSTED, False),
    ],
)
async def test_an_answer_is_kept_only_where_its_request_may_go(
    make: Any, store_egress: Egress, ceiling: Egress, *, is_kept: bool
) -> None:
    desk, _ = make(store_egress=store_egress)
    held = await served(desk, asked(), "req_1")
    answer(held)
    desk.end(held, msgspec.structs.replace(SERVED, ceiling=ceiling))
    if is_kept:
        assert isinstance(await desk.admit(asked(), "req_2", 5.0), GivenAgain)
    else:
        assert await refused(desk, asked()) is Kind.IDEMPOTENCY_UNKNOWN


async def test_an_answer_is_kept_as_soon_as_the_store_takes_it(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "WRITES_AGAIN_S", 0.001)
    desk, store = make()
    held = await served(desk, asked(), "req_1")
    answer(held)
    store.tears = desks.WRITE_TRIES - 1
    desk.end(held, SERVED)
    found = await desk.admit(asked(), "req_2", 5.0)
    assert isinstance(found, GivenAgain)
    assert (found.request_id, found.answer.body) == ("req_1", b"the answer")


async def test_an_answer_that_could_not_be_kept_is_not_paid_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "WRITES_AGAIN_S", 0.001)
    desk, store = make()
    held = await served(desk, asked(), "req_1")
    answer(held)
    store.tears = desks.WRITE_TRIES
    desk.end(held, SERVED)
    assert await refused(desk, asked()) is Kind.IDEMPOTENCY_UNKNOWN


@pytest.mark.parametrize("size", [10, desks.IN_THREAD_BYTES * 2])
async def test_answers_of_any_size_come_back_as_they_were(make: Any, size: int) -> None:
    desk, _ = make()
    held = await served(desk, asked(), "req_1")
    body = bytes((number * number) % 251 for number in range(size))
    answer(held, body, most_bytes=size)
    desk.end(held, SERVED)
    found = await desk.admit(asked(), "req_2", 5.0)
    assert isinstance(found, GivenAgain)
    assert found.answer.body == body
    assert found.answer.headers == [(b"content-type", b"text/plain")]


async def test_without_the_secret_beside_the_store_a_kept_answer_is_nothing_and_is_not_paid_again(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "keys.db")
    prepare(url)

    def there(secret: bytes) -> IdempotencyDesk:
        return IdempotencyDesk(
            lambda: IdempotencyStore(url, now_ms=wall_ms),
            IdempotencySettings,
            now=time.monotonic,
            log=open_log(now_ms=wall_ms, level="error"),
            secret=lambda: secret,
        )

    first, same, thief = there(b"one"), there(b"one"), there(b"two")
    held = await served(first, asked(), "req_1")
    answer(held)
    first.end(held, SERVED)
    await first.close()
    assert isinstance(await same.admit(asked(), "req_2", 5.0), GivenAgain)
    assert await refused(thief, asked()) is Kind.IDEMPOTENCY_UNKNOWN
    await same.close()
    await thief.close()


async def test_closing_waits_for_what_is_to_be_written(make: Any) -> None:
    desk, _ = make()
    held = await served(desk, asked(), "req_1")
    answer(held)
    desk.end(held, SERVED)
    await desk.close()
    other, _ = make()
    assert isinstance(await other.admit(asked(), "req_2", 5.0), GivenAgain)


async def test_one_that_leaves_while_its_claim_is_made_leaves_nothing_behind(make: Any) -> None:
    desk, _ = make()
    claiming = asyncio.ensure_future(desk.admit(asked(), "req_1", 5.0))
    await asyncio.sleep(0)
    claiming.cancel()
    await asyncio.wait([claiming])
    assert claiming.cancelled()
    assert (await served(desk, asked(), "req_2")).after is None


async def test_what_has_ended_is_forgotten_and_an_idle_store_let_go(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "RENEWS_EACH_S", 0.005)
    desk, _ = make()
    held = await served(desk, asked(), "req_1")
    desk.end(held, Ending("failed", None, was_paid=False))
    while desk._store is not None:  # noqa: ASYNC110 - until its own task has done it
        await asyncio.sleep(0.005)
    assert (await served(desk, asked(), "req_2")).after is None, "and opened again"


GONE, BROKEN, LATE = (Fault(kind=kind, message="") for kind in (Kind.CLIENT_GONE, Kind.BROKEN_STREAM, Kind.TOTAL_TIMEOUT))
STOPPED = Fault(kind=Kind.SHUTTING_DOWN, message="")
WHOLE, BEGUN, NOTHING = "whole", "begun", "nothing"


@pytest.mark.parametrize(
    ("ending", "sent", "how"),
    [
        (Ending("served", None, was_paid=True), WHOLE, "answered"),
        (Ending("served", None, was_paid=False), WHOLE, "answered"),
        (Ending("cancelled", GONE, was_paid=True), WHOLE, "answered"),
        (Ending("served", None, was_paid=True), BEGUN, "left"),
        (Ending("served", None, was_paid=False), BEGUN, "release"),
        (Ending("cancelled", GONE, was_paid=True), BEGUN, "left"),
        (Ending("cancelled", GONE, was_paid=True), NOTHING, "left"),
        (Ending("cancelled", GONE, was_paid=False), NOTHING, "release"),
        (Ending("failed", BROKEN, was_paid=True), WHOLE, "answered"),
        (Ending("failed", BROKEN, was_paid=False), WHOLE, "release"),
        (Ending("failed", BROKEN, was_paid=True), NOTHING, "left"),
        (Ending("cut", BROKEN, was_paid=True), WHOLE, "answered"),
        (Ending("cut", BROKEN, was_paid=True), BEGUN, "answered"),
        (Ending("cut", BROKEN, was_paid=False), WHOLE, "release"),
        (Ending("cut", STOPPED, was_paid=True), WHOLE, "left"),
        (Ending("failed", STOPPED, was_paid=True), WHOLE, "left"),
        (Ending("failed", LATE, was_paid=True), WHOLE, "answered"),
        (Ending("failed", LATE, was_paid=True, was_late=True), WHOLE, "left"),
        (Ending("failed", BROKEN, was_paid=True, was_late=True), WHOLE, "answered"),
        (Ending("refused", None, was_paid=False), WHOLE, "release"),
        (Ending("refused", None, was_paid=True), WHOLE, "answered"),
    ],
    ids=str,
)
async def test_what_a_repeat_is_told_hangs_on_what_was_sent_and_what_was_paid(ending: Ending, sent: str, how: str) -> None:
    copy = CopyingLine(_Nowhere(), 1000)
    conversation = Conversation(copy)
    if sent != NOTHING:
        copy.write_head(conversation, 200, [])
        copy.write_body(conversation, b"something", more=sent == BEGUN)
    assert judge(ending, copy) == how
