"""Of all who claim an idempotency key one is given it; the same tests on each database."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from freehold.storage.idempotency import LAPSES_AFTER_MS, MOST_PRUNED, STORED, Claim, IdempotencyStore, Standing
from freehold.storage.owners import own_name
from support.budget_servers import Backing, Servers, wall_ms

DAY_S, MIB = 86_400.0, 1024 * 1024
Open = Callable[..., IdempotencyStore]


@pytest.fixture(params=["sqlite", "postgres"])
def backing(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Backing:
    return Backing(request.param, tmp_path, servers)


class Clock:
    def __init__(self) -> None:
        self.ms = wall_ms()

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def opened(backing: Backing, clock: Clock) -> AsyncIterator[Open]:
    """Open a store, as one more process would."""
    async with AsyncExitStack() as stack:

        def make(owner: str | None = None) -> IdempotencyStore:
            store = IdempotencyStore(backing.url, now_ms=clock, owner=owner)
            stack.push_async_callback(store.close)
            return store

        yield make


def claim(number: int = 1, digest: str = "d", fingerprint: str = "f") -> Claim:
    return Claim(digest, fingerprint, f"req_{number}")


async def test_of_many_claims_by_several_processes_one_is_given(opened: Open) -> None:
    stores = [opened(f"elsewhere:{number}:1") for number in range(3)]
    found = await asyncio.gather(*(stores[number % 3].claim(claim(number), DAY_S) for number in range(24)))
    [taken] = [number for number, standing in enumerate(found) if standing.state == "claimed"]
    others = {(one.state, one.request_id) for number, one in enumerate(found) if number != taken}
    assert others == {("under_way", f"req_{taken}")}
    assert {one.is_own for number, one in enumerate(found) if number % 3 == taken % 3 and number != taken} == {True}
    assert {one.is_own for number, one in enumerate(found) if number % 3 != taken % 3} == {False}


async def test_what_was_answered_is_given_to_every_later_claim_also_by_another_process(opened: Open, backing: Backing) -> None:
    first, other, sealed = opened(), opened("elsewhere:1:1"), bytes(range(256)) * 500
    assert await first.claim(claim(), DAY_S) == Standing("claimed")
    await first.answered(claim(), sealed, MIB)
    for number in (2, 3):
        assert await other.claim(claim(number), DAY_S) == Standing("answered", "req_1", sealed)
    assert backing.rows(f"SELECT value FROM meta WHERE name = '{STORED}'") == [(str(len(sealed)),)]


async def test_every_step_may_be_repeated(opened: Open, backing: Backing) -> None:
    store = opened()
    for _ in range(2):
        assert await store.claim(claim(), DAY_S) == Standing("claimed")
    for _ in range(2):
        await store.answered(claim(), b"12345", MIB)
    assert backing.rows(f"SELECT value FROM meta WHERE name = '{STORED}'") == [("5",)]
    await store.left(claim())
    await store.release(claim())
    assert (await store.claim(claim(2), DAY_S)).answer == b"12345", "an answer is not taken back by what comes late"


async def test_a_key_that_was_let_go_is_free_again(opened: Open) -> None:
    store = opened()
    await store.claim(claim(), DAY_S)
    await store.release(claim(9))
    assert (await store.claim(claim(2), DAY_S)).state == "under_way", "only its own request lets it go"
    await store.release(claim())
    assert await store.claim(claim(2), DAY_S) == Standing("claimed")


async def test_a_key_whose_client_left_is_given_once_more_and_says_so(opened: Open) -> None:
    store = opened()
    await store.claim(claim(), DAY_S)
    await store.left(claim())
    assert await store.claim(claim(2), DAY_S) == Standing("claimed", "req_1")
    assert (await store.claim(claim(3), DAY_S)).state == "under_way"
    await store.answered(claim(), b"late", MIB)
    assert (await store.claim(claim(3), DAY_S)).state == "under_way", "the one that left has no say any more"


async def test_where_it_was_let_go_again_the_next_one_is_told_of_the_one_that_may_have_been_paid(opened: Open) -> None:
    store = opened()
    await store.claim(claim(), DAY_S)
    await store.left(claim())
    await store.claim(claim(2), DAY_S)
    await store.release(claim(2), "req_1")
    assert await store.claim(claim(3), DAY_S) == Standing("claimed", "req_1")


async def test_the_same_key_with_another_fingerprint_is_different_in_every_state(opened: Open) -> None:
    store = opened()
    await store.claim(claim(), DAY_S)
    other = claim(2, fingerprint="g")
    assert await store.claim(other, DAY_S) == Standing("different", "req_1")
    await store.left(claim())
    assert (await store.claim(other, DAY_S)).state == "different"
    await store.claim(claim(3), DAY_S)
    await store.answered(claim(3), None, MIB)
    assert await store.claim(other, DAY_S) == Standing("different", "req_3")


@pytest.fixture(scope="module")
def gone() -> str:
    """The name of a process that has ended."""
    program = "from freehold.storage.owners import own_name; print(own_name())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


async def test_what_a_process_that_is_gone_was_serving_nobody_knows(opened: Open, gone: str) -> None:
    assert (await opened(gone).claim(claim(), DAY_S)).state == "claimed"
    here = opened()
    for number in (2, 3):
        assert await here.claim(claim(number), DAY_S) == Standing("unknown", "req_1")


async def test_elsewhere_the_lease_decides_and_it_is_renewed(opened: Open, clock: Clock) -> None:
    there, here = opened("elsewhere:1:1"), opened(own_name())
    await there.claim(claim(), DAY_S)
    clock.ms += LAPSES_AFTER_MS - 1
    assert (await here.claim(claim(2), DAY_S)).state == "under_way"
    await there.renew([claim()])
    clock.ms += LAPSES_AFTER_MS - 1
    assert (await here.claim(claim(2), DAY_S)).state == "under_way"
    clock.ms += 1
    assert await here.claim(claim(2), DAY_S) == Standing("unknown", "req_1")
    await there.answered(claim(), b"after all", MIB)
    assert (await here.claim(claim(2), DAY_S)).answer == b"after all", "it was alive, and its answer counts"


async def test_a_key_is_forgotten_when_its_time_is_over_and_its_answer_with_it(
    opened: Open, backing: Backing, clock: Clock
) -> None:
    store = opened()
    for number in range(3):
        await store.claim(claim(number, digest=f"d{number}"), 100.0 + number)
        await store.answered(claim(number, digest=f"d{number}"), b"x" * 10, MIB)
    clock.ms += 100_000
    assert await store.claim(claim(7, digest="d0"), DAY_S) == Standing("claimed"), "also before it is pruned"
    assert backing.rows(f"SELECT value FROM meta WHERE name = '{STORED}'") == [("20",)]
    assert await store.prune()
    assert backing.rows("SELECT digest FROM idempotency_keys ORDER BY digest") == [("d0",), ("d1",), ("d2",)]
    clock.ms += 2_000
    assert await store.prune()
    assert backing.rows("SELECT digest, size_bytes FROM idempotency_keys") == [("d0", 0)]
    assert backing.rows(f"SELECT value FROM meta WHERE name = '{STORED}'") == [("0",)]
    await store.release(claim(7, digest="d0"))
    assert not await store.prune()


async def test_pruning_takes_all_in_pieces(opened: Open, backing: Backing, clock: Clock) -> None:
    store = opened()
    many = [claim(number, digest=f"d{number}") for number in range(MOST_PRUNED + 10)]
    await asyncio.gather(*(store.claim(one, 100.0) for one in many))
    clock.ms += 100_000
    assert not await store.prune()
    assert backing.rows("SELECT count(*) FROM idempotency_keys") == [(0,)]


async def test_answers_are_kept_up_to_a_bound_over_all_and_what_is_not_kept_is_known_to_have_been(opened: Open) -> None:
    store = opened()
    for number, kept in ((1, b"x" * 60), (2, None), (3, b"x" * 40)):
        one = claim(number, digest=f"d{number}")
        await store.claim(one, DAY_S)
        await store.answered(one, b"x" * (50 if kept is None else len(kept)), 100)
        found = await store.claim(claim(9, digest=f"d{number}"), DAY_S)
        assert (found.state, found.request_id, found.answer) == ("answered", f"req_{number}", kept)
