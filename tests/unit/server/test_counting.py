import asyncio
import threading

import pytest

from freehold.routing.facts_cache import FactsCache
from freehold.server.counting import SMALL_PROMPT_BYTES, Counting, is_close

LARGE = SMALL_PROMPT_BYTES + 1


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


def new_cache() -> FactsCache:
    return FactsCache(b"k" * 32)


async def test_callers_that_come_while_it_loads_wait_for_the_same_load() -> None:
    loads, go = [0], threading.Event()

    def load(_name: str) -> Words:
        loads[0] += 1
        go.wait(5)
        return Words()

    counting = Counting(load, new_cache)
    assert counting.at_hand(None, LARGE) is None
    waiting = [asyncio.ensure_future(counting.load(None)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results].count(asyncio.CancelledError) == 1
    assert loads == [1]
    tokens = counting.at_hand(None, LARGE)
    assert tokens is not None
    assert tokens.count("one two") == 2


async def test_a_load_that_failed_is_tried_again() -> None:
    tries: list[str] = []

    def load(name: str) -> Words:
        tries.append(name)
        if len(tries) == 1:
            raise OSError("no such file")
        return Words()

    counting = Counting(load, new_cache)
    with pytest.raises(OSError, match="no such file"):
        await counting.load("cl100k_base")
    assert counting.at_hand("cl100k_base", LARGE) is None
    await counting.load("cl100k_base")
    assert counting.at_hand("cl100k_base", LARGE) is not None
    assert counting.at_hand(None, LARGE) is None
    assert tries == ["cl100k_base"] * 2


async def test_a_small_prompt_of_an_unknown_vocabulary_is_estimated_without_loading_any() -> None:
    counting = Counting(lambda _name: Words(), new_cache)
    rough = counting.at_hand(None, SMALL_PROMPT_BYTES)
    assert rough is not None
    assert rough.count("x" * 340) == 101
    assert counting.at_hand("o200k_base", 10) is None, "an exact count is never replaced by an estimate"
    assert counting.at_hand(None, LARGE) is None
    loaded = await counting.load(None)
    assert counting.at_hand(None, 10) is loaded, "once it is there it serves everybody"
    assert loaded.cache is not rough.cache, "counts of two counters are kept apart"


@pytest.mark.parametrize(
    ("estimated", "output", "windows", "close"),
    [
        (4_000, 0, (4_096,), False),  # small: every window that is served takes it
        (30_000, 0, (200_000,), False),  # fits whatever the error
        (30_000, 0, (8_192, 200_000), False),  # fits one and not the other, whatever the error
        (30_000, 0, (32_768,), True),
        (30_000, 0, (20_000,), True),
        (100_000, 0, (200_000,), False),
        (100_000, 32_000, (200_000,), True),
        (30_000, 0, (), False),
    ],
)
def test_a_vocabulary_is_worth_loading_only_where_the_error_of_an_estimate_could_decide(
    estimated: int, output: int, windows: tuple[int, ...], *, close: bool
) -> None:
    assert is_close(estimated, output, windows) is close
